import { describe, expect, it } from 'vitest';
import type { DiskFile } from '../../src/storage/disk.ts';
import { ENTRY_HEADER_BYTES, writeEntryHeader } from '../../src/storage/entry.ts';
import { EntryKind } from '../../src/storage/log.ts';
import { segmentAt } from '../../src/storage/segment.ts';
import { durableBehind, scanSegment } from '../../src/storage/segment-scan.ts';

const SALT = 7;
const MiB = 1024 * 1024;

function entryOf(sequence: number, bytes: number, behind = 1): Buffer {
  const entry = Buffer.alloc(ENTRY_HEADER_BYTES + bytes, sequence);
  const body = entry.subarray(ENTRY_HEADER_BYTES);
  writeEntryHeader(entry, 0, { epoch: 1, kind: EntryKind.batch, sequence, behind }, [body], SALT);
  return entry;
}

/** A file of these bytes, and what was asked of it. */
function fileOf(bytes: Buffer): { file: DiskFile; reads: number[] } {
  const reads: number[] = [];
  const read = async (target: Uint8Array, position: number): Promise<number> => {
    reads.push(target.length);
    const piece = bytes.subarray(position, position + target.length);
    target.set(piece);
    return piece.length;
  };
  return { file: { path: '/log', read } as Partial<DiskFile> as DiskFile, reads };
}

async function scanned(bytes: Buffer, before = Number.MAX_SAFE_INTEGER) {
  const { file, reads } = fileOf(bytes);
  const sequences: number[] = [];
  const range = { segment: segmentAt('/', 1, SALT), position: 0, sequence: 1, before, fileBytes: bytes.length };
  const end = await scanSegment(file, range, ({ sequence, body }) => {
    if (body.every((byte) => byte === sequence)) sequences.push(sequence);
  });
  return { end, sequences, reads };
}

describe('a scan of a segment', () => {
  it('finds entries that lie across the pieces in which it reads, and one longer than a piece', async () => {
    const bytes = Buffer.concat([entryOf(1, 600_000), entryOf(2, 700_000), entryOf(3, 3 * MiB), entryOf(4, 10)]);
    const { end, sequences, reads } = await scanned(bytes);
    expect(sequences).toEqual([1, 2, 3, 4]);
    expect(end).toEqual({ position: bytes.length, sequence: 5, fault: null });
    // No read is longer than a piece or the one entry that needs more.
    expect(Math.max(...reads)).toBe(ENTRY_HEADER_BYTES + 3 * MiB);
  });

  it('says where an entry is cut off, however long it claims to be, and reads no more than there is', async () => {
    const whole = entryOf(1, 100);
    const long = entryOf(2, 5 * MiB).subarray(0, 2 * MiB);
    const { end, sequences, reads } = await scanned(Buffer.concat([whole, long]));
    expect(sequences).toEqual([1]);
    expect(end).toEqual({ position: whole.length, sequence: 2, fault: 'an entry cut off at the end of the file' });
    expect(Math.max(...reads)).toBeLessThanOrEqual(MiB);
  });

  it('ends before the first entry that belongs to the next segment', async () => {
    const { end, sequences } = await scanned(Buffer.concat([entryOf(1, 5), entryOf(2, 5), entryOf(3, 5)]), 3);
    expect(sequences).toEqual([1, 2]);
    expect(end.fault).toBe(null);
  });
});

describe('a short search behind a torn end', () => {
  it('finds an entry of a group that was written when the one due had been durable, wherever it begins', async () => {
    for (const at of [0, 1, 31, 100]) {
      const bytes = Buffer.concat([Buffer.alloc(at, 1), entryOf(9, 20), Buffer.alloc(3, 1)]);
      const { file } = fileOf(bytes);
      const found = (due: number, position = 0) =>
        durableBehind(file, segmentAt('/', 1, SALT), position, due, bytes.length);
      expect([await found(8), await found(9), await found(8, at + 1)]).toEqual([true, false, false]);
    }
  });

  it('takes no entry of another segment, and none that is cut off in its header', async () => {
    const whole = entryOf(9, 0);
    const found = (bytes: Buffer, salt: number) =>
      durableBehind(fileOf(bytes).file, segmentAt('/', 1, salt), 0, 8, bytes.length);
    expect([await found(whole, SALT), await found(whole, SALT + 1)]).toEqual([true, false]);
    expect(await found(whole.subarray(0, 31), SALT)).toBe(false);
  });
});
