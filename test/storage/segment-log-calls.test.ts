/** The segment log and its disk: which calls it makes in which order, and in which words it tells of one that failed. */
import { beforeEach, describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/errors.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import { EntryKind } from '../../src/storage/log.ts';
import { listSegments, segmentAt } from '../../src/storage/segment.ts';
import { openSegmentLog, type SegmentLog } from '../../src/storage/segment-log.ts';
import { DiskFault, type DiskOp, MemoryDisk } from '../../src/testing/memory-disk.ts';
import { entry, rejection, texts } from './log-contract.ts';

const DIRECTORY = '/log';
const first = segmentAt(DIRECTORY, 1).path;
const options = { directory: DIRECTORY, shard: 4, segmentBytes: 1000 };

let disk: MemoryDisk;
beforeEach(() => {
  disk = new MemoryDisk();
});

async function opened(on: Disk = disk): Promise<SegmentLog> {
  return (await openSegmentLog({ ...options, disk: on }, null)).log;
}

/** Fails every call of this kind from now on, on one path or any. */
function fail(failing: DiskOp, path?: string): void {
  disk.onCall = (op, called) => {
    if (op === failing && (path === undefined || path === called)) throw new DiskFault('EIO');
  };
}

/** Calls made by `act`, by name and file. */
async function callsOf(act: () => Promise<unknown>, kinds: readonly DiskOp[]): Promise<string[]> {
  const calls: string[] = [];
  disk.onCall = (op, path) => {
    if (kinds.includes(op)) calls.push(`${op} ${path}`);
  };
  await act();
  disk.onCall = null;
  return calls;
}

describe('a segment log', () => {
  it('makes its folder and a first segment, durable before it is used', async () => {
    const calls = await callsOf(opened, ['makeDirectory', 'openWrite', 'write', 'syncDirectory']);
    expect(calls).toEqual([
      `makeDirectory ${DIRECTORY}`,
      `openWrite ${first}`,
      `write ${first}`,
      `syncDirectory ${DIRECTORY}`,
    ]);
    expect(Buffer.from(disk.bytesOf(first)).readUInt32BE(12)).toBe(4);
  });

  it('writes a group as one write, and begins a segment before the group that finds the last one full', async () => {
    const log = await opened();
    const group = [entry('a'.repeat(500)), entry('b'.repeat(500))];
    expect(await callsOf(() => log.append(group), ['write', 'openWrite', 'syncDirectory'])).toEqual([`write ${first}`]);
    const second = segmentAt(DIRECTORY, 3).path;
    expect(await callsOf(() => log.append([entry('c')]), ['write', 'openWrite', 'syncDirectory'])).toEqual([
      `openWrite ${second}`,
      `write ${second}`,
      `syncDirectory ${DIRECTORY}`,
      `write ${second}`,
    ]);
    expect(disk.openFiles).toBe(1);
    expect([log.firstSequence, log.nextSequence, log.end]).toEqual([1, 4, { segment: 3, position: 32 + 33 }]);
    expect(log.bytes).toBe(32 + 2 * 532 + 32 + 33);
    await log.close();
  });

  it('fills a segment up to its size and no further: the group that reaches it is the last', async () => {
    const log = await opened();
    await log.append([entry('a'.repeat(1000 - 64))]);
    expect(log.end).toEqual({ segment: 1, position: 1000 });
    await log.append([entry('b')]);
    expect(log.end.segment).toBe(2);
    await log.close();
  });

  it('copies small parts together and writes large ones from where they are', async () => {
    const written: Uint8Array[][] = [];
    const watched = (file: DiskFile): DiskFile => ({
      path: file.path,
      writeSynced: (parts, position) => {
        written.push([...parts]);
        return file.writeSynced(parts, position);
      },
      read: (target, position) => file.read(target, position),
      size: () => file.size(),
      truncate: (bytes) => file.truncate(bytes),
      sync: () => file.sync(),
      close: () => file.close(),
    });
    const below = disk;
    const log = await opened({
      openRead: (path) => below.openRead(path),
      openWrite: async (path, how) => watched(await below.openWrite(path, how)),
      list: (path) => below.list(path),
      makeDirectory: (path) => below.makeDirectory(path),
      syncDirectory: (path) => below.syncDirectory(path),
      readSmallFile: (path) => below.readSmallFile(path),
      replaceSmallFile: (path, bytes) => below.replaceSmallFile(path, bytes),
      remove: (path) => below.remove(path),
      removeTree: (path) => below.removeTree(path),
      space: (path) => below.space(path),
    });
    written.length = 0;
    const [small, large, little] = [Buffer.alloc(16 * 1024 - 1, 1), Buffer.alloc(16 * 1024, 2), Buffer.alloc(3, 3)];
    await log.append([{ kind: EntryKind.batch, parts: [small, large, little] }, entry('x')]);
    expect(written).toHaveLength(1);
    const [head, body, rest] = written[0] ?? [];
    expect([written[0]?.length, head?.length, body === large, rest?.length]).toEqual([3, 32 + small.length, true, 36]);
    written.length = 0;
    await log.append([{ kind: EntryKind.batch, parts: [large] }]);
    expect(written.at(-1)?.map(({ length }) => length)).toEqual([32, large.length]);
    await log.close();
  });

  it('draws a salt for every segment', async () => {
    let drawn = 6;
    const drawSalt = (): number => {
      drawn += 1;
      return drawn;
    };
    const { log } = await openSegmentLog({ ...options, disk, drawSalt }, null);
    await log.append([entry('a'.repeat(1000))]);
    await log.append([entry('b')]);
    const salts = disk.paths.map((path) => Buffer.from(disk.bytesOf(path)).readUInt32BE(24));
    expect(salts).toEqual([7, 8]);
    await log.close();
    const random = new MemoryDisk();
    await (await opened(random)).close();
    const another = new MemoryDisk();
    await (await opened(another)).close();
    expect(Buffer.from(random.bytesOf(first)).equals(another.bytesOf(first))).toBe(false);
  });

  it('makes each removal of a segment durable before the next, and the last before it is told', async () => {
    const log = await opened();
    for (const text of ['a', 'b', 'c']) await log.append([entry(text.repeat(1000))]);
    const calls = await callsOf(() => log.truncateBefore(3), ['remove', 'syncDirectory']);
    const sync = `syncDirectory ${DIRECTORY}`;
    expect(calls).toEqual([sync, `remove ${first}`, sync, `remove ${segmentAt(DIRECTORY, 2).path}`, sync]);
    expect(log.bytes).toBe(32 + 1032);
    expect(await callsOf(() => log.truncateBefore(3), ['remove', 'syncDirectory'])).toEqual([]);
    await log.close();
  });

  it('counts its bytes over a segment that was rolled over, and over one that was empty', async () => {
    const log = await opened();
    const rollOver = async (): Promise<void> => {
      disk.onCall = (op) => {
        if (op === 'write') throw new DiskFault('EIO');
      };
      await rejection(log.append([entry('lost')]));
      disk.onCall = null;
      await log.rollOver();
    };
    await rollOver();
    expect([log.bytes, log.end]).toEqual([32, { segment: 1, position: 32 }]);
    await log.append([entry('kept')]);
    await rollOver();
    expect([log.bytes, log.end]).toEqual([32 + 36 + 32, { segment: 2, position: 32 }]);
    await rollOver();
    expect([log.bytes, log.end]).toEqual([32 + 36 + 32, { segment: 2, position: 32 }]);
    await log.append([entry('again')]);
    expect(await texts(log)).toEqual(['kept', 'again']);
    await log.close();
    expect(disk.openFiles).toBe(0);
  });
});

describe('a call that fails is told in words:', () => {
  it.each<[DiskOp, string, string]>([
    ['makeDirectory', 'LOG_WRITE_FAILED', 'the log directory /log cannot be made: EIO: simulated'],
    ['list', 'LOG_READ_FAILED', 'the log directory /log cannot be listed: EIO: simulated'],
    ['openWrite', 'LOG_WRITE_FAILED', 'no segment can be made in /log: EIO: simulated'],
    ['write', 'LOG_WRITE_FAILED', 'no segment can be made in /log: EIO: simulated'],
    ['syncDirectory', 'LOG_WRITE_FAILED', 'no segment can be made in /log: EIO: simulated'],
  ])('%s in the making of a log', async (op, code, message) => {
    fail(op);
    expect(await rejection(opened())).toMatchObject({ code, message });
    expect(disk.openFiles).toBe(0);
  });

  it('the opening of the last segment', async () => {
    await (await opened()).close();
    let opens = 0;
    disk.onCall = (op) => {
      // The recovery writes first; then the log opens it for good.
      if (op === 'openWrite' && ++opens === 2) throw new DiskFault('EIO');
    };
    expect(await rejection(opened())).toMatchObject({
      code: 'LOG_WRITE_FAILED',
      message: `${first} cannot be opened for writing: EIO: simulated`,
    });
    expect(disk.openFiles).toBe(0);
  });

  it('an append, and a roll-over', async () => {
    const log = await opened();
    fail('write');
    expect(await rejection(log.append([entry('x')]))).toMatchObject({
      code: 'LOG_WRITE_FAILED',
      message: `${first} cannot be written: EIO: simulated`,
    });
    expect(await rejection(log.rollOver())).toMatchObject({
      code: 'LOG_WRITE_FAILED',
      message: 'no new segment can be made in /log: EIO: simulated',
    });
    await log.close();
  });

  it('a removal, and what makes it durable', async () => {
    const log = await opened();
    for (const text of ['a', 'b']) await log.append([entry(text.repeat(1000))]);
    fail('remove');
    expect(await rejection(log.truncateBefore(2))).toMatchObject({
      code: 'LOG_WRITE_FAILED',
      message: `${first} cannot be removed: EIO: simulated`,
    });
    fail('syncDirectory');
    expect(await rejection(log.truncateBefore(2))).toMatchObject({
      code: 'LOG_WRITE_FAILED',
      message: 'the names in /log cannot be made durable: EIO: simulated',
    });
    fail('size');
    expect((await rejection(log.truncateBefore(2))).code).toBe('LOG_READ_FAILED');
    expect(log.firstSequence).toBe(1);
    disk.onCall = null;
    expect(await log.truncateBefore(2)).toBe(1064);
    await log.close();
  });

  it('a read of what is not there', async () => {
    const log = await opened();
    expect(await rejection(log.read({ segment: 9, position: 32 }, 1))).toMatchObject({
      code: 'LOG_READ_FAILED',
      message: 'there is no segment 9 in /log',
    });
    await log.close();
  });

  it('a call that its caller should not have made', async () => {
    const log = await opened();
    await expect(log.rollOver()).rejects.toThrow('only a fenced log rolls over');
    const appending = log.append([entry('x')]);
    expect(() => log.append([entry('y')])).toThrow(new InvariantError('one append at a time'));
    await appending;
    fail('write');
    await rejection(log.append([entry('z')]));
    expect(() => log.append([entry('z')])).toThrow(new InvariantError('the log is fenced: roll over first'));
    disk.onCall = null;
    await log.close();
    expect(() => log.append([entry('z')])).toThrow(new InvariantError('the log is closed'));
  });
});

describe('the segments of a folder', () => {
  it('are its files of twenty digits, oldest first', async () => {
    for (const name of [
      '00000000000000000010.log',
      '00000000000000000002.log',
      '2.log',
      '00000000000000000003.log.new',
      'x00000000000000000004.log',
      '00000000000000000005xlog',
    ]) {
      await disk.replaceSmallFile(`/${name}`, Buffer.from('x'));
    }
    expect(await listSegments(disk, '/')).toEqual([
      { first: 2, salt: 0, path: '/00000000000000000002.log' },
      { first: 10, salt: 0, path: '/00000000000000000010.log' },
    ]);
    expect(segmentAt('/', 7, 9)).toEqual({ first: 7, salt: 9, path: '/00000000000000000007.log' });
  });
});
