/** What lies behind a torn end is looked for at every byte, in pieces. */
import { describe, expect, it } from 'vitest';
import type { DiskFile } from '../../src/storage/disk.ts';
import { ENTRY_HEADER_BYTES, writeEntryHeader } from '../../src/storage/entry.ts';
import { EntryKind } from '../../src/storage/log.ts';
import { segmentAt } from '../../src/storage/segment.ts';
import { durableBehind } from '../../src/storage/segment-scan.ts';

const SALT = 7;
const MiB = 1024 * 1024;

function entryOf(sequence: number, bytes: number): Buffer {
  const entry = Buffer.alloc(ENTRY_HEADER_BYTES + bytes, sequence);
  const body = entry.subarray(ENTRY_HEADER_BYTES);
  writeEntryHeader(entry, 0, { epoch: 1, kind: EntryKind.batch, sequence, behind: 1 }, [body], SALT);
  return entry;
}

function fileOf(bytes: Buffer): DiskFile {
  const read = async (target: Uint8Array, position: number): Promise<number> => {
    const piece = bytes.subarray(position, position + target.length);
    target.set(piece);
    return piece.length;
  };
  return { path: '/log', read } as Partial<DiskFile> as DiskFile;
}

describe('what lies behind a torn end', () => {
  it('is found where it lies across two pieces', async () => {
    for (const at of [MiB - ENTRY_HEADER_BYTES, MiB - 1, MiB, 2 * MiB - 5]) {
      const bytes = Buffer.concat([Buffer.alloc(at, 1), entryOf(9, 20)]);
      const file = fileOf(bytes);
      expect(await durableBehind(file, segmentAt('/', 1, SALT), 0, 8, bytes.length), `at ${at}`).toBe(true);
      expect(await durableBehind(file, segmentAt('/', 1, SALT), 0, 9, bytes.length), `at ${at}`).toBe(false);
    }
  });
});
