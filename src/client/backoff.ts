/**
 * Full-jitter exponential back-off: each wait is drawn evenly from zero to a window that starts at `minMs`, doubles
 * with every failure and stops growing at `maxMs`. Spreads a crowd better than jitter around a rising wait.
 */

export interface BackoffOptions {
  /** First window, ms. */
  readonly minMs: number;
  /** Largest window, ms. */
  readonly maxMs: number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions, random: () => number) {
    this.#options = options;
    this.#random = random;
  }

  /** ms to wait before the next try. */
  next(): number {
    const { minMs, maxMs } = this.#options;
    const windowMs = Math.min(maxMs, minMs * 2 ** this.#failures);
    // Held where the window stops growing, so that the power stays finite.
    if (windowMs < maxMs) this.#failures += 1;
    return this.#random() * windowMs;
  }

  reset(): void {
    this.#failures = 0;
  }
}
