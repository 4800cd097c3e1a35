/**
 * A distribution by fixed bounds: how many values were at most this much, and their sum. A few machine instructions for
 * an observation and no allocation, so that the record path may keep one; read by the metrics when they are asked for.
 */
export class Distribution {
  /** Upper bounds, ascending; what is above the last one counts in `count` alone. */
  readonly bounds: readonly number[];
  readonly #counts: Float64Array;
  #count = 0;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
  }

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  observe(value: number): void {
    this.#count += 1;
    this.#sum += value;
    const at = this.bounds.findIndex((bound) => value <= bound);
    if (at >= 0) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  /** For each bound, how many values were at most that much. */
  cumulative(): number[] {
    let sum = 0;
    return Array.from(this.#counts, (count) => {
      sum += count;
      return sum;
    });
  }
}
