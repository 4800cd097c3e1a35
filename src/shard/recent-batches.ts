/**
 * The recent batches of one shard, in memory, so that consumers at the tail are served without the disk and from one
 * copy. Bounded in bytes over all partitions, the overhead of small ones counted: the oldest go first. A batch that is not yet in the log is never dropped
 * (an async topic shows it before it is written); those are bounded by the shard's queue.
 */
import type { Partition } from './partition.ts';

/** One delivered batch, as parts one behind another; shared by all its readers and never changed. */
export interface StoredBatch {
  readonly baseOffset: number;
  readonly count: number;
  readonly time: number;
  readonly epoch: number;
  readonly bytes: number;
  readonly parts: readonly Uint8Array[];
}

/** The recent batches of one partition, in offset order without a hole. */
export class RecentBatches {
  #batches: StoredBatch[] = [];
  #head = 0;

  get first(): StoredBatch | undefined {
    return this.#batches[this.#head];
  }

  push(batch: StoredBatch): void {
    this.#batches.push(batch);
  }

  shift(): StoredBatch | undefined {
    const batch = this.#batches[this.#head];
    if (batch === undefined) return undefined;
    this.#head += 1;
    if (this.#head > 64 && this.#head * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#head);
      this.#head = 0;
    }
    return batch;
  }

  /**
   * Batches from the one that holds `offset` on, below `end`, at least one and about `bytesMax` bytes; null when
   * `offset` is older than what is held.
   */
  from(offset: number, end: number, bytesMax: number): StoredBatch[] | null {
    const first = this.first;
    if (first === undefined || offset < first.baseOffset) return null;
    const found: StoredBatch[] = [];
    let bytes = 0;
    for (let at = this.#indexOf(offset); at < this.#batches.length && bytes < bytesMax; at += 1) {
      const batch = this.#batches[at] as StoredBatch;
      if (batch.baseOffset >= end) break;
      found.push(batch);
      bytes += batch.bytes;
    }
    return found.length > 0 ? found : null;
  }

  /** Index of the last batch that begins at or below `offset`. */
  #indexOf(offset: number): number {
    let low = this.#head;
    let high = this.#batches.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#batches[middle] as StoredBatch).baseOffset <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** What a batch costs beside its bytes: its object, its views, and what a buffer of its own takes. Measured: 440 to 530. */
export const RECENT_OVERHEAD_BYTES = 512;

export class RecentMemory {
  readonly #bytesMax: number;
  #bytes = 0;
  /** The partitions of the held batches, oldest first, from `#head` on. */
  #order: Partition[] = [];
  #head = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(partition: Partition, batch: StoredBatch): void {
    partition.recent ??= new RecentBatches();
    partition.recent.push(batch);
    this.#order.push(partition);
    this.#bytes += batch.bytes + RECENT_OVERHEAD_BYTES;
    while (this.#bytes > this.#bytesMax && this.#dropOldest());
  }

  #dropOldest(): boolean {
    const partition = this.#order[this.#head];
    const oldest = partition?.recent?.first;
    if (partition === undefined || oldest === undefined) return false;
    if (!partition.closed && oldest.baseOffset + oldest.count > partition.durable) return false;
    partition.recent?.shift();
    if (partition.recent?.first === undefined) partition.recent = null;
    this.#bytes -= oldest.bytes + RECENT_OVERHEAD_BYTES;
    this.#head += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#order.length) {
      this.#order = this.#order.slice(this.#head);
      this.#head = 0;
    }
    return true;
  }
}
