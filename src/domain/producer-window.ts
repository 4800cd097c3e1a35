/**
 * What one producer stored on one partition, as far back as a resend may reach: the base of idempotent publishing.
 * Sequences rise; each remembered publish is its first sequence and its first offset. Pure; used by the shard's state.
 */

/** Publishes remembered per producer and partition: the 1,024 that may be unanswered on one connection, and some to spare. */
export const WINDOW_PUBLISHES_MAX = 1100;

/** What a sequence is to a window. */
export type SequenceVerdict =
  | { readonly is: 'new' }
  | { readonly is: 'duplicate'; readonly offset: number; readonly epoch: number }
  /** Not above the last one, and not remembered: stored too long ago, or skipped. */
  | { readonly is: 'stale'; readonly last: number };

export class ProducerWindow {
  /** Last sequence stored; −1 before the first. */
  #last = -1;
  /** Append time of the last publish, ms since 1970; decides who is forgotten first. */
  #lastTime = 0;
  /** Ring of (sequence, offset, epoch) triples in rising order, from `#head` on. */
  #ring: number[] = [];
  #head = 0;

  get last(): number {
    return this.#last;
  }

  get lastTime(): number {
    return this.#lastTime;
  }

  judge(sequence: number): SequenceVerdict {
    if (sequence > this.#last) return { is: 'new' };
    const at = this.#find(sequence);
    if (at < 0) return { is: 'stale', last: this.#last };
    return { is: 'duplicate', offset: this.#ring[at + 1] as number, epoch: this.#ring[at + 2] as number };
  }

  /** Remembers a publish of `count` records from `sequence` on, stored from `offset` on. `sequence` is above `last`. */
  store(sequence: number, count: number, offset: number, epoch: number, time: number): void {
    this.#last = sequence + count - 1;
    this.#lastTime = time;
    this.#ring.push(sequence, offset, epoch);
    if (this.#ring.length - this.#head <= WINDOW_PUBLISHES_MAX * 3) return;
    this.#head += 3;
    // Compacts once as much is dead as alive, so that a store costs constant time on average.
    if (this.#head >= WINDOW_PUBLISHES_MAX * 3) {
      this.#ring = this.#ring.slice(this.#head);
      this.#head = 0;
    }
  }

  #find(sequence: number): number {
    let low = this.#head / 3;
    let high = this.#ring.length / 3 - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = this.#ring[middle * 3] as number;
      if (found === sequence) return middle * 3;
      if (found < sequence) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** The window as plain numbers, for a checkpoint: last, lastTime, then the triples. */
  toNumbers(): number[] {
    return [this.#last, this.#lastTime, ...this.#ring.slice(this.#head)];
  }

  static fromNumbers(numbers: readonly number[]): ProducerWindow {
    const window = new ProducerWindow();
    window.#last = numbers[0] ?? -1;
    window.#lastTime = numbers[1] ?? 0;
    window.#ring = numbers.slice(2);
    return window;
  }
}
