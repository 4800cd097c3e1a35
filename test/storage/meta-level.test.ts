/** The meta store on LevelDB: the contract, and what lies in its place that is none. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { levelMeta } from '../../src/storage/level-meta.ts';
import { crc32c } from '../../src/storage/level-table-check.ts';
import { bytes, metaContract } from './meta-contract.ts';

let root = '';
let made = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-meta-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

function fresh(): string {
  made += 1;
  return join(root, String(made));
}

metaContract('the store on level', async () => ({ factory: levelMeta, directory: fresh() }));

describe('the store on level', () => {
  test('says META_DAMAGED, with the cause, when a file is in its place', async () => {
    const directory = fresh();
    await writeFile(directory, 'not a directory');
    await expect(levelMeta.open(directory)).rejects.toMatchObject({
      code: 'META_DAMAGED',
      message: expect.stringContaining(directory),
      cause: { code: 'ENOTDIR' },
    });
    await levelMeta.destroy(directory);
    await (await levelMeta.open(directory)).close();
  });

  test('says why it cannot be removed', async () => {
    const file = fresh();
    await writeFile(file, 'not a directory');
    await expect(levelMeta.destroy(join(file, 'below'))).rejects.toMatchObject({
      code: 'META_DAMAGED',
      message: expect.stringContaining(`meta store ${join(file, 'below')} cannot be removed`),
    });
  });

  test('checks tables with CRC-32C', () => {
    expect(crc32c(bytes('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  });

  test('says META_DAMAGED for a LevelDB database that is not a meta store', async () => {
    const directory = fresh();
    const { Level } = await import('level');
    const database = new Level(directory);
    await database.put('key', 'value');
    await database.close();
    await expect(levelMeta.open(directory)).rejects.toMatchObject({ code: 'META_DAMAGED' });
    // Nothing is left open behind the refusal.
    await levelMeta.destroy(directory);
    await (await levelMeta.open(directory)).close();
  });
});
