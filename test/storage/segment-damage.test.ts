/** Damage and torn ends: what is cut, and what is refused by file, position and sequence. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { LogAddress } from '../../src/storage/log.ts';
import { segmentAt } from '../../src/storage/segment.ts';
import { MemoryDisk } from '../../src/testing/memory-disk.ts';
import { entry, rejection, texts } from './log-contract.ts';
import { DIRECTORY, open, prepare } from './segment-script.ts';

const first = segmentAt(DIRECTORY, 1).path;

let disk: MemoryDisk;

beforeEach(async () => {
  disk = new MemoryDisk();
  await prepare(disk);
});

async function written(...groups: readonly (readonly string[])[]): Promise<LogAddress[]> {
  const log = await open(disk);
  const addresses: LogAddress[] = [];
  for (const group of groups) addresses.push(...(await log.append(group.map(entry))).addresses);
  await log.close();
  return addresses;
}

/** The disk with one byte changed; the original stays. */
function flipped(path: string, at: number, mask = 0x10): MemoryDisk {
  const copy = disk.crash({ keep: 'none' });
  const bytes = copy.bytesOf(path);
  bytes[at] = (bytes[at] as number) ^ mask;
  return copy;
}

async function openedTexts(from: MemoryDisk): Promise<string[]> {
  const log = await open(from);
  const found = await texts(log);
  await log.close();
  return found;
}

describe('damage to an entry that was durable', () => {
  test('is refused with file, position and sequence, whichever of its bytes is changed', async () => {
    const addresses = await written(['first'], ['the middle one'], ['third'], ['fourth']);
    const [from, to] = [addresses[1]?.position ?? 0, addresses[2]?.position ?? 0];
    expect(to - from).toBe(32 + 'the middle one'.length);
    for (let at = from; at < to; at += 1) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const error = await rejection(open(flipped(first, at, mask)));
        expect([at, error.code]).toEqual([at, 'LOG_CORRUPT']);
        for (const part of [first, `position ${from},`, 'entry 2 ']) expect(error.message).toContain(part);
      }
    }
  });

  test('is refused in the last entry of a segment that is not the last', async () => {
    const addresses = await written(['a'.repeat(2100)], ['b']);
    expect(addresses[1]?.segment).toBe(2);
    for (let at = 32; at < 2100; at += 97) {
      expect((await rejection(open(flipped(first, at)))).code).toBe('LOG_CORRUPT');
    }
    const cut = disk.crash({ keep: 'none' });
    const file = await cut.openWrite(first, 'existing');
    await file.truncate(2000);
    await file.close();
    expect((await rejection(open(cut))).code).toBe('LOG_CORRUPT');
  });

  test('is refused in the header of a segment that holds entries', async () => {
    await written(['first'], ['second']);
    for (let at = 0; at < 32; at += 1) {
      const error = await rejection(open(flipped(first, at)));
      expect([at, error.code]).toEqual([at, 'LOG_CORRUPT']);
      expect(error.message).toContain(`${first} is damaged at position 0`);
    }
  });

  test('is found when it is read, and named the same from whichever address the read begins', async () => {
    const addresses = await written(['first'], ['second'], ['third']);
    const at = addresses[1]?.position ?? 0;
    const log = await open(disk);
    const bytes = disk.bytesOf(first);
    bytes[at + 35] = (bytes[at + 35] as number) ^ 1;
    expect((await log.read(null, 1000)).entries.map(({ sequence }) => sequence)).toEqual([1]);
    for (const from of [null, addresses[1] ?? null]) {
      const error = await rejection(texts(log, from));
      expect(error.code).toBe('LOG_CORRUPT');
      for (const part of [first, `position ${at},`, 'entry 2 ']) expect(error.message).toContain(part);
    }
    await log.close();
  });
});

describe('a missing segment', () => {
  test('in the middle is refused', async () => {
    await written(['a'.repeat(2100)], ['b'.repeat(2100)], ['c']);
    await disk.remove(segmentAt(DIRECTORY, 2).path);
    expect((await rejection(open(disk))).code).toBe('LOG_CORRUPT');
  });
});

describe('an unknown format', () => {
  test('of a sound segment header is refused by its version', async () => {
    const { writeSegmentHeader } = await import('../../src/storage/entry.ts');
    const { crc32 } = await import('node:zlib');
    await written(['first']);
    const header = Buffer.from(writeSegmentHeader(0, 1, 7));
    header.writeUInt16BE(9, 8);
    header.writeUInt32BE(crc32(header.subarray(0, 28)), 28);
    disk.bytesOf(first).set(header);
    const error = await rejection(open(disk));
    expect(error.code).toBe('LOG_VERSION');
    expect(error.message).toContain('9');
  });
});

describe('the torn end', () => {
  test('is cut, whichever byte of the last group is changed', async () => {
    const addresses = await written(['first'], ['second'], ['third 1', 'third 2', 'third 3']);
    const { position: from } = addresses[2] as LogAddress;
    const end = disk.bytesOf(first).length;
    for (let at = from; at < end; at += 1) {
      const damaged = flipped(first, at);
      const found = await openedTexts(damaged);
      const whole = addresses
        .slice(2)
        .filter(({ position }, index) => at >= (addresses[index + 3]?.position ?? end) && position >= 0);
      expect([at, found]).toEqual([
        at,
        ['first', 'second', 'third 1', 'third 2', 'third 3'].slice(0, 2 + whole.length),
      ]);
      // Cut for good: nothing behind the end is left to be read.
      expect(damaged.bytesOf(first).length).toBe(addresses[2 + whole.length]?.position ?? -1);
    }
  });

  test('is cut at any length of what was written of the last group', async () => {
    const addresses = await written(['first'], ['second 1', 'second 2']);
    const { position: from } = addresses[1] as LogAddress;
    for (let size = from; size < disk.bytesOf(first).length; size += 1) {
      const copy = disk.crash({ keep: 'none' });
      const file = await copy.openWrite(first, 'existing');
      await file.truncate(size);
      await file.close();
      const expected = size >= (addresses[2] as LogAddress).position ? ['first', 'second 1'] : ['first'];
      expect(await openedTexts(copy)).toEqual(expected);
    }
  });

  test('is cut, and not refused, where later sectors of the group survived and earlier ones did not', async () => {
    const group = ['1', '2', '3', '4', '5', '6'].map((name) => name.padEnd(500, '.'));
    const addresses = await written(['first'], group);
    const { position: from } = addresses[1] as LogAddress;
    for (let sector = Math.ceil(from / 512); sector < 5; sector += 1) {
      const copy = disk.crash({ keep: 'none' });
      copy.bytesOf(first).fill(0, sector * 512, (sector + 1) * 512);
      const found = await openedTexts(copy);
      expect(found[0]).toBe('first');
      expect(found.length).toBeLessThan(7);
      expect(found.slice(1)).toEqual(group.slice(0, found.length - 1));
    }
  });

  test('is refused where a later group shows that the entry had been durable', async () => {
    const group = ['1', '2', '3'].map((name) => name.padEnd(500, '.'));
    await written(['first'], group, ['behind it']);
    disk.bytesOf(first).fill(0, 512, 1024);
    expect((await rejection(open(disk))).code).toBe('LOG_CORRUPT');
  });

  test('is cut, though a record in it holds the bytes of a whole log: a segment knows its own entries by its salt', async () => {
    await written(['first'], ['second'], ['third']);
    const image = Buffer.from(disk.bytesOf(first));
    disk = new MemoryDisk();
    await prepare(disk);
    const log = await open(disk);
    await log.append([entry('kept')]);
    const { addresses } = await log.append([{ kind: 1, parts: [image] }]);
    await log.close();
    const bytes = disk.bytesOf(first);
    const at = addresses[0]?.position ?? 0;
    bytes[at] = (bytes[at] as number) ^ 1;
    expect((await open(disk)).nextSequence).toBe(2);
  });
});
