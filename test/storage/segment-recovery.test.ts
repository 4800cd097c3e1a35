/** Opening a log from where a checkpoint stands. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { LogAddress } from '../../src/storage/log.ts';
import { segmentAt } from '../../src/storage/segment.ts';
import { type OpenedSegmentLog, openSegmentLog, type SegmentLog } from '../../src/storage/segment-log.ts';
import { type RecoveryStart, recoverSegments } from '../../src/storage/segment-recovery.ts';
import { DiskFault, MemoryDisk } from '../../src/testing/memory-disk.ts';
import { entry, rejection, texts } from './log-contract.ts';
import { DIRECTORY, prepare, SEGMENT_BYTES } from './segment-script.ts';

let disk: MemoryDisk;

beforeEach(async () => {
  disk = new MemoryDisk();
  await prepare(disk);
});

function openFrom(from: RecoveryStart | null, on: MemoryDisk = disk): Promise<OpenedSegmentLog> {
  return openSegmentLog({ disk: on, directory: DIRECTORY, shard: 0, segmentBytes: SEGMENT_BYTES }, from);
}

/** Entries 1 to `count` of 300 bytes, each a group; where each lies. */
async function filled(count: number): Promise<{ log: SegmentLog; addresses: LogAddress[] }> {
  const { log } = await openFrom(null);
  const addresses: LogAddress[] = [];
  for (let index = 1; index <= count; index += 1) {
    const { addresses: told } = await log.append([entry(`${index}:`.padEnd(300, '.'))]);
    addresses.push(...told);
  }
  return { log, addresses };
}

function start(log: SegmentLog): RecoveryStart {
  return { sequence: log.nextSequence, address: log.end };
}

describe('a log opened from a checkpoint', () => {
  test('checks the entries behind it and no others', async () => {
    const { log, addresses } = await filled(20);
    await log.close();
    for (const [index, address] of addresses.entries()) {
      const opened = await openFrom({ sequence: index + 1, address });
      expect([opened.fromValid, opened.entriesChecked, opened.cutBytes]).toEqual([true, 20 - index, 0]);
      expect(opened.log.nextSequence).toBe(21);
      expect(await texts(opened.log)).toHaveLength(20);
      await opened.log.close();
    }
  });

  test('goes on at the end of the log', async () => {
    const { log } = await filled(20);
    const from = start(log);
    await log.close();
    const opened = await openFrom(from);
    expect([opened.fromValid, opened.entriesChecked, opened.log.nextSequence]).toEqual([true, 0, 21]);
    await opened.log.close();
  });

  test.each([0, 1, 20, 40, 200, 100_000])(
    'goes on behind a write that failed there and left %i bytes',
    async (landedBytes) => {
      const { log } = await filled(4);
      const from = start(log);
      disk.onCall = (op) => {
        if (op !== 'write') return;
        disk.onCall = null;
        throw new DiskFault('EIO', { landedBytes });
      };
      await rejection(log.append([entry('lost'.padEnd(400, '.'))]));
      await log.rollOver();
      await log.append([entry('again')]);
      await log.close();
      const opened = await openFrom(from);
      expect([opened.fromValid, opened.entriesChecked]).toEqual([true, 1]);
      expect(await texts(opened.log, from.address)).toEqual(['again']);
      await opened.log.close();
    },
  );

  test('cuts a torn end at it', async () => {
    const { log, addresses } = await filled(4);
    await log.close();
    const last = addresses[3] as LogAddress;
    const bytes = disk.bytesOf(segmentAt(DIRECTORY, 1).path);
    bytes[bytes.length - 1] = 0;
    const opened = await openFrom({ sequence: 4, address: last });
    expect([opened.fromValid, opened.cutBytes, opened.log.nextSequence]).toEqual([true, 332, 4]);
    await opened.log.close();
  });

  test('refuses damage behind it', async () => {
    const { log, addresses } = await filled(5);
    await log.close();
    const { position } = addresses[3] as LogAddress;
    const bytes = disk.bytesOf(segmentAt(DIRECTORY, 1).path);
    bytes[position + 50] = 0;
    for (const sequence of [2, 4]) {
      const error = await rejection(openFrom({ sequence, address: addresses[sequence - 1] as LogAddress }));
      expect([sequence, error.code]).toEqual([sequence, 'LOG_CORRUPT']);
      expect(error.message).toContain(`position ${position}, where entry 4 `);
    }
  });

  test('says that it is of another log, and checks all, where it leads to no entry of its sequence', async () => {
    const { log, addresses } = await filled(20);
    const end = log.end;
    await log.close();
    const strange: RecoveryStart[] = [
      { sequence: 5, address: addresses[2] as LogAddress },
      { sequence: 40, address: { segment: end.segment, position: end.position + 4000 } },
      { sequence: 5, address: { segment: 999, position: 32 } },
      { sequence: 3, address: { segment: 1, position: 33 } },
      { sequence: 20, address: addresses[0] as LogAddress },
      { sequence: 1, address: { segment: 1, position: 0 } },
      { sequence: 3, address: { segment: 1, position: disk.bytesOf(segmentAt(DIRECTORY, 1).path).length } },
    ];
    for (const from of strange) {
      const opened = await openFrom(from);
      expect([from, opened.fromValid, opened.entriesChecked]).toEqual([from, false, 20]);
      expect(opened.log.nextSequence).toBe(21);
      await opened.log.close();
    }
  });

  test('says so in an empty directory too', async () => {
    const opened = await openFrom({ sequence: 9, address: { segment: 1, position: 500 } });
    expect([opened.fromValid, opened.log.nextSequence]).toEqual([false, 1]);
    await opened.log.close();
  });
});

describe('a look at a log that is not to be changed', () => {
  const look = () => recoverSegments({ disk, directory: DIRECTORY, shard: 0, repair: false }, null);

  test('finds what an opening would, without a write', async () => {
    const { log } = await filled(20);
    const { end, nextSequence, bytes } = log;
    await log.close();
    const calls: string[] = [];
    disk.onCall = (op) => void calls.push(op);
    const found = await look();
    expect(found).toMatchObject({ ...{ position: end.position, nextSequence, cutBytes: 0, entriesChecked: 20 } });
    expect((found?.olderBytes ?? 0) + (found?.position ?? 0)).toBe(bytes);
    expect([...new Set(calls)].sort()).toEqual(['list', 'openRead', 'read', 'size']);
  });

  test('measures a torn end and leaves it', async () => {
    const { log } = await filled(4);
    await log.close();
    const { path } = segmentAt(DIRECTORY, 1);
    const before = disk.bytesOf(path);
    before[before.length - 1] = 0;
    expect(await look()).toMatchObject({ cutBytes: 332, nextSequence: 4 });
    expect(disk.bytesOf(path)).toHaveLength(before.length);
  });

  test('passes over a last segment that is half made and leaves it, and none is a log without one', async () => {
    const { path } = segmentAt(DIRECTORY, 1);
    await disk.replaceSmallFile(path, Buffer.from('SLUICE'));
    expect(await look()).toBeNull();
    expect(disk.paths).toContain(path);
    const opened = await openFrom(null);
    expect(opened.log.nextSequence).toBe(1);
    await opened.log.close();
  });
});

describe('a segment that is half made', () => {
  test('is damage where another follows it, or where bytes follow its header', async () => {
    const { log } = await filled(20);
    await log.close();
    const [first] = disk.paths as [string];
    disk.bytesOf(first).fill(0, 0, 4);
    expect(await rejection(openFrom(null))).toMatchObject({
      code: 'LOG_CORRUPT',
      message: `${first} is damaged at position 0, before entry 1: a header that is none of a log segment`,
    });
    disk = new MemoryDisk();
    await prepare(disk);
    await disk.replaceSmallFile(first, Buffer.alloc(33));
    expect((await rejection(openFrom(null))).code).toBe('LOG_CORRUPT');
    await disk.replaceSmallFile(first, Buffer.alloc(32));
    await (await openFrom(null)).log.close();
  });

  test('is told when it can not be removed', async () => {
    const { path } = segmentAt(DIRECTORY, 1);
    await disk.replaceSmallFile(path, Buffer.alloc(3));
    disk.onCall = (op) => {
      if (op === 'remove') throw new DiskFault('EIO');
    };
    expect(await rejection(openFrom(null))).toMatchObject({
      code: 'LOG_WRITE_FAILED',
      message: `${path}, half made, cannot be removed: EIO: simulated`,
    });
  });
});

describe('the end of a log that is opened', () => {
  test('is made durable again: its last group is written as it stands, and no more of it', async () => {
    const { log, addresses } = await filled(4);
    await log.append([entry('one'), entry('two')]);
    const { position } = log.end;
    await log.close();
    const last = (addresses[3] as LogAddress).position + 332;
    const calls: string[] = [];
    disk.onCall = (op) => void calls.push(op);
    const before = Buffer.from(disk.bytesOf(segmentAt(DIRECTORY, 1).path));
    const opened = await openFrom(null);
    expect(calls.filter((op) => ['write', 'sync', 'truncate', 'syncDirectory'].includes(op))).toEqual([
      'write',
      'sync',
      'syncDirectory',
    ]);
    expect([last < position, Buffer.from(disk.bytesOf(segmentAt(DIRECTORY, 1).path)).equals(before)]).toEqual([
      true,
      true,
    ]);
    await opened.log.close();
  });

  test('is told when it can not be made durable, with nothing left open', async () => {
    const { log } = await filled(4);
    await log.close();
    for (const op of ['openWrite', 'write', 'sync', 'syncDirectory'] as const) {
      disk.onCall = (called) => {
        if (called === op) throw new DiskFault('EIO');
      };
      expect(await rejection(openFrom(null)), op).toMatchObject({
        code: 'LOG_WRITE_FAILED',
        message: `the end of ${segmentAt(DIRECTORY, 1).path} cannot be made durable: EIO: simulated`,
      });
      expect(disk.openFiles).toBe(0);
    }
  });
});

describe('the check of a long log', () => {
  test('ends between two segments when it is aborted, with nothing open and nothing changed', async () => {
    const { log } = await filled(20);
    await log.close();
    const segments = disk.paths.length;
    expect(segments).toBeGreaterThan(2);
    const controller = new AbortController();
    let opened = 0;
    disk.onCall = (op) => {
      if (op !== 'openRead') return;
      opened += 1;
      // The headers are read first; then the second segment is under way.
      if (opened === segments + 2) controller.abort(new Error('stop'));
    };
    const options = { disk, directory: DIRECTORY, shard: 0, segmentBytes: SEGMENT_BYTES };
    await expect(openSegmentLog(options, null, controller.signal)).rejects.toThrow('stop');
    expect([disk.openFiles, opened]).toEqual([0, segments + 2]);
    disk.onCall = null;
    const again = await openFrom(null);
    expect([again.entriesChecked, again.cutBytes]).toEqual([20, 0]);
    await again.log.close();
  });

  test('begins no write once it is aborted, at whichever call', async () => {
    const { log } = await filled(4);
    disk.onCall = (op) => {
      if (op === 'write') throw new DiskFault('EIO', { landedBytes: 100 });
    };
    await rejection(log.append([entry('torn'.padEnd(300, '.'))]));
    disk.onCall = null;
    await log.close();
    const options = { directory: DIRECTORY, shard: 0, segmentBytes: SEGMENT_BYTES };
    let seen = new Set<string>();
    for (let at = 1; ; at += 1) {
      const copy = disk.crash({ keep: 'all' });
      const controller = new AbortController();
      const calls: string[] = [];
      copy.onCall = (op) => {
        calls.push(op);
        if (calls.length === at) controller.abort(new Error('given up'));
      };
      const opening = openSegmentLog({ ...options, disk: copy }, null, controller.signal);
      const opened = await opening.catch((error: Error) => error.message);
      if (calls.length < at) {
        if (typeof opened !== 'string') await opened.log.close();
        break;
      }
      seen = new Set([...seen, ...calls]);
      expect([at, calls.slice(at).filter((op) => op === 'truncate' || op === 'write')]).toEqual([at, []]);
      if (typeof opened === 'string') expect(opened).toBe('given up');
      else await opened.log.close();
      expect(copy.openFiles).toBe(0);
    }
    expect([...seen]).toEqual(expect.arrayContaining(['truncate', 'write']));
  });
});
