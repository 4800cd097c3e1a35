/** The clock as one process of a test sees it: its own monotonic zero, and no timer that outlives it. */
import type { Clock } from '../ports/clock.ts';
import type { SimulatedClock } from './simulated-clock.ts';

export class ProcessClock implements Clock {
  readonly #clock: SimulatedClock;
  readonly #began: number;
  readonly #wallSkewMs: () => number;
  readonly #timers = new Set<object>();
  #alive = true;

  /** `wallSkewMs`: what the wall clock is off by now. */
  constructor(clock: SimulatedClock, wallSkewMs: () => number = () => 0) {
    this.#clock = clock;
    this.#began = clock.monotonic();
    this.#wallSkewMs = wallSkewMs;
  }

  now(): number {
    return this.#clock.now() + this.#wallSkewMs();
  }

  monotonic(): number {
    return this.#clock.monotonic() - this.#began;
  }

  setTimeout(callback: () => void, ms: number): object {
    if (!this.#alive) return {};
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(timer);
      callback();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(handle: object | number): void {
    if (this.#timers.delete(handle as object)) this.#clock.clearTimeout(handle);
  }

  defer(callback: () => void): void {
    queueMicrotask(() => this.#alive && callback());
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#timers.size;
  }

  /** The process is dead. */
  stop(): void {
    this.#alive = false;
    for (const timer of this.#timers) this.#clock.clearTimeout(timer);
    this.#timers.clear();
  }
}
