/** Rows of the meta store as they are stored, and what is made of a store below that holds others. */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { murmur2 } from '../../src/domain/partition.ts';
import {
  decodeHead,
  decodeRow,
  encodeHead,
  encodeRow,
  HASH_MODULUS,
  RowTable,
  type StoredRow,
  storedKey,
} from '../../src/storage/meta-row.ts';
import { CheckedMetaStore, MARKS, type RowRange, type RowStore, type RowWrite } from '../../src/storage/meta-store.ts';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const hex = (of: Uint8Array): string => Buffer.from(of).toString('hex');

describe('a stored row', () => {
  it('has its table before its key, and before its value a CRC over both', () => {
    const row = encodeRow(RowTable.index, bytes('key'), bytes('value'));
    expect(hex(row.key)).toBe(`03${hex(bytes('key'))}`);
    const crc = crc32('value', crc32(Buffer.from(row.key), 4));
    expect(hex(row.value)).toBe(crc.toString(16).padStart(8, '0') + hex(bytes('value')));
    expect(storedKey(RowTable.index, bytes('key'))).toEqual(row.key);
  });

  it('comes out as it went in, with the same hash, also as a view', () => {
    const row = encodeRow(RowTable.resident, bytes('key'), bytes('value'));
    const whole = Buffer.concat([Buffer.from('x'), row.value]);
    const decoded = decodeRow({ key: row.key, value: new Uint8Array(whole.buffer, whole.byteOffset + 1, 9) });
    expect([hex(decoded.key), hex(decoded.value), decoded.hash]).toEqual([
      hex(bytes('key')),
      hex(bytes('value')),
      row.hash,
    ]);
  });

  it('has a hash of its CRC and of murmur2, in 52 bits', () => {
    const row = encodeRow(RowTable.resident, bytes('key'), bytes('value'));
    const crc = Buffer.from(row.value).readUInt32BE();
    const mixed = (Math.imul(murmur2(row.key), 0x9e3779b1) ^ murmur2(bytes('value'))) >>> 12;
    expect(row.hash).toBe(crc * 2 ** 20 + mixed);
    expect(row.hash).toBeLessThan(HASH_MODULUS);
  });

  it.each([0, 1, 3])('that is shorter than its CRC, %i bytes, is damaged and named by its key', (length) => {
    expect(() => decodeRow({ key: bytes('ab'), value: new Uint8Array(length) })).toThrow('row 6162 fails its CRC');
  });

  it('that is damaged is named by no more than 40 bytes of its key', () => {
    const message = (() => {
      try {
        decodeRow({ key: new Uint8Array(100), value: new Uint8Array(4) });
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    })();
    expect(message).toBe(`row ${'00'.repeat(40)} fails its CRC`);
  });
});

describe('the head row', () => {
  const head = { batches: 2 ** 33 + 1, residents: 7, sum: 2 ** 40 + 9 };

  it('is laid out as its table says, and comes out as it went in', () => {
    expect(hex(encodeHead(head))).toBe('010000000200000001' + '0000000000000007' + '0000010000000009');
    expect(decodeHead(encodeHead(head))).toEqual(head);
  });

  it.each([
    [
      'of another version',
      Uint8Array.from([2, ...new Uint8Array(24)]),
      'store format version 2 is unknown; expected 1',
    ],
    ['cut short', encodeHead(head).subarray(0, 24), 'store format version 1 is unknown'],
    ['with more behind it', Uint8Array.from([...encodeHead(head), 0]), 'store format version 1 is unknown'],
    ['of no bytes', new Uint8Array(0), 'store format version undefined is unknown'],
  ])('%s is refused', (_, given, message) => {
    expect(() => decodeHead(given)).toThrow(message);
  });
});

/** A store below that keeps rows in a map, and can be looked into. */
class Rows implements RowStore {
  readonly map = new Map<string, StoredRow>();
  readonly batches: { readonly writes: readonly RowWrite[]; readonly durable: boolean }[] = [];
  readonly asked: RowRange[] = [];
  closed = 0;

  async batch(writes: readonly RowWrite[], durable: boolean): Promise<void> {
    this.batches.push({ writes, durable });
    for (const { key, value } of writes) {
      if (value === null) this.map.delete(hex(key));
      else this.map.set(hex(key), { key, value });
    }
  }

  async rows(range: RowRange): Promise<readonly StoredRow[]> {
    this.asked.push(range);
    const { gt, gte, lt, lte, limit, reverse = false } = range;
    const found = [...this.map]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .filter(([key]) => gt === undefined || key > hex(gt))
      .filter(([key]) => gte === undefined || key >= hex(gte))
      .filter(([key]) => lt === undefined || key < hex(lt))
      .filter(([key]) => lte === undefined || key <= hex(lte))
      .map(([, row]) => row);
    return (reverse ? found.reverse() : found).slice(0, limit);
  }

  async close(): Promise<void> {
    this.closed += 1;
  }
}

const write = (key: string, value: string | null) => ({
  table: 'resident' as const,
  key: bytes(key),
  value: value === null ? null : bytes(value),
});

async function storeWith(rows: Rows, ...batches: (readonly ReturnType<typeof write>[])[]): Promise<CheckedMetaStore> {
  const store = await CheckedMetaStore.open(rows, 'shards/00');
  await store.load();
  for (const batch of batches) await store.write(batch, true);
  return store;
}

describe('the checked store', () => {
  it('writes with every batch its mark and the head, which stands for all that is there', async () => {
    const rows = new Rows();
    await storeWith(rows, [write('a', '1'), write('b', '2')], [write('a', '3'), write('b', null), write('c', null)]);
    const [first, second] = rows.batches;
    expect([first?.writes.length, second?.writes.length]).toEqual([4, 5]);
    const headAt = hex(storedKey(RowTable.head, new Uint8Array(0)));
    const head = decodeHead(decodeRow(rows.map.get(headAt) as StoredRow).value);
    expect(head).toEqual({ batches: 2, residents: 1, sum: encodeRow(RowTable.resident, bytes('a'), bytes('3')).hash });
    const marks = [...rows.map.values()].filter(({ key }) => key[0] === RowTable.mark).map((row) => decodeRow(row));
    expect(marks.map(({ key, value }) => [hex(key), hex(value)])).toEqual([
      ['0000000000000001', '0000000000000001'],
      ['0000000000000002', '0000000000000002'],
    ]);
  });

  it('counts a row that one batch changes more than once as it is in the end', async () => {
    const rows = new Rows();
    const batch = [write('a', '1'), write('a', null), write('a', '2'), write('b', '1'), write('b', null)];
    await (await storeWith(rows, batch)).close();
    const again = await CheckedMetaStore.open(rows, 'shards/00');
    expect((await again.load()).map(({ key, value }) => `${hex(key)}=${hex(value)}`)).toEqual(['61=32']);
  });

  it('passes on whether a write is to be durable', async () => {
    const rows = new Rows();
    const store = await storeWith(rows, [write('a', '1')]);
    await store.write([write('a', '2')], false);
    expect(rows.batches.map(({ durable }) => durable)).toEqual([true, false]);
  });

  it('keeps as many marks as it says, and no more', async () => {
    const rows = new Rows();
    const store = await storeWith(rows);
    for (let batch = 0; batch < MARKS + 3; batch += 1) await store.write([], true);
    expect([...rows.map.values()].filter(({ key }) => key[0] === RowTable.mark)).toHaveLength(MARKS);
    await store.close();
    await (await CheckedMetaStore.open(rows, 'shards/00')).load();
  });

  it('asks for one row where one is wanted', async () => {
    const rows = new Rows();
    const store = await storeWith(rows);
    rows.asked.length = 0;
    await store.floor(bytes('a'), bytes('b'));
    await store.above(bytes('a'), bytes('b'));
    expect(rows.asked.map(({ limit, reverse }) => [limit, reverse ?? false])).toEqual([
      [1, true],
      [1, false],
    ]);
  });

  it('does not take a store for a new one whose head is gone, and lets go of it', async () => {
    const rows = new Rows();
    await storeWith(rows, [write('a', '1')]);
    rows.map.delete(hex(storedKey(RowTable.head, new Uint8Array(0))));
    await expect(CheckedMetaStore.open(rows, 'shards/00')).rejects.toMatchObject({
      code: 'META_DAMAGED',
      message: 'meta store shards/00: the head row is missing',
    });
    expect(rows.closed).toBe(1);
  });

  it('does not take marks that its head does not count', async () => {
    const rows = new Rows();
    await storeWith(rows, [write('a', '1')]);
    const extra = encodeRow(RowTable.mark, bytes('12345678'), bytes('12345678'));
    await rows.batch([extra], true);
    await expect(CheckedMetaStore.open(rows, 'shards/00')).rejects.toMatchObject({
      message: 'meta store shards/00: 2 batches left a mark where the head counts 1',
    });
  });

  it('says by how much the rows that it found are not those that it wrote', async () => {
    const rows = new Rows();
    await storeWith(rows, [write('a', '1')]);
    rows.map.delete(hex(storedKey(RowTable.resident, bytes('a'))));
    const store = await CheckedMetaStore.open(rows, 'shards/00');
    const { hash } = encodeRow(RowTable.resident, bytes('a'), bytes('1'));
    await expect(store.load()).rejects.toMatchObject({
      message: `meta store shards/00: 0 resident rows of sum 0 were found; expected 1 of sum ${hash}`,
    });
  });

  it('is loaded once and before it is written, and not used behind its close', async () => {
    const rows = new Rows();
    const store = await CheckedMetaStore.open(rows, 'shards/00');
    await expect(store.write([], true)).rejects.toThrow('a meta store is loaded before it is written');
    await expect(store.clearIndex(bytes('a'), bytes('b'))).rejects.toThrow('is loaded before it is written');
    await store.load();
    await expect(store.load()).rejects.toThrow('a meta store is loaded once');
    await store.close();
    for (const used of [
      () => store.load(),
      () => store.write([], true),
      () => store.clearIndex(bytes('a'), bytes('b')),
      () => store.floor(bytes('a'), bytes('b')),
    ]) {
      await expect((async () => used())()).rejects.toThrow('a meta store is not used after its close');
    }
  });
});
