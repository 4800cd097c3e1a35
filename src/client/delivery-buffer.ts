/**
 * What was delivered and not yet taken by the loop, in order, and where the loop stands. Batches stay as they came and
 * are decoded record by record as they are taken.
 */
import { type DeliveredBatch, decodeBatch, type RecordView, readDeliveredBatches } from '../domain/record-batch.ts';
import type { Gap, Records, SubscribedPartition } from '../protocol/replies.ts';
import type { RecordPlace } from './record.ts';
import type { Position } from './subscription-options.ts';

export interface DeliveredRecord {
  readonly kind: 'record';
  readonly place: RecordPlace;
  readonly view: RecordView;
}

export type Delivery = DeliveredRecord | { readonly kind: 'gap'; readonly gap: Gap };

type Item = { readonly position: Writable<Position> } & (
  | { readonly batch: DeliveredBatch & Pick<RecordPlace, 'redeliveredBefore'> }
  | { readonly gap: Gap }
);

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

interface Cursor {
  readonly position: Writable<Position>;
  readonly place: RecordPlace;
  readonly views: Iterator<RecordView, void, undefined>;
}

export class DeliveryBuffer {
  readonly #topic: string;
  readonly #positions = new Map<number, Writable<Position>>();
  #items: Item[] = [];
  #cursor: Cursor | null = null;
  /** Records taken since it was last set to 0: what the broker may be given credit for again. */
  taken = 0;

  constructor(topic: string) {
    this.#topic = topic;
  }

  get positions(): readonly Position[] {
    return [...this.#positions.values()].map((position) => ({ ...position }));
  }

  /**
   * The broker's word on where it begins; the loop's own position goes before it where there is one. A partition that
   * is not among them is not served now, and the loop goes on where it was when it is again.
   */
  begin(partitions: readonly SubscribedPartition[]): void {
    for (const given of partitions) {
      const { partition, highWatermark } = given;
      this.#positions.set(partition, { ...given, ...this.#positions.get(partition), highWatermark });
    }
  }

  /** Takes in a delivery. Throws RangeError when its body does not add up. */
  push({ partition, highWatermark, redeliveredBefore = 0 }: Records, body: Uint8Array): void {
    const position = this.#positions.get(partition);
    if (position === undefined) return;
    position.highWatermark = highWatermark;
    for (const batch of readDeliveredBatches(body)) {
      this.#items.push({ position, batch: { ...batch, redeliveredBefore } });
    }
  }

  pushGap(gap: Gap): void {
    const position = this.#positions.get(gap.partition);
    if (position !== undefined) this.#items.push({ position, gap });
  }

  /** The next record or gap, which the loop's position then is behind; null when there is none. */
  take(): Delivery | null {
    for (;;) {
      const record = this.takeSibling();
      if (record !== null) return record;
      const item = this.#items.shift();
      if (item === undefined) return null;
      const { position } = item;
      if ('gap' in item) {
        // Told of a position that the loop has left behind meanwhile.
        if (item.gap.reason === 'retention' && item.gap.offset <= position.offset) continue;
        position.offset = item.gap.offset;
        position.epoch = item.gap.epoch;
        return { kind: 'gap', gap: item.gap };
      }
      // A batch is delivered whole: what lies before the position was seen, or not asked for.
      const { batch, ...header } = item.batch;
      const seen = Math.max(0, position.offset - header.baseOffset);
      const place = { topic: this.#topic, partition: position.partition, ...header };
      this.#cursor = { position, place, views: decodeBatch(batch, seen) };
    }
  }

  /** The next record of the batch that the last one came from; null behind its end. */
  takeSibling(): DeliveredRecord | null {
    if (this.#cursor === null) return null;
    const { position, place, views } = this.#cursor;
    const { value: view } = views.next();
    if (!view) {
      this.#cursor = null;
      return null;
    }
    this.taken += 1;
    position.offset = place.baseOffset + view.index + 1;
    position.epoch = place.epoch;
    return { kind: 'record', place, view };
  }

  /** Lets go of what was not taken; the positions stay. */
  clear(): void {
    this.#items = [];
    this.#cursor = null;
    this.taken = 0;
  }
}
