/** The clock port: wall time for what people and records see, monotonic time for every deadline. */

export type TimerHandle = object | number;

export interface Clock {
  /** Wall time, whole ms since 1970. May jump. */
  now(): number;
  /** Monotonic time, ms with fractions. Never goes back; says nothing about the date. */
  monotonic(): number;
  /** Calls back once, no sooner than `ms` from now. `ms` is finite and at most 2^31 − 1. */
  setTimeout(callback: () => void, ms: number): TimerHandle;
  clearTimeout(handle: TimerHandle): void;
  /** Calls back once when the present turn of the event loop is over, before any timer. */
  defer(callback: () => void): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
  defer: (callback) => queueMicrotask(callback),
};
