/**
 * A clock that a test moves: time stands still until `advance`. Timers fire in order of their time, and of their
 * setting where times are equal, each at its own time (so a timer set by another is due from then on). Usable as the
 * broker's clock and as XState's.
 */
import type { Clock } from '../ports/clock.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

export class SimulatedClock implements Clock {
  /** Wall time at monotonic 0, ms since 1970. */
  readonly #epoch: number;
  #time = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  constructor(epoch = Date.UTC(2026, 0, 1)) {
    this.#epoch = epoch;
  }

  now(): number {
    return this.#epoch + Math.floor(this.#time);
  }

  monotonic(): number {
    return this.#time;
  }

  setTimeout(callback: () => void, ms: number): object {
    if (!Number.isFinite(ms)) throw new RangeError(`a timer needs a finite time; got ${ms}`);
    const timer: Timer = { at: this.#time + Math.max(ms, 0), order: this.#order, callback };
    this.#order += 1;
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(handle: object | number): void {
    this.#timers.delete(handle as Timer);
  }

  defer(callback: () => void): void {
    queueMicrotask(callback);
  }

  /** Timers that have not fired; 0 when nothing is left behind. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Time of the next timer, monotonic ms; null when there is none. */
  get next(): number | null {
    return this.#earliest()?.at ?? null;
  }

  /** Moves time on by `ms`, firing what becomes due; pending promises run between timers. */
  async advance(ms: number): Promise<void> {
    const until = this.#time + ms;
    await settle();
    for (let timer = this.#earliest(); timer !== null && timer.at <= until; timer = this.#earliest()) {
      this.#timers.delete(timer);
      this.#time = Math.max(this.#time, timer.at);
      timer.callback();
      await settle();
    }
    this.#time = until;
    await settle();
  }

  #earliest(): Timer | null {
    let earliest: Timer | null = null;
    for (const timer of this.#timers) {
      if (earliest === null || timer.at < earliest.at || (timer.at === earliest.at && timer.order < earliest.order)) {
        earliest = timer;
      }
    }
    return earliest;
  }
}

/** Lets promises that are settled already run their course. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}
