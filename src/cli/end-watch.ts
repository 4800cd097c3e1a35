/**
 * When `sluice subscribe` is done: after so many records, or when every partition has reached the high watermark that
 * it had at the start. Pure.
 */

export interface EndOfPartition {
  readonly partition: number;
  /** Next offset that was to be durable when the subscription began. */
  readonly highWatermark: number;
  /** First offset that will be delivered. */
  readonly offset: number;
}

export class EndWatch {
  #left: number;
  /** High watermarks still to be reached, by partition; null when the end is not asked for. */
  readonly #ends: Map<number, number> | null;

  /** `count`: most records; Infinity for any number. `ends`: null to go on for ever. */
  constructor(count: number, ends: readonly EndOfPartition[] | null) {
    this.#left = count;
    this.#ends =
      ends === null
        ? null
        : new Map(
            ends
              .filter(({ offset, highWatermark }) => offset < highWatermark)
              .map(({ partition, highWatermark }) => [partition, highWatermark]),
          );
  }

  get done(): boolean {
    return this.#left <= 0 || (this.#ends !== null && this.#ends.size === 0);
  }

  /** True when the record belongs to what was asked for; to be called once for each record, in order. */
  take(partition: number, offset: number): boolean {
    if (this.done) return false;
    const end = this.#ends?.get(partition);
    if (this.#ends !== null && (end === undefined || offset >= end)) {
      this.#ends.delete(partition);
      return false;
    }
    this.#left -= 1;
    this.reach(partition, offset + 1);
    return true;
  }

  /** The next record of the partition has at least this offset; a gap moves it too. */
  reach(partition: number, offset: number): void {
    const end = this.#ends?.get(partition);
    if (end !== undefined && offset >= end) this.#ends?.delete(partition);
  }
}
