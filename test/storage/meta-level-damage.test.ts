/** Damage done to the files of the meta store on LevelDB. Never wrong rows: right ones, or an error. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { levelMeta } from '../../src/storage/level-meta.ts';
import type { MetaWrite } from '../../src/storage/meta.ts';
import { bytes, index, loaded, resident, text } from './meta-contract.ts';

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

/** A store whose rows lie in table files and in a write-ahead log both, and every state that it went through. */
const batches = Array.from({ length: 24 }, (_, at): MetaWrite[] => [
  resident('head', `applied ${at}`),
  resident(`topic ${at % 5}`, `settings ${at} ${'x'.repeat(at < 16 ? at * 7 : 9000)}`),
  resident(`topic ${(at + 2) % 5}`, at % 4 === 3 ? null : `other ${at}`),
  index(`point ${String(at).padStart(3, '0')}`, `address ${at}`),
]);

async function makeStore(directory: string): Promise<Set<string>> {
  const rows = new Map<string, string>();
  const states = new Set<string>([JSON.stringify([])]);
  for (let session = 0; session < 3; session += 1) {
    const { store } = await loaded({ factory: levelMeta, directory });
    for (const batch of batches.slice(session * 8, session * 8 + 8)) {
      await store.write(batch, true);
      for (const { table, key, value } of batch) {
        const name = Buffer.from(key).toString('latin1');
        if (table !== 'resident') continue;
        if (value === null) rows.delete(name);
        else rows.set(name, Buffer.from(value).toString('latin1'));
      }
      states.add(JSON.stringify([...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}=${v}`)));
    }
    await store.close();
  }
  return states;
}

/** Opens a damaged store and reads all of it: `damaged`, or the rows, which must be those of some moment. */
async function outcomeOf(directory: string, states: Set<string>): Promise<'damaged' | 'rows'> {
  try {
    const { store, rows } = await loaded({ factory: levelMeta, directory });
    try {
      expect(states).toContain(JSON.stringify(rows));
      for (let at = 0; at < batches.length; at += 1) {
        const key = bytes(`point ${String(at).padStart(3, '0')}`);
        for (const row of [await store.floor(bytes('point'), key), await store.above(key, bytes('pointz'))]) {
          if (row !== null) expect(text(row)).toMatch(/^point 0*(\d+)=address \1$/);
        }
      }
      return 'rows';
    } finally {
      await store.close();
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'META_DAMAGED' });
    return 'damaged';
  }
}

async function damageEach(
  filter: RegExp,
  places: (size: number) => readonly number[],
  damage: (file: string, at: number) => Promise<void>,
): Promise<{ damaged: number; rows: number }> {
  const sound = fresh();
  const states = await makeStore(sound);
  const count = { damaged: 0, rows: 0 };
  for (const name of (await readdir(sound)).filter((one) => filter.test(one))) {
    const { size } = await stat(join(sound, name));
    for (const at of places(size)) {
      const directory = fresh();
      await cp(sound, directory, { recursive: true });
      await damage(join(directory, name), at);
      count[await outcomeOf(directory, states)] += 1;
      await rm(directory, { recursive: true });
    }
  }
  return count;
}

/** About `most` places spread over a file of `size` bytes. */
function spread(most: number): (size: number) => number[] {
  return (size) =>
    Array.from({ length: Math.min(size, most) }, (_, at) => Math.floor((at * size) / Math.min(size, most)));
}

describe('damage to its files never gives wrong rows', { timeout: 120_000 }, () => {
  test('opens over a table that a crash left unfinished', async () => {
    const directory = fresh();
    const states = await makeStore(directory);
    const [table] = (await readdir(directory)).filter((name) => name.endsWith('.ldb'));
    const whole = await readFile(join(directory, table ?? ''));
    await writeFile(join(directory, '009999.ldb'), whole.subarray(0, whole.length / 2));
    expect(await outcomeOf(directory, states)).toBe('rows');
  });

  test('a file is missing', async () => {
    const count = await damageEach(
      /./,
      () => [0],
      (file) => rm(file),
    );
    expect(count.damaged).toBeGreaterThan(0);
  });

  test('a file is a directory', async () => {
    const count = await damageEach(
      /log$|ldb$|CURRENT|MANIFEST/,
      () => [0],
      async (file) => {
        await rm(file);
        await mkdir(file);
      },
    );
    expect(count.damaged).toBeGreaterThan(0);
  });

  test('a file is cut short', async () => {
    const count = await damageEach(/log$|ldb$|CURRENT|MANIFEST/, spread(40), truncate);
    expect(count.damaged).toBeGreaterThan(0);
  });

  test('a bit of the write-ahead log is flipped', async () => {
    const count = await damageEach(/log$/, spread(250), flip);
    // The newest batch may be lost whole; what lies before it is missed.
    expect(count.rows).toBeGreaterThan(0);
    expect(count.damaged).toBeGreaterThan(0);
  });

  test('a bit of a table file is flipped', async () => {
    const count = await damageEach(/ldb$/, spread(250), flip);
    expect(count.damaged).toBeGreaterThan(0);
  });

  test('a bit of the manifest is flipped', async () => {
    const count = await damageEach(/MANIFEST|CURRENT/, spread(60), flip);
    expect(count.damaged).toBeGreaterThan(0);
  });

  test('batches were cut out of the middle of the write-ahead log', async () => {
    // Whole blocks of the log: what follows them still reads.
    const block = 32 * 1024;
    const count = await damageEach(
      /log$/,
      (size) => Array.from({ length: Math.floor(size / block) }, (_, at) => at * block),
      async (file, at) => {
        const whole = await readFile(file);
        await writeFile(file, Buffer.concat([whole.subarray(0, at), whole.subarray(at + block)]));
      },
    );
    expect(count.damaged).toBeGreaterThan(0);
  });
});

async function flip(file: string, at: number): Promise<void> {
  const whole = await readFile(file);
  whole[at] = (whole[at] as number) ^ (1 << (at % 8));
  await writeFile(file, whole);
}
