/**
 * The meta store in memory, for tests: the same checks as on disk (`meta-store.ts`), over a store that loses and
 * damages what it is told to. It survives a close and a reopen of the same directory, as files would.
 */
import { BrokerError } from '../errors.ts';
import type { MetaFactory, MetaStore } from '../storage/meta.ts';
import type { StoredRow } from '../storage/meta-row.ts';
import { CheckedMetaStore, type RowRange, type RowStore, type RowWrite } from '../storage/meta-store.ts';

interface Batch {
  readonly writes: readonly RowWrite[];
  readonly durable: boolean;
}

export type MetaCall = 'open' | 'batch' | 'rows' | 'close';

/** What one directory holds, and the faults to be done to it. Faults of `lose…` are seen at the next open. */
export class MemoryMetaDisk {
  /** Every batch ever written and not lost, oldest first. */
  #batches: Batch[] = [];
  #held = false;
  /** Called before each call; what it throws or rejects with is the call's error. A promise delays the call. */
  onCall: ((call: MetaCall) => void | Promise<void>) | null = null;

  get batchCount(): number {
    return this.#batches.length;
  }

  /** Loses the newest `count` batches, acknowledged or not: the store goes back to an older state. */
  loseLast(count: number): void {
    this.#batches.splice(Math.max(0, this.#batches.length - count), count);
  }

  /** Loses one batch, counted from 0, while later ones survive. */
  loseBatch(index: number): void {
    this.#batches.splice(index, 1);
  }

  /** Loses what a power cut may cost: every batch behind the last durable one. */
  loseUnsynced(): void {
    const last = this.#batches.findLastIndex((batch) => batch.durable);
    this.#batches.splice(last + 1);
  }

  /** Takes batch `index` back to what its rows held before, leaving its mark and head: rows go stale unseen. */
  makeStale(index: number): void {
    const batch = this.#batches[index];
    if (batch === undefined) throw new RangeError(`there is no batch ${index} of ${this.#batches.length}`);
    this.#batches[index] = { ...batch, writes: batch.writes.slice(-2) };
  }

  /** Flips one bit of a stored row: of its value, or of its key. Rows are counted in key order over all tables. */
  flipBit(rowIndex: number, part: 'key' | 'value', bit: number): void {
    const rows = [...this.rows().values()].sort(inKeyOrder);
    const row = rows[rowIndex];
    if (row === undefined) throw new RangeError(`there is no row ${rowIndex} of ${rows.length}`);
    const flipped = { key: row.key.slice(), value: row.value.slice() };
    const at = Math.floor(bit / 8) % flipped[part].length;
    flipped[part][at] = (flipped[part][at] as number) ^ (1 << (bit % 8));
    this.#batches.push({ writes: [{ key: row.key, value: null }, flipped], durable: true });
  }

  /** Rows now, by the hex of their key. */
  rows(): Map<string, StoredRow> {
    const rows = new Map<string, StoredRow>();
    for (const batch of this.#batches) {
      for (const { key, value } of batch.writes) {
        const name = Buffer.from(key).toString('hex');
        if (value === null) rows.delete(name);
        else rows.set(name, { key, value });
      }
    }
    return rows;
  }

  append(batch: Batch): void {
    this.#batches.push(batch);
  }

  hold(): boolean {
    if (this.#held) return false;
    this.#held = true;
    return true;
  }

  /** What a process that dies leaves behind: the directory can be opened again, without a close. */
  letGo(): void {
    this.#held = false;
  }

  clear(): void {
    this.#batches = [];
  }
}

class MemoryRows implements RowStore {
  readonly #disk: MemoryMetaDisk;
  /** Rows in key order; null after a write, until the next read sorts them. */
  #sorted: StoredRow[] | null = null;

  constructor(disk: MemoryMetaDisk) {
    this.#disk = disk;
  }

  async batch(writes: readonly RowWrite[], durable: boolean): Promise<void> {
    const copies = writes.map(({ key, value }) => ({ key: key.slice(), value: value?.slice() ?? null }));
    await this.#disk.onCall?.('batch');
    this.#disk.append({ writes: copies, durable });
    this.#sorted = null;
  }

  async rows(range: RowRange): Promise<readonly StoredRow[]> {
    await this.#disk.onCall?.('rows');
    this.#sorted ??= [...this.#disk.rows().values()].sort(inKeyOrder);
    const found = this.#sorted.filter(({ key }) => holds(range, key));
    if (range.reverse === true) found.reverse();
    return found.slice(0, range.limit);
  }

  async close(): Promise<void> {
    await this.#disk.onCall?.('close');
    this.#disk.letGo();
  }
}

export class MemoryMeta implements MetaFactory {
  readonly #disks = new Map<string, MemoryMetaDisk>();

  /** The disk below one directory; made when it is first asked for. */
  disk(directory: string): MemoryMetaDisk {
    let disk = this.#disks.get(directory);
    if (disk === undefined) {
      disk = new MemoryMetaDisk();
      this.#disks.set(directory, disk);
    }
    return disk;
  }

  /** The process that held the directories is dead; with `powerCut`, what was not synced is gone, too. */
  crash(powerCut: boolean): void {
    for (const disk of this.#disks.values()) {
      if (powerCut) disk.loseUnsynced();
      disk.letGo();
    }
  }

  async open(directory: string): Promise<MetaStore> {
    const disk = this.disk(directory);
    try {
      await disk.onCall?.('open');
    } catch (error) {
      throw BrokerError.from(error, 'META_DAMAGED', `meta store ${directory} cannot be opened`);
    }
    if (!disk.hold()) {
      throw new BrokerError('DATA_DIR_LOCKED', `meta store ${directory} is held by another process`);
    }
    return await CheckedMetaStore.open(new MemoryRows(disk), directory);
  }

  async destroy(directory: string): Promise<void> {
    this.disk(directory).clear();
  }
}

function holds({ gt, gte, lt, lte }: RowRange, key: Uint8Array): boolean {
  if (gt !== undefined && Buffer.compare(key, gt) <= 0) return false;
  if (gte !== undefined && Buffer.compare(key, gte) < 0) return false;
  if (lt !== undefined && Buffer.compare(key, lt) >= 0) return false;
  return lte === undefined || Buffer.compare(key, lte) <= 0;
}

function inKeyOrder(a: StoredRow, b: StoredRow): number {
  return Buffer.compare(a.key, b.key);
}
