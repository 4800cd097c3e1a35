/**
 * A clock that a test moves: time stands still until `advance` or `fireNext`. Timers fire in order of their time, each
 * at its own time (so a timer set by another is due from then on). Where times are equal they fire in the order of
 * their setting, or as `tie` decides. Usable as the broker's clock and as XState's.
 */
import type { Clock } from '../ports/clock.ts';

interface Timer {
  readonly at: number;
  readonly tie: number;
  readonly order: number;
  /** Null once it has fired or was cleared. */
  callback: (() => void) | null;
}

export interface SimulatedClockOptions {
  /**
   * Orders timers of one time before their setting does: the lower first. Given the time that each was set for, ms, so
   * that timers of one duration keep their order, as Node keeps it.
   */
  readonly tie?: (ms: number) => number;
}

export class SimulatedClock implements Clock {
  /** Wall time at monotonic 0, ms since 1970. */
  readonly #epoch: number;
  readonly #tie: ((ms: number) => number) | undefined;
  #time = 0;
  #order = 0;
  /** A binary heap, the earliest first. Cleared timers stay in it until they come up. */
  readonly #heap: Timer[] = [];
  #pending = 0;

  constructor(epoch = Date.UTC(2026, 0, 1), { tie }: SimulatedClockOptions = {}) {
    this.#epoch = epoch;
    this.#tie = tie;
  }

  now(): number {
    return this.#epoch + Math.floor(this.#time);
  }

  monotonic(): number {
    return this.#time;
  }

  setTimeout(callback: () => void, ms: number): object {
    if (!Number.isFinite(ms)) throw new RangeError(`a timer needs a finite time; got ${ms}`);
    const at = this.#time + Math.max(ms, 0);
    const timer: Timer = { at, tie: this.#tie?.(ms) ?? 0, order: this.#order, callback };
    this.#order += 1;
    this.#pending += 1;
    this.#push(timer);
    return timer;
  }

  clearTimeout(handle: object | number): void {
    const timer = handle as Timer;
    if (timer.callback === null || timer.callback === undefined) return;
    timer.callback = null;
    this.#pending -= 1;
  }

  defer(callback: () => void): void {
    queueMicrotask(callback);
  }

  /** Timers that have not fired; 0 when nothing is left behind. */
  get pending(): number {
    return this.#pending;
  }

  /** Time of the next timer, monotonic ms; null when there is none. */
  get next(): number | null {
    return this.#earliest()?.at ?? null;
  }

  /**
   * Moves time to the next timer and fires it, if it is due by `until` (monotonic ms); false when there is none. What
   * it settles runs when the caller yields: a turn of the event loop lets all of it run.
   */
  fireNext(until = Number.POSITIVE_INFINITY): boolean {
    const timer = this.#earliest();
    if (timer === null || timer.at > until) return false;
    this.#pop();
    const { callback } = timer;
    timer.callback = null;
    this.#pending -= 1;
    this.#time = Math.max(this.#time, timer.at);
    callback?.();
    return true;
  }

  /** Moves time on by `ms`, firing what becomes due; pending promises run between timers. */
  async advance(ms: number): Promise<void> {
    const until = this.#time + ms;
    await settle();
    while (this.fireNext(until)) await settle();
    this.#time = until;
    await settle();
  }

  #earliest(): Timer | null {
    for (let timer = this.#heap[0]; timer !== undefined; timer = this.#heap[0]) {
      if (timer.callback !== null) return timer;
      this.#pop();
    }
    return null;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = heap[parent] as Timer;
      if (!isBefore(timer, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Timer)) child += 1;
      const below = heap[child] as Timer;
      if (!isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  if (a.at !== b.at) return a.at < b.at;
  return a.tie === b.tie ? a.order < b.order : a.tie < b.tie;
}

/** Lets promises that are settled already run their course. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}
