/** Reading entries out of segments: where a read ends, what is damage, and which descriptors stay open. */
import { describe, expect, it } from 'vitest';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import { ENTRY_HEADER_BYTES, writeEntryHeader, writeSegmentHeader } from '../../src/storage/entry.ts';
import { type EntryRange, EntryReader } from '../../src/storage/entry-reader.ts';
import { EntryKind } from '../../src/storage/log.ts';
import { type Segment, segmentAt } from '../../src/storage/segment.ts';
import { MemoryDisk } from '../../src/testing/memory-disk.ts';
import { rejection } from './log-contract.ts';

const SALT = 9;

function entryOf(sequence: number, bytes = 20): Buffer {
  const body = Buffer.alloc(bytes, sequence);
  const entry = Buffer.concat([Buffer.alloc(ENTRY_HEADER_BYTES), body]);
  writeEntryHeader(entry, 0, { epoch: 1, kind: EntryKind.batch, sequence, behind: 1 }, [body], SALT);
  return entry;
}

/** A segment of these entries; its reader, and the positions of the entries. */
async function segmentOf(entries: readonly Buffer[], first = 1) {
  const disk = new MemoryDisk();
  const segment = segmentAt('/', first, SALT);
  await disk.replaceSmallFile(segment.path, Buffer.concat([writeSegmentHeader(0, first, SALT), ...entries]));
  const reader = new EntryReader(disk);
  let at = 32;
  const positions = entries.map((entry) => {
    at += entry.length;
    return at - entry.length;
  });
  const range = (given: Partial<EntryRange>): EntryRange => ({
    segment,
    position: 32,
    end: null,
    before: first + entries.length,
    bytesMax: 4096,
    ...given,
  });
  return { disk, segment, reader, positions, end: at, range };
}

const sequences = ({ entries }: Awaited<ReturnType<EntryReader['read']>>): number[] =>
  entries.map(({ sequence }) => sequence);

describe('a read', () => {
  it('gives entries with all that was written of them, and ends the segment behind its last', async () => {
    const { reader, range, positions } = await segmentOf([entryOf(1), entryOf(2, 0)]);
    expect(await reader.read(range({}))).toEqual({
      entries: [
        { sequence: 1, epoch: 1, kind: 1, body: Buffer.alloc(20, 1), address: { segment: 1, position: 32 } },
        { sequence: 2, epoch: 1, kind: 1, body: Buffer.alloc(0), address: { segment: 1, position: positions[1] } },
      ],
      position: null,
    });
  });

  it('goes no further than it is told, by position or by sequence', async () => {
    const { reader, range, positions, end } = await segmentOf([entryOf(1), entryOf(2), entryOf(3)]);
    expect(sequences(await reader.read(range({ end: positions[2] as number })))).toEqual([1, 2]);
    expect(await reader.read(range({ end: positions[2] as number }))).toMatchObject({ position: null });
    const before = await reader.read(range({ before: 3 }));
    expect([sequences(before), before.position]).toEqual([[1, 2], null]);
    expect(await reader.read(range({ position: end }))).toEqual({ entries: [], position: null });
  });

  it('takes about as many bytes as it is asked for, and says where to read on', async () => {
    const { reader, range, positions } = await segmentOf([1, 2, 3, 4].map((sequence) => entryOf(sequence, 2000)));
    const first = await reader.read(range({ bytesMax: 1 }));
    expect([sequences(first), first.position]).toEqual([[1, 2], positions[2]]);
    const rest = await reader.read(range({ position: first.position as number, bytesMax: 9000 }));
    expect([sequences(rest), rest.position]).toEqual([[3, 4], null]);
  });

  it('gives one entry at least, however long', async () => {
    const { reader, range, positions } = await segmentOf([entryOf(1, 50_000), entryOf(2)]);
    const read = await reader.read(range({ bytesMax: 1 }));
    expect([sequences(read), read.position]).toEqual([[1], positions[1]]);
  });
});

describe('damage', () => {
  const damaged = (entry: Buffer): Buffer => {
    entry[40] = (entry[40] as number) ^ 1;
    return entry;
  };

  it('in the first entry is told by the entry that was due', async () => {
    const { reader, range } = await segmentOf([damaged(entryOf(1)), entryOf(2)]);
    const error = await rejection(reader.read(range({})));
    expect([error.code, error.message]).toEqual([
      'LOG_CORRUPT',
      '/00000000000000000001.log is damaged at position 32, where entry 1 was due: a body whose CRC does not match',
    ]);
  });

  it('is told behind what is sound, not before it', async () => {
    const { reader, range, positions } = await segmentOf([entryOf(1), damaged(entryOf(2))]);
    const sound = await reader.read(range({}));
    expect([sequences(sound), sound.position]).toEqual([[1], positions[1]]);
    const error = await rejection(reader.read(range({ position: positions[1] as number })));
    expect(error.message).toContain(`position ${positions[1]}, where entry 2 was due`);
  });

  it('is an entry of another sequence where one is due', async () => {
    const { reader, range } = await segmentOf([entryOf(5), entryOf(6)]);
    const error = await rejection(reader.read(range({ before: 9 })));
    expect(error.message).toContain('position 32, where entry 1 was due: not the entry that was due');
  });

  it('is an entry cut off at the end of the file', async () => {
    const { reader, range } = await segmentOf([entryOf(1).subarray(0, 40)]);
    const error = await rejection(reader.read(range({})));
    expect(error.message).toContain('where entry 1 was due: not the entry that was due');
  });

  it('is an address at which no entry begins', async () => {
    const { reader, range, positions } = await segmentOf([entryOf(1), entryOf(2), entryOf(3)]);
    const error = await rejection(reader.read(range({ position: (positions[1] as number) + 1 })));
    expect([error.code, error.message.includes(`position ${(positions[1] as number) + 1}`)]).toEqual([
      'LOG_CORRUPT',
      true,
    ]);
  });

  it('is not what a failed write left behind the end of the segment', async () => {
    const { reader, range, positions } = await segmentOf([entryOf(1), entryOf(2), entryOf(3), entryOf(4)]);
    expect(await reader.read(range({ position: positions[2] as number, before: 3 }))).toEqual({
      entries: [],
      position: null,
    });
    const error = await rejection(reader.read(range({ position: positions[3] as number, before: 3 })));
    expect(error.message).toContain(`position ${positions[3]}, where entry 3 was due: not the entry that was due`);
  });

  it('in front of such an end is named where it lies', async () => {
    const { reader, range, positions } = await segmentOf([damaged(entryOf(1)), entryOf(2), entryOf(3)]);
    const error = await rejection(reader.read(range({ position: positions[2] as number, before: 3 })));
    expect(error.message).toContain('position 32, where entry 1 was due');
  });
});

describe('the descriptors of a reader', () => {
  /** A disk with `count` segments, and a reader of them. */
  async function segments(count: number): Promise<{ disk: MemoryDisk; reader: EntryReader; all: Segment[] }> {
    const disk = new MemoryDisk();
    const all = Array.from({ length: count }, (_, index) => segmentAt('/', index + 1, SALT));
    for (const { path } of all) await disk.replaceSmallFile(path, Buffer.from('x'));
    return { disk, reader: new EntryReader(disk), all };
  }

  async function opened(disk: MemoryDisk, act: () => Promise<unknown>): Promise<string[]> {
    const paths: string[] = [];
    disk.onCall = (op, path) => {
      if (op === 'openRead') paths.push(path);
    };
    await act();
    disk.onCall = null;
    return paths;
  }

  it('stay open, eight of them, and the longest unused goes first', async () => {
    const { disk, reader, all } = await segments(12);
    for (const segment of all.slice(0, 8)) await reader.size(segment);
    expect(await opened(disk, () => reader.size(all[0] as Segment))).toEqual([]);
    for (const segment of all.slice(8, 10)) await reader.size(segment);
    await new Promise(setImmediate);
    expect(disk.openFiles).toBe(8);
    // The first was used again after the second and third, which had to go.
    expect(await opened(disk, () => reader.size(all[0] as Segment))).toEqual([]);
    expect(await opened(disk, () => reader.size(all[3] as Segment))).toEqual([]);
    expect(await opened(disk, () => reader.size(all[1] as Segment))).toEqual([(all[1] as Segment).path]);
    await reader.close();
    expect(disk.openFiles).toBe(0);
  });

  it('are one for all who read a segment at a time', async () => {
    const { disk, reader, all } = await segments(1);
    const paths = await opened(disk, () => Promise.all([1, 2, 3].map(() => reader.size(all[0] as Segment))));
    expect(paths).toHaveLength(1);
    await reader.close();
  });

  it('are let go of at once when their segment is dropped, and opened anew by the next read', async () => {
    const { disk, reader, all } = await segments(1);
    await reader.size(all[0] as Segment);
    reader.drop(1);
    reader.drop(7);
    await new Promise(setImmediate);
    expect(disk.openFiles).toBe(0);
    expect(await opened(disk, () => reader.size(all[0] as Segment))).toHaveLength(1);
    await reader.close();
  });

  it('are not closed while they are read from, though many others are open', async () => {
    const { disk, reader, all } = await segments(20);
    const held: (() => void)[] = [];
    disk.onCall = (op) => (op === 'size' ? new Promise<void>((resolve) => held.push(resolve)) : undefined);
    const sizes = all.map((segment) => reader.size(segment));
    await new Promise(setImmediate);
    expect(disk.openFiles).toBe(20);
    for (const release of held) release();
    expect(await Promise.all(sizes)).toEqual(all.map(() => 1));
    await new Promise(setImmediate);
    expect(disk.openFiles).toBe(8);
    await reader.close();
    expect(disk.openFiles).toBe(0);
  });

  it('in use are neither counted as idle nor let go of for others', async () => {
    const { disk, reader, all } = await segments(10);
    const [first, ...others] = all as [Segment, ...Segment[]];
    let release = (): void => {};
    disk.onCall = (op, path) => {
      if (op !== 'size' || path !== first.path) return;
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    };
    const size = reader.size(first);
    await new Promise(setImmediate);
    for (const segment of others) await reader.size(segment);
    await new Promise(setImmediate);
    expect(disk.openFiles).toBe(9);
    release();
    await size;
    await reader.close();
    expect(disk.openFiles).toBe(0);
  });

  it('that could not be opened are tried again by the next read', async () => {
    const { disk, reader, all } = await segments(1);
    const [segment] = all as [Segment];
    disk.onCall = (op) => {
      if (op === 'openRead') throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    };
    const error = await rejection(reader.size(segment));
    expect([error.code, error.message]).toEqual([
      'LOG_READ_FAILED',
      '/00000000000000000001.log cannot be opened: too many open files',
    ]);
    disk.onCall = null;
    expect(await reader.size(segment)).toBe(1);
    await reader.close();
  });

  it('that do not tell their size say so', async () => {
    const { disk, reader, all } = await segments(1);
    disk.onCall = (op) => {
      if (op === 'size') throw new Error('i/o error');
    };
    const error = await rejection(reader.size(all[0] as Segment));
    expect([error.code, error.message]).toEqual([
      'LOG_READ_FAILED',
      'the size of /00000000000000000001.log cannot be read: i/o error',
    ]);
    await reader.close();
    expect(disk.openFiles).toBe(0);
  });

  it('are closed when the last read is over, and none is opened afterwards', async () => {
    const { disk, reader, all } = await segments(1);
    const [segment] = all as [Segment];
    let go: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    disk.onCall = (op) => (op === 'openRead' ? held : undefined);
    const size = reader.size(segment);
    let isClosed = false;
    const closed = reader.close().then(() => {
      isClosed = true;
    });
    await new Promise(setImmediate);
    expect(isClosed).toBe(false);
    go();
    expect(await size).toBe(1);
    await closed;
    expect(disk.openFiles).toBe(0);
    await expect(reader.size(segment)).rejects.toMatchObject({ code: 'LOG_READ_FAILED', message: 'the log is closed' });
  });

  it('are closed, all of them, before the close is told: a slow one and the last of several reads included', async () => {
    const steps: string[] = [];
    const held = new Map<string, () => void>();
    const hold = (name: string): Promise<void> =>
      new Promise((resolve) => {
        held.set(name, () => {
          steps.push(name);
          resolve();
        });
      });
    const file = (path: string): Partial<DiskFile> => ({
      path,
      size: async () => {
        await hold(`size ${path}`);
        return 1;
      },
      close: () => hold(`close ${path}`),
    });
    const slow: Partial<Disk> = { openRead: async (path) => file(path) as DiskFile };
    const reader = new EntryReader(slow as Disk);
    const [one, two] = [segmentAt('/', 1), segmentAt('/', 2)];
    const sizes = [reader.size(one), reader.size(two)];
    await new Promise(setImmediate);
    const closed = reader.close().then(() => steps.push('closed'));
    for (const name of [`size ${one.path}`, `size ${two.path}`, `close ${one.path}`, `close ${two.path}`]) {
      await new Promise(setImmediate);
      expect(steps).not.toContain('closed');
      held.get(name)?.();
    }
    await Promise.all([...sizes, closed]);
    expect(steps.slice(-2)).toEqual([`close ${two.path}`, 'closed']);
  });

  it('that do not close well lose nothing', async () => {
    const close = async (): Promise<never> => {
      throw new Error('i/o error');
    };
    const file: Partial<DiskFile> = { path: '/x', size: async () => 1, close };
    const reader = new EntryReader({ openRead: async () => file as DiskFile } as Partial<Disk> as Disk);
    expect(await reader.size(segmentAt('/', 1))).toBe(1);
    await expect(reader.close()).resolves.toBeUndefined();
  });
});
