/**
 * Reads a partition by offset: recent batches from memory in the same turn, older ones from the log, found by the
 * sparse index. What is read from the log was checked against its CRC by the log. Never past the high watermark.
 */
import { DELIVERED_HEADER_BYTES } from '../domain/record-batch.ts';
import { assert, BrokerError } from '../errors.ts';
import { EntryKind, type Log, type LogAddress, type LogRead } from '../storage/log.ts';
import type { MetaStore } from '../storage/meta.ts';
import { handleOf, readBatchEntry } from './batch-entry.ts';
import { indexKey, readIndexRow } from './checkpoint.ts';
import { INDEX_SPAN_BYTES, type IndexPoint, type Partition } from './partition.ts';
import type { StoredBatch } from './recent-batches.ts';

/** Where a sequential reader goes on in the log without asking the index. */
export interface ReadHint {
  readonly offset: number;
  readonly address: LogAddress;
}

export interface FetchedBatches {
  /** The first one holds the offset asked for; the others follow it without a hole. Empty at the high watermark. */
  readonly batches: readonly StoredBatch[];
  readonly hint: ReadHint | null;
}

/** Reads of one fetch, so that a partition with few batches among many others costs a bounded amount of I/O. */
const READS_MAX = 4096;

export class PartitionReader {
  readonly #log: Log;
  readonly #meta: MetaStore;
  readonly #onIndexDamaged: (error: BrokerError) => void;

  /** `onIndexDamaged`: told of each fetch that the index could not serve; the log then does, slowly. */
  constructor(log: Log, meta: MetaStore, onIndexDamaged: (error: BrokerError) => void) {
    this.#log = log;
    this.#meta = meta;
    this.#onIndexDamaged = onIndexDamaged;
  }

  /**
   * Batches from the one that holds `offset` on: about `bytesMax` bytes, at least one when there is one below the high
   * watermark. From memory at once, else a promise. Rejects with LOG_CORRUPT or LOG_READ_FAILED; a damaged index costs
   * a walk through the log and nothing else.
   */
  fetch(
    partition: Partition,
    offset: number,
    bytesMax: number,
    hint: ReadHint | null,
  ): FetchedBatches | Promise<FetchedBatches> {
    const end = partition.highWatermark;
    if (offset >= end) return { batches: [], hint: null };
    const recent = partition.recent?.from(offset, end, bytesMax) ?? null;
    if (recent !== null) return { batches: recent, hint: null };
    assert(offset < partition.durable, `offset ${offset} of ${partition.label} is neither in memory nor in the log`);
    return this.#fetchFromLog(partition, offset, bytesMax, hint);
  }

  async #fetchFromLog(
    partition: Partition,
    offset: number,
    bytesMax: number,
    hint: ReadHint | null,
  ): Promise<FetchedBatches> {
    return this.#withoutDamage(
      async () =>
        hint?.offset === offset
          ? this.#read(partition, offset, bytesMax, hint.address, 'span')
          : this.#read(partition, offset, bytesMax, await this.#addressOf(partition, offset), 'index'),
      () => this.#read(partition, offset, bytesMax, null, 'whole log'),
    );
  }

  /** The index only saves reading: where it is damaged, the log has everything all the same. */
  async #withoutDamage<T>(byIndex: () => Promise<T>, byLog: () => Promise<T>): Promise<T> {
    try {
      return await byIndex();
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'META_DAMAGED') throw error;
      this.#onIndexDamaged(error);
      return byLog();
    }
  }

  /**
   * Reads on from an address, null for the beginning of the log. `how` it was found says what a span without a batch
   * means: behind the last batch, the index is asked; at an index point, or in a walk through the whole log, read on.
   */
  async #read(
    partition: Partition,
    offset: number,
    bytesMax: number,
    start: LogAddress | null,
    how: 'span' | 'index' | 'whole log',
  ): Promise<FetchedBatches> {
    const batches: StoredBatch[] = [];
    const readsMax = how === 'whole log' ? Number.POSITIVE_INFINITY : READS_MAX;
    let next = offset;
    let bytes = 0;
    let from = start;
    let jumped = how !== 'span';
    for (let reads = 0; bytes < bytesMax && next < partition.durable && reads < readsMax; reads += 1) {
      const read = await this.#log.read(from, Math.max(INDEX_SPAN_BYTES, bytesMax - bytes));
      const found = collect(read, partition, next, bytesMax - bytes);
      for (const batch of found.batches) {
        batches.push(batch);
        bytes += batch.bytes;
        next = batch.baseOffset + batch.count;
      }
      if (found.batches.length > 0) {
        from = found.next;
        jumped = how === 'whole log';
      } else if (!jumped) {
        // None within the span behind the last one: the next batch is an index point.
        from = await this.#addressOf(partition, next);
        jumped = true;
      } else {
        from = read.next;
      }
      if (from === null) break;
    }
    if (batches.length === 0) {
      throw new BrokerError('META_DAMAGED', `the index does not lead to offset ${offset} of ${partition.label}`);
    }
    return { batches, hint: from === null ? null : { offset: next, address: from } };
  }

  /** The index point at or before `offset`. */
  async #addressOf(partition: Partition, offset: number): Promise<LogAddress> {
    const point = await this.#floor(partition, offset);
    if (point === null) {
      throw new BrokerError(
        'META_DAMAGED',
        `the index has no point at or below offset ${offset} of ${partition.label}`,
      );
    }
    return point.address;
  }

  async #floor(partition: Partition, offset: number): Promise<IndexPoint | null> {
    const unsaved = lastAtOrBelow(partition.unsavedPoints, offset);
    if (unsaved !== undefined) return unsaved;
    const row = await this.#meta.floor(indexKey(partition.handle, 0), indexKey(partition.handle, offset));
    return row === null ? null : readIndexRow(row);
  }

  /**
   * The offset of the first record appended at or after `time` (ms since 1970), or the high watermark when there is
   * none. Found by halving over the index, then by reading one span.
   */
  async offsetAtTime(partition: Partition, time: number): Promise<number> {
    const before = await this.#withoutDamage(
      () => this.#pointBefore(partition, time),
      () => Promise.resolve(partition.start),
    );
    return this.#scanForTime(partition, before, time);
  }

  /** The offset of the last index point before `time`, or the partition's start. */
  async #pointBefore(partition: Partition, time: number): Promise<number> {
    // Times never go back along a partition, so halving finds the last index point before `time`.
    let before = partition.start;
    let low = partition.start;
    let high = partition.durable - 1;
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const point = await this.#floor(partition, middle);
      if (point !== null && point.time >= time) {
        high = point.offset - 1;
        continue;
      }
      if (point !== null && point.offset > before) before = point.offset;
      low = middle + 1;
    }
    return before;
  }

  async #scanForTime(partition: Partition, from: number, time: number): Promise<number> {
    let offset = from;
    let hint: ReadHint | null = null;
    while (offset < partition.highWatermark) {
      const fetched: FetchedBatches = await this.fetch(partition, offset, INDEX_SPAN_BYTES, hint);
      for (const batch of fetched.batches) {
        if (batch.time >= time) return Math.max(batch.baseOffset, partition.start);
        offset = batch.baseOffset + batch.count;
      }
      hint = fetched.hint;
      if (fetched.batches.length === 0) break;
    }
    return offset;
  }
}

/** The partition's batches of one read, from offset `next` on; and where to read on. */
function collect(
  read: LogRead,
  partition: Partition,
  next: number,
  bytesMax: number,
): { batches: StoredBatch[]; next: LogAddress | null } {
  const batches: StoredBatch[] = [];
  let due = next;
  let bytes = 0;
  for (const entry of read.entries) {
    if (entry.kind !== EntryKind.batch || handleOf(entry.body) !== partition.handle) continue;
    if (bytes >= bytesMax) return { batches, next: entry.address };
    const { baseOffset, count, time, epoch, delivered } = readBatchEntry(entry.body);
    if (baseOffset + count <= due) continue;
    if (baseOffset > due) {
      throw new BrokerError(
        'META_DAMAGED',
        `the index of ${partition.label} leads past offset ${due}: the next batch found begins at ${baseOffset}`,
      );
    }
    batches.push({ baseOffset, count, time, epoch, bytes: delivered.length, parts: [delivered] });
    bytes += delivered.length - DELIVERED_HEADER_BYTES;
    due = baseOffset + count;
  }
  return { batches, next: read.next };
}

function lastAtOrBelow(points: readonly IndexPoint[], offset: number): IndexPoint | undefined {
  let low = 0;
  let high = points.length - 1;
  let found: IndexPoint | undefined;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const point = points[middle] as IndexPoint;
    if (point.offset <= offset) {
      found = point;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  return found;
}
