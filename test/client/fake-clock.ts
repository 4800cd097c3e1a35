/** A clock that is told the time: timers fire in order of time, then of setting, and everything settles in between. */
import type { ClientClock, TimerHandle } from '../../src/client/clock.ts';

interface Waiting {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

export class FakeClock implements ClientClock {
  #now = 0;
  #order = 0;
  readonly #waiting = new Set<Waiting>();

  monotonic(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, ms: number): TimerHandle {
    if (!(ms >= 0 && ms <= 0x7fffffff)) throw new RangeError(`a timer of ${ms} ms`);
    this.#order += 1;
    const waiting = { at: this.#now + ms, order: this.#order, callback };
    this.#waiting.add(waiting);
    return waiting;
  }

  clearTimeout(handle: TimerHandle): void {
    this.#waiting.delete(handle as Waiting);
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#waiting.size;
  }

  /** Lets `ms` pass, with promises settled behind each timer. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#next(end); next !== null; next = this.#next(end)) {
      this.#waiting.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await settle();
    }
    this.#now = end;
  }

  #next(end: number): Waiting | null {
    let first: Waiting | null = null;
    for (const waiting of this.#waiting) {
      if (waiting.at > end) continue;
      if (first === null || waiting.at < first.at || (waiting.at === first.at && waiting.order < first.order)) {
        first = waiting;
      }
    }
    return first;
  }
}

/** Until every promise that can settle has: a turn of the event loop, not a sleep. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
