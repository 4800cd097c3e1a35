/** The next segment, made ahead of zeros: used where it is ready, missed nowhere, and never taken for entries. */
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ENTRY_HEADER_BYTES, readEntryHeader, saltTellsZeros } from '../../src/storage/entry.ts';
import { segmentAt } from '../../src/storage/segment.ts';
import { openSegmentLog } from '../../src/storage/segment-log.ts';
import { SpareSegment } from '../../src/storage/spare-segment.ts';
import { DiskFault, type DiskOp, MemoryDisk } from '../../src/testing/memory-disk.ts';
import { entry, texts } from './log-contract.ts';
import { DIRECTORY, open, prepare, SEGMENT_BYTES } from './segment-script.ts';

const spare = SpareSegment.pathIn(DIRECTORY);

async function newDisk(capacityBytes?: number): Promise<MemoryDisk> {
  const disk = new MemoryDisk(capacityBytes);
  await prepare(disk);
  return disk;
}

/** Appends entries of 300 bytes, one a group, letting what runs in the background run. */
async function fill(log: Awaited<ReturnType<typeof open>>, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await log.append([entry('x'.repeat(300))]);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a spare segment', () => {
  test('is made when the present one is half full, and becomes the next one', async () => {
    const disk = await newDisk();
    const ops: DiskOp[] = [];
    const log = await open(disk);
    await fill(log, 2);
    expect(disk.paths).not.toContain(spare);
    await fill(log, 2);
    expect(disk.paths).toContain(spare);
    disk.onCall = (op) => void ops.push(op);
    await fill(log, 3);
    expect(ops).toContain('rename');
    const second = segmentAt(DIRECTORY, 7).path;
    expect(disk.bytesOf(second)).toHaveLength(SEGMENT_BYTES);
    expect(await texts(log)).toHaveLength(7);
    await log.close();
    expect(disk.paths).toEqual([segmentAt(DIRECTORY, 1).path, second]);
    expect(disk.bytesOf(second).length).toBeLessThan(SEGMENT_BYTES);
  });

  test('of which a kill leaves zeros behind the last entry is no torn end, and loses nothing', async () => {
    const disk = await newDisk();
    const log = await open(disk);
    await fill(log, 9);
    const found = disk.crash({ keep: 'none' });
    const again = await openSegmentLog(
      { disk: found, directory: DIRECTORY, shard: 0, segmentBytes: SEGMENT_BYTES },
      null,
    );
    expect([again.cutBytes, again.log.nextSequence]).toEqual([0, 10]);
    expect(found.paths).not.toContain(spare);
    await fill(again.log, 3);
    expect(await texts(again.log)).toHaveLength(12);
    await again.log.close();
  });

  test('is not made where the disk has little room', async () => {
    const disk = await newDisk(4 * SEGMENT_BYTES);
    const log = await open(disk);
    await fill(log, 9);
    expect(disk.paths).not.toContain(spare);
    await log.close();
  });

  test('goes when the disk is full, before anything that counts is refused twice', async () => {
    const disk = await newDisk();
    const log = await open(disk);
    await fill(log, 4);
    expect(disk.paths).toContain(spare);
    disk.capacityBytes = disk.usedBytes;
    await expect(log.append([entry('y'.repeat(300))])).rejects.toMatchObject({ code: 'LOG_WRITE_FAILED' });
    expect(disk.paths).not.toContain(spare);
    await log.rollOver();
    await log.append([entry('y'.repeat(300))]);
    await log.close();
  });

  test.each(['space', 'makeZeroed'] as const)('that cannot be made (%s) is missed by nobody', async (failing) => {
    const disk = await newDisk();
    let tried = 0;
    disk.onCall = (op) => {
      if (op !== failing) return;
      tried += 1;
      throw new DiskFault('EIO');
    };
    const log = await open(disk);
    await fill(log, 20);
    // Once for each segment, not for each write.
    expect(tried).toBeGreaterThan(1);
    expect(tried).toBeLessThan(5);
    expect(await texts(log)).toHaveLength(20);
    await log.close();
    expect(disk.openFiles).toBe(0);
  });

  test('whose making hangs is waited for by the close alone, which ends it', async () => {
    const disk = await newDisk();
    let release = (): void => {};
    disk.onCall = (op) => {
      if (op === 'makeZeroed') return new Promise<void>((resolve) => (release = resolve));
      return undefined;
    };
    const log = await open(disk);
    await fill(log, 20);
    expect(await texts(log)).toHaveLength(20);
    const closing = log.close();
    release();
    await closing;
    expect(disk.paths).not.toContain(spare);
  });
});

describe('a salt', () => {
  /** The one salt by which 28 zero bytes have a CRC of 0: found by running the CRC backwards, which is one to one. */
  function salt(): number {
    let register = 0xffffffff;
    for (let bit = 0; bit < 28 * 8; bit += 1) {
      register = register & 0x80000000 ? ((register ^ 0xedb88320) << 1) | 1 : register << 1;
    }
    return (register ^ 0xffffffff) >>> 0;
  }

  test('by which zeros would read as a header is none', () => {
    const odd = salt();
    const zeros = new Uint8Array(ENTRY_HEADER_BYTES);
    expect(crc32(zeros.subarray(0, 28), odd)).toBe(0);
    expect(saltTellsZeros(odd)).toBe(false);
    expect(() => readEntryHeader(zeros, 0, odd)).toThrow(/format version 0/);
    for (const good of [odd + 1, 0, 1, 5, 0xffffffff]) expect(saltTellsZeros(good)).toBe(true);
  });

  test('like that is drawn again', async () => {
    const disk = await newDisk();
    const draws = [salt(), 77];
    const drawSalt = (): number => draws.shift() ?? 78;
    const options = { disk, directory: DIRECTORY, shard: 0, segmentBytes: SEGMENT_BYTES, drawSalt };
    const { log } = await openSegmentLog(options, null);
    expect(draws).toEqual([]);
    await fill(log, 2);
    await log.close();
  });
});
