/**
 * The meta store's promise, kept over a store that does not keep it. LevelDB as shipped may return flipped bits and
 * may lose a synced batch while a later one survives, both without an error. So over any `RowStore`:
 *
 * 1. Every row carries a CRC over its key and value; one that fails it is never returned.
 * 2. Every batch leaves a mark, and the last `MARKS` marks are looked for at open: a batch missing from the middle is
 *    found, whatever it held.
 * 3. Every batch rewrites the head: the number of batches, the number of resident rows and a sum over them. `load`
 *    recomputes it: a resident row that is lost, stale or back from the dead is found.
 * 4. After the first failed write nothing more is written: what LevelDB appends behind a failed write may be lost.
 *
 * What is left is losing the newest batches whole, which the log replays, and losing index rows inside a damaged
 * table, which makes a reader begin earlier.
 */
import { setUint64 } from '../domain/record-batch.ts';
import { assert, BrokerError } from '../errors.ts';
import type { MetaStore, MetaWrite } from './meta.ts';
import {
  decodeHead,
  decodeRow,
  encodeHead,
  encodeRow,
  HASH_MODULUS,
  RowTable,
  type StoredRow,
  storedKey,
} from './meta-row.ts';

export interface RowWrite {
  readonly key: Uint8Array;
  /** null deletes. */
  readonly value: Uint8Array | null;
}

export interface RowRange {
  readonly gt?: Uint8Array;
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly lte?: Uint8Array;
  /** From the greatest key down. */
  readonly reverse?: boolean;
  /** Most rows returned. */
  readonly limit: number;
}

/** An ordered store of byte keys, not to be trusted: what lies below the checks. */
export interface RowStore {
  /** Applies all writes as one step; `durable`: synced before it resolves. */
  batch(writes: readonly RowWrite[], durable: boolean): Promise<void>;
  /** Rows in key order. */
  rows(range: RowRange): Promise<readonly StoredRow[]>;
  close(): Promise<void>;
}

/** Batches whose marks are kept: more than LevelDB's write buffer holds of any but the tiniest. */
export const MARKS = 512;
/** Rows read or deleted at a time. */
const CHUNK_ROWS = 4096;

const headKey = storedKey(RowTable.head, new Uint8Array(0));

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export class CheckedMetaStore implements MetaStore {
  readonly #rows: RowStore;
  readonly #name: string;
  #batches: number;
  #sum: number;
  /** Resident rows that the head stands for, until `load` has counted them. */
  #expected: number;
  /** Hash of each resident row by its key; null until `load`. */
  #hashes: Map<string, number> | null = null;
  #failure: BrokerError | null = null;
  #closed = false;
  /** The last of the writes, which go one at a time; settles, never rejects. */
  #writing: Promise<unknown> = Promise.resolve();
  readonly #reading = new Set<Promise<unknown>>();

  private constructor(rows: RowStore, name: string, head: { batches: number; residents: number; sum: number }) {
    this.#rows = rows;
    this.#name = name;
    this.#batches = head.batches;
    this.#expected = head.residents;
    this.#sum = head.sum;
  }

  /**
   * Takes over `rows` once its head and marks are found sound; closes it otherwise. `name` is for messages.
   * META_DAMAGED.
   */
  static async open(rows: RowStore, name: string): Promise<CheckedMetaStore> {
    try {
      return new CheckedMetaStore(rows, name, await readHead(rows));
    } catch (error) {
      await rows.close();
      throw damaged(error, name);
    }
  }

  async load(): Promise<readonly Row[]> {
    this.#assertOpen();
    assert(this.#hashes === null, 'a meta store is loaded once');
    try {
      return await this.#read(this.#loadResidents());
    } catch (error) {
      throw damaged(error, this.#name);
    }
  }

  async #loadResidents(): Promise<readonly Row[]> {
    const hashes = new Map<string, number>();
    const found: Row[] = [];
    let sum = 0;
    for await (const stored of everyRow(this.#rows, RowTable.resident)) {
      const row = decodeRow(stored);
      found.push(row);
      hashes.set(nameOf(stored.key), row.hash);
      sum = (sum + row.hash) % HASH_MODULUS;
    }
    if (found.length !== this.#expected || sum !== this.#sum) {
      throw new BrokerError(
        'META_DAMAGED',
        `${found.length} resident rows of sum ${sum} were found; expected ${this.#expected} of sum ${this.#sum}`,
      );
    }
    this.#hashes = hashes;
    return found;
  }

  async write(writes: readonly MetaWrite[], durable: boolean): Promise<void> {
    this.#assertOpen();
    await this.#enqueue(() => this.#commit(writes, durable));
  }

  floor(lowest: Uint8Array, key: Uint8Array): Promise<Row | null> {
    const range = { gte: storedKey(RowTable.index, lowest), lte: storedKey(RowTable.index, key) };
    return this.#first({ ...range, reverse: true, limit: 1 });
  }

  above(key: Uint8Array, highest: Uint8Array): Promise<Row | null> {
    return this.#first({ gt: storedKey(RowTable.index, key), lte: storedKey(RowTable.index, highest), limit: 1 });
  }

  async clearIndex(lowest: Uint8Array, highest: Uint8Array): Promise<void> {
    this.#assertOpen();
    const range = { gte: storedKey(RowTable.index, lowest), lte: storedKey(RowTable.index, highest) };
    await this.#enqueue(async () => {
      for (;;) {
        const found = await this.#rows.rows({ ...range, limit: CHUNK_ROWS });
        if (found.length === 0) return;
        await this.#commit(
          found.map((row) => ({ table: 'index', key: row.key.subarray(1), value: null })),
          false,
        );
      }
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // What is under way would be cut off by the store below with an error that reads like damage.
    await this.#writing;
    await Promise.allSettled(this.#reading);
    await this.#rows.close();
  }

  async #first(range: RowRange): Promise<Row | null> {
    this.#assertOpen();
    try {
      const [row] = await this.#read(this.#rows.rows(range));
      return row === undefined ? null : decodeRow(row);
    } catch (error) {
      throw damaged(error, this.#name);
    }
  }

  /** One batch: the writes, its mark and the new head. The sum moves on only when the batch is in the store. */
  async #commit(writes: readonly MetaWrite[], durable: boolean): Promise<void> {
    const hashes = this.#hashes;
    assert(hashes !== null, 'a meta store is loaded before it is written');
    const changed = new Map<string, number | null>();
    const batch: RowWrite[] = [];
    let sum = this.#sum;
    let residents = hashes.size;
    for (const write of writes) {
      const table = write.table === 'resident' ? RowTable.resident : RowTable.index;
      const row = write.value === null ? null : encodeRow(table, write.key, write.value);
      const key = row?.key ?? storedKey(table, write.key);
      batch.push({ key, value: row?.value ?? null });
      if (table !== RowTable.resident) continue;
      const name = nameOf(key);
      const before = changed.has(name) ? (changed.get(name) ?? null) : (hashes.get(name) ?? null);
      const after = row?.hash ?? null;
      sum = (sum + HASH_MODULUS - (before ?? 0)) % HASH_MODULUS;
      sum = (sum + (after ?? 0)) % HASH_MODULUS;
      residents += (after === null ? 0 : 1) - (before === null ? 0 : 1);
      changed.set(name, after);
    }
    const batches = this.#batches + 1;
    batch.push(encodeRow(RowTable.mark, markKey(batches), markValue(batches)));
    batch.push(encodeRow(RowTable.head, new Uint8Array(0), encodeHead({ batches, residents, sum })));
    await this.#rows.batch(batch, durable);
    this.#batches = batches;
    this.#sum = sum;
    for (const [name, hash] of changed) {
      if (hash === null) hashes.delete(name);
      else hashes.set(name, hash);
    }
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    assert(this.#hashes !== null, 'a meta store is loaded before it is written');
    const done = this.#writing.then(async () => {
      if (this.#failure !== null) throw this.#failure;
      try {
        await work();
      } catch (error) {
        this.#failure = damaged(error, this.#name);
        throw this.#failure;
      }
    });
    this.#writing = done.catch(() => undefined);
    return done;
  }

  async #read<T>(reading: Promise<T>): Promise<T> {
    this.#reading.add(reading);
    try {
      return await reading;
    } finally {
      this.#reading.delete(reading);
    }
  }

  #assertOpen(): void {
    assert(!this.#closed, 'a meta store is not used after its close');
  }
}

/** The head, once the marks agree with it. An empty store is a new one. */
async function readHead(rows: RowStore): Promise<{ batches: number; residents: number; sum: number }> {
  const [first] = await rows.rows({ gte: headKey, limit: 1 });
  if (first === undefined) return { batches: 0, residents: 0, sum: 0 };
  if (nameOf(first.key) !== nameOf(headKey)) throw new BrokerError('META_DAMAGED', 'the head row is missing');
  const head = decodeHead(decodeRow(first).value);
  const marks = new Map<string, string>();
  for await (const stored of everyRow(rows, RowTable.mark)) {
    const mark = decodeRow(stored);
    marks.set(nameOf(mark.key), nameOf(mark.value));
  }
  const kept = Math.min(head.batches, MARKS);
  for (let batch = head.batches - kept + 1; batch <= head.batches; batch += 1) {
    if (marks.get(nameOf(markKey(batch))) === nameOf(markValue(batch))) continue;
    throw new BrokerError('META_DAMAGED', `batch ${batch} of ${head.batches} is missing`);
  }
  if (marks.size !== kept) {
    throw new BrokerError('META_DAMAGED', `${marks.size} batches left a mark where the head counts ${kept}`);
  }
  return head;
}

async function* everyRow(rows: RowStore, table: RowTable): AsyncGenerator<StoredRow, void, undefined> {
  const lt = new Uint8Array([table + 1]);
  let from: Pick<RowRange, 'gt' | 'gte'> = { gte: new Uint8Array([table]) };
  for (;;) {
    const found = await rows.rows({ ...from, lt, limit: CHUNK_ROWS });
    yield* found;
    const last = found[found.length - 1];
    if (last === undefined || found.length < CHUNK_ROWS) return;
    from = { gt: last.key };
  }
}

/** Marks lie in a ring: a batch overwrites the mark of the one `MARKS` before it. */
function markKey(batch: number): Uint8Array {
  return uint64(batch % MARKS);
}

function markValue(batch: number): Uint8Array {
  return uint64(batch);
}

function uint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  setUint64(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** Bytes as a string of the same length: a key for a Map. */
function nameOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function damaged(error: unknown, name: string): BrokerError {
  if (error instanceof BrokerError) {
    return new BrokerError(error.code, `meta store ${name}: ${error.message}`, { cause: error.cause });
  }
  return BrokerError.from(error, 'META_DAMAGED', `meta store ${name}`);
}
