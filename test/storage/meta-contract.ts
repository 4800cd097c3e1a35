/** What every meta store must do, run on each adapter by its own test file. */
import { describe, expect, test } from 'vitest';
import type { MetaFactory, MetaStore, MetaWrite } from '../../src/storage/meta.ts';

export interface MetaSubject {
  readonly factory: MetaFactory;
  readonly directory: string;
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

export function resident(key: string, value: string | null): MetaWrite {
  return { table: 'resident', key: bytes(key), value: value === null ? null : bytes(value) };
}

export function index(key: string, value: string | null): MetaWrite {
  return { table: 'index', key: bytes(key), value: value === null ? null : bytes(value) };
}

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Rows as `key=value` text. */
export function text(row: Row | null): string | null {
  return row === null
    ? null
    : `${Buffer.from(row.key).toString('latin1')}=${Buffer.from(row.value).toString('latin1')}`;
}

export async function loaded(subject: MetaSubject): Promise<{ store: MetaStore; rows: (string | null)[] }> {
  const store = await subject.factory.open(subject.directory);
  return { store, rows: (await store.load()).map(text) };
}

/** Opens, writes each group as a batch, closes. */
export async function writeBatches(subject: MetaSubject, batches: readonly (readonly MetaWrite[])[]): Promise<void> {
  const { store } = await loaded(subject);
  for (const batch of batches) await store.write(batch, true);
  await store.close();
}

export function metaContract(name: string, make: () => Promise<MetaSubject>): void {
  describe(`${name} keeps the contract of a meta store`, () => {
    test('opens a new directory as empty', async () => {
      const { store, rows } = await loaded(await make());
      expect(rows).toEqual([]);
      await store.close();
    });

    test('gives back resident rows in key order after a reopen', async () => {
      const subject = await make();
      await writeBatches(subject, [[resident('b', '2'), resident('a', '1')], [resident('c', '')]]);
      const { store, rows } = await loaded(subject);
      expect(rows).toEqual(['a=1', 'b=2', 'c=']);
      await store.close();
    });

    test('overwrites and deletes, and the last of several writes to a key in one batch wins', async () => {
      const subject = await make();
      await writeBatches(subject, [
        [resident('a', '1'), resident('b', '2'), resident('gone', 'x')],
        [resident('a', '3'), resident('a', '4'), resident('gone', null), resident('never', null)],
        [resident('d', '5'), resident('d', null), resident('d', '6')],
      ]);
      const { store, rows } = await loaded(subject);
      expect(rows).toEqual(['a=4', 'b=2', 'd=6']);
      await store.close();
    });

    test('goes on from a loaded store, over several sessions', async () => {
      const subject = await make();
      for (let session = 0; session < 4; session += 1) {
        await writeBatches(subject, [[resident('count', String(session)), resident(`s${session}`, 'x')]]);
      }
      const { store, rows } = await loaded(subject);
      expect(rows).toEqual(['count=3', 's0=x', 's1=x', 's2=x', 's3=x']);
      await store.close();
    });

    test('keeps resident and index rows of the same key apart', async () => {
      const subject = await make();
      await writeBatches(subject, [[resident('k', 'r'), index('k', 'i')]]);
      const { store, rows } = await loaded(subject);
      expect(rows).toEqual(['k=r']);
      expect(text(await store.floor(bytes('a'), bytes('z')))).toBe('k=i');
      await store.close();
    });

    test('finds the floor: the greatest key in [lowest, key]', async () => {
      const subject = await make();
      const { store } = await loaded(subject);
      await store.write([index('b1', '1'), index('b5', '5'), index('c0', 'other')], false);
      const floor = async (key: string) => text(await store.floor(bytes('b'), bytes(key)));
      expect(await floor('b0')).toBeNull();
      expect(await floor('b1')).toBe('b1=1');
      expect(await floor('b4')).toBe('b1=1');
      expect(await floor('b5')).toBe('b5=5');
      expect(await floor('b9')).toBe('b5=5');
      expect(text(await store.floor(bytes('b6'), bytes('b9')))).toBeNull();
      await store.close();
    });

    test('finds what is above: the least key in (key, highest]', async () => {
      const subject = await make();
      const { store } = await loaded(subject);
      await store.write([index('b1', '1'), index('b5', '5'), index('c0', 'other')], false);
      const above = async (key: string) => text(await store.above(bytes(key), bytes('b9')));
      expect(await above('b0')).toBe('b1=1');
      expect(await above('b1')).toBe('b5=5');
      expect(await above('b5')).toBeNull();
      expect(text(await store.above(bytes('b1'), bytes('b5')))).toBe('b5=5');
      await store.close();
    });

    test('clears index rows in [lowest, highest] and no others, however many', async () => {
      const subject = await make();
      const { store } = await loaded(subject);
      const many = Array.from({ length: 9000 }, (_, at) => index(`b${String(at).padStart(6, '0')}`, 'x'));
      await store.write([index('a', '1'), ...many, index('c', '3'), resident('b1', 'r')], false);
      await store.clearIndex(bytes('b'), bytes('b999999'));
      expect(text(await store.above(bytes('a'), bytes('z')))).toBe('c=3');
      expect(text(await store.floor(bytes('a'), bytes('bz')))).toBe('a=1');
      await store.close();
      const again = await loaded(subject);
      expect(again.rows).toEqual(['b1=r']);
      expect(text(await again.store.above(bytes('a'), bytes('z')))).toBe('c=3');
      await again.store.close();
    });

    test('loads more rows than it reads at a time', async () => {
      const subject = await make();
      const many = Array.from({ length: 10_000 }, (_, at) => resident(String(at).padStart(6, '0'), `value ${at}`));
      await writeBatches(subject, [many]);
      const { store, rows } = await loaded(subject);
      expect(rows.length).toBe(10_000);
      expect(rows[9_999]).toBe('009999=value 9999');
      await store.close();
    });

    test('stays sound over more batches than it keeps marks of', async () => {
      const subject = await make();
      const { store } = await loaded(subject);
      for (let batch = 0; batch < 1300; batch += 1) {
        await store.write([resident(`k${batch % 7}`, String(batch)), index(`i${batch}`, 'x')], false);
      }
      await store.close();
      const again = await loaded(subject);
      expect(again.rows).toContain('k4=1299');
      await again.store.close();
    });

    test('does not look at a buffer again once its write has settled', async () => {
      const subject = await make();
      const { store } = await loaded(subject);
      const key = bytes('key');
      const value = bytes('value');
      await store.write([{ table: 'resident', key, value }], true);
      key.fill(0);
      value.fill(0);
      await store.close();
      const again = await loaded(subject);
      expect(again.rows).toEqual(['key=value']);
      await again.store.close();
    });

    test('applies writes that overlap one after another', async () => {
      const subject = await make();
      const { store } = await loaded(subject);
      const writes = Array.from({ length: 20 }, (_, at) => store.write([resident('k', String(at))], false));
      await Promise.all([...writes, store.clearIndex(bytes('a'), bytes('z'))]);
      await store.close();
      const again = await loaded(subject);
      expect(again.rows).toEqual(['k=19']);
      await again.store.close();
    });

    test('finishes what is under way before it closes, and may be closed twice', async () => {
      const subject = await make();
      const { store } = await loaded(subject);
      await store.write([index('a', '1')], false);
      const reading = store.floor(bytes('a'), bytes('z'));
      const writing = store.write([resident('k', 'v')], true);
      await Promise.all([store.close(), store.close()]);
      await writing;
      expect(text(await reading)).toBe('a=1');
      const again = await loaded(subject);
      expect(again.rows).toEqual(['k=v']);
      await again.store.close();
    });

    test('refuses a second opener as DATA_DIR_LOCKED, not as damage', async () => {
      const subject = await make();
      const { store } = await loaded(subject);
      await expect(subject.factory.open(subject.directory)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
      await store.close();
      await (await loaded(subject)).store.close();
    });

    test('is empty after it was destroyed, and may be destroyed twice', async () => {
      const subject = await make();
      await writeBatches(subject, [[resident('a', '1'), index('b', '2')]]);
      await subject.factory.destroy(subject.directory);
      await subject.factory.destroy(subject.directory);
      const { store, rows } = await loaded(subject);
      expect(rows).toEqual([]);
      expect(await store.floor(bytes('a'), bytes('z'))).toBeNull();
      await store.close();
    });

    test('is not written before it was loaded, nor used after its close', async () => {
      const subject = await make();
      const store = await subject.factory.open(subject.directory);
      await expect(store.write([resident('a', '1')], true)).rejects.toThrow(/loaded before it is written/);
      await store.load();
      await store.close();
      await expect(store.write([resident('a', '1')], true)).rejects.toThrow(/not used after its close/);
      await expect(store.floor(bytes('a'), bytes('b'))).rejects.toThrow(/not used after its close/);
    });
  });
}
