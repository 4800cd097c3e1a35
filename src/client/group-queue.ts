/**
 * What was delivered to a member and not yet taken by its loop, in order over all partitions. Batches stay as they came
 * and are decoded record by record; those of a partition that was asked back or lost are passed over.
 */
import {
  batchCount,
  type DeliveredBatch,
  decodeBatch,
  type RecordView,
  readDeliveredBatches,
} from '../domain/record-batch.ts';
import type { Gap, Records } from '../protocol/replies.ts';
import type { HeldPartition } from './group-partition.ts';
import type { RecordPlace } from './record.ts';

export type GroupDelivery = { readonly held: HeldPartition } & (
  | { readonly place: RecordPlace; readonly view: RecordView }
  | { readonly gap: Gap }
);

type Item = { readonly held: HeldPartition } & (
  | { readonly batch: DeliveredBatch; readonly redeliveredBefore: number }
  | { readonly gap: Gap }
);

interface Cursor {
  readonly held: HeldPartition;
  readonly place: RecordPlace;
  readonly views: Iterator<RecordView, void, undefined>;
}

export class GroupQueue {
  #items: Item[] = [];
  #cursor: Cursor | null = null;

  /** Takes in a delivery. Throws RangeError when its body does not add up. */
  push(held: HeldPartition, { highWatermark, redeliveredBefore = 0 }: Records, body: Uint8Array): void {
    held.highWatermark = highWatermark;
    for (const batch of readDeliveredBatches(body)) {
      held.receivedEnd = batch.baseOffset + batchCount(batch.batch);
      this.#items.push({ held, batch, redeliveredBefore });
    }
  }

  pushGap(held: HeldPartition, gap: Gap): void {
    this.#items.push({ held, gap });
  }

  /** The next record or gap; null when there is none. */
  take(): GroupDelivery | null {
    for (;;) {
      const cursor = this.#cursor;
      const view = cursor?.held.live ? cursor.views.next().value : undefined;
      if (cursor !== null && view) return { held: cursor.held, place: cursor.place, view };
      this.#cursor = null;
      const item = this.#items.shift();
      if (item === undefined) return null;
      if (!item.held.live) continue;
      if ('gap' in item) return item;
      this.#begin(item.held, item.batch, item.redeliveredBefore);
    }
  }

  #begin(held: HeldPartition, { batch, ...header }: DeliveredBatch, redeliveredBefore: number): void {
    const { topic, partition, offset } = held;
    // A batch is delivered whole: what lies before the position was seen, or not asked for.
    const views = decodeBatch(batch, Math.max(0, offset - header.baseOffset));
    this.#cursor = { held, place: { topic, partition, ...header, redeliveredBefore }, views };
  }

  clear(): void {
    this.#items = [];
    this.#cursor = null;
  }
}
