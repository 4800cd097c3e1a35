/**
 * What was delivered of each partition and not yet acknowledged. Acknowledgements may come in any order; what may be
 * committed is the offset before which all are in.
 */
interface Lane {
  readonly epoch: number;
  /** Offsets delivered and not acknowledged, rising. */
  readonly open: Set<number>;
  /** Behind the last one delivered. */
  next: number;
}

/** Names a record; a `SluiceRecord` fits. */
export interface RecordId {
  readonly partition: number;
  readonly epoch: number;
  readonly offset: number;
}

export class Acknowledgements {
  readonly #lanes = new Map<number, Lane>();
  #open = 0;

  /** Delivered and not acknowledged, over all partitions. */
  get open(): number {
    return this.#open;
  }

  delivered({ partition, epoch, offset }: RecordId): void {
    let lane = this.#lanes.get(partition);
    if (lane === undefined || lane.epoch !== epoch) {
      // A history that was cut short: what was delivered of its lost end can't be committed any more.
      this.#open -= lane?.open.size ?? 0;
      lane = { epoch, open: new Set(), next: offset };
      this.#lanes.set(partition, lane);
    }
    lane.open.add(offset);
    lane.next = offset + 1;
    this.#open += 1;
  }

  /** The offset that may be committed now; null when the record was not open, or one before it still is. */
  acknowledge({ partition, epoch, offset }: RecordId): number | null {
    const lane = this.#lanes.get(partition);
    if (lane === undefined || lane.epoch !== epoch || !lane.open.has(offset)) return null;
    const [first] = lane.open;
    lane.open.delete(offset);
    this.#open -= 1;
    if (first !== offset) return null;
    const [oldest = lane.next] = lane.open;
    return oldest;
  }
}
