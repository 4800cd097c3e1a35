import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32c, tableFault } from '../../src/storage/level-table-check.ts';

const FOOTER_BYTES = 48;
const MAGIC = 0xdb4775248b80fb57n;
let folder: string;
/** A table as LevelDB wrote it. */
let sound: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-table-'));
  // What `level` gives on Node is a ClassicLevel; its types are those of any platform.
  const store = new Level(join(folder, 'store'), { compression: false }) as Level & {
    compactRange(from: string, to: string): Promise<void>;
  };
  for (let index = 0; index < 2000; index += 1) await store.put(`key-${index}`, 'value '.repeat(40));
  await store.compactRange('', '~');
  await store.close();
  const [name] = (await readdir(join(folder, 'store'))).filter((one) => one.endsWith('.ldb'));
  sound = await readFile(join(folder, 'store', name ?? ''));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function faultOf(table: Buffer): Promise<string | null> {
  const directory = await mkdtemp(join(folder, 'one-'));
  await writeFile(join(directory, '000005.ldb'), table);
  return tableFault(directory);
}

/** LevelDB's handles are two numbers of seven bits a byte, the least first. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
}

/** A block as it lies in a file, with the checksum that it ought to have. */
function block(content: readonly number[]): Buffer {
  const bytes = Buffer.from([...content, 0]);
  const crc = crc32c(bytes);
  const trailer = Buffer.alloc(4);
  trailer.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return Buffer.concat([bytes, trailer]);
}

/** A table whose index and metaindex are one and the same block. */
function tableOf(content: readonly number[], handle: readonly number[] = [0, ...varint(content.length)]): Buffer {
  const footer = Buffer.alloc(FOOTER_BYTES);
  Buffer.from([...handle, ...handle]).copy(footer);
  footer.writeBigUInt64LE(MAGIC, FOOTER_BYTES - 8);
  return Buffer.concat([block(content), footer]);
}

const restarts = [0, 0, 0, 0];

describe('a table file', () => {
  it('that LevelDB wrote has no fault, nor has a folder without one, nor one that is not there', async () => {
    expect(await faultOf(sound)).toBe(null);
    expect(await tableFault(await mkdtemp(join(folder, 'empty-')))).toBe(null);
    expect(await tableFault(join(folder, 'nowhere'))).toBe(null);
  });

  it('that was not finished is left to LevelDB', async () => {
    expect(await faultOf(sound.subarray(0, 40))).toBe(null);
    expect(await faultOf(sound.subarray(0, -1))).toBe(null);
  });

  it('is named with the block that fails', async () => {
    const damaged = Buffer.from(sound);
    damaged[100] = (damaged[100] as number) ^ 1;
    expect(await faultOf(damaged)).toBe('000005.ldb: the block at 0 fails its checksum');
  });

  it.each([
    ['a block that ends past the file', tableOf(restarts, [0, ...varint(5000)]), 'a block at 0 ends past the file'],
    ['a number without an end', tableOf(restarts, new Array<number>(12).fill(255)), 'a number in a block has no end'],
    ['a block too short for its restarts', tableOf([1, 0, 0]), 'a block is shorter than its restarts'],
    ['more restarts than fit', tableOf([9, 0, 0, 0]), 'a block is shorter than its restarts'],
    ['an entry that goes on behind its block', tableOf([0, 9, 9, ...restarts]), 'a block ends within an entry'],
    [
      'an entry that leads past the file',
      tableOf([0, 0, 3, ...varint(9), ...varint(500), ...restarts]),
      'a block at 9 ends past the file',
    ],
  ])('with %s says so, though its checksums match', async (_, table, fault) => {
    expect(await faultOf(table)).toBe(`000005.ldb: ${fault}`);
  });

  it('is looked for in a folder: anything else is an error of the system', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(tableFault(join(folder, 'file'))).rejects.toMatchObject({ code: 'ENOTDIR' });
  });
});

describe('CRC-32C', () => {
  it.each([
    ['', 0],
    ['a', 0xc1d04330],
    ['123456789', 0xe3069283],
    ['The quick brown fox jumps over the lazy dog', 0x22620404],
  ])('of %j is as everybody has it', (text, crc) => {
    expect(crc32c(Buffer.from(text))).toBe(crc);
  });
});
