/** Opening a log from where a checkpoint stands. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { LogAddress } from '../../src/storage/log.ts';
import { segmentAt } from '../../src/storage/segment.ts';
import { type OpenedSegmentLog, openSegmentLog, type SegmentLog } from '../../src/storage/segment-log.ts';
import type { RecoveryStart } from '../../src/storage/segment-recovery.ts';
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
});
