/**
 * Time and chance as the client sees them: passed in, so that tests decide both. A `Clock` of the broker fits.
 */

export type TimerHandle = object | number;

export interface ClientClock {
  /** Monotonic time, ms. */
  monotonic(): number;
  /** Calls back once, no sooner than `ms` from now. */
  setTimeout(callback: () => void, ms: number): TimerHandle;
  clearTimeout(handle: TimerHandle): void;
}

export const platformClock: ClientClock = {
  monotonic: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (handle) => clearTimeout(handle as number),
};

/** One timer that can be set again; unset, it holds nothing. */
export class Timer {
  readonly #clock: ClientClock;
  #handle: TimerHandle | null = null;

  constructor(clock: ClientClock) {
    this.#clock = clock;
  }

  /** Calls back once, after `ms` cut to what platforms can wait; replaces what it was set for. */
  set(ms: number, callback: () => void): void {
    this.clear();
    const fire = (): void => {
      this.#handle = null;
      callback();
    };
    this.#handle = this.#clock.setTimeout(fire, Math.min(ms, 0x7fffffff));
  }

  clear(): void {
    if (this.#handle !== null) this.#clock.clearTimeout(this.#handle);
    this.#handle = null;
  }
}

/** A fresh identifier: 22 hexadecimal digits, 88 bits from the platform's secure source. */
export function randomId(): string {
  const bytes = [...crypto.getRandomValues(new Uint8Array(11))];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

const PAUSE_MS_MAX = 3_600_000;

/** The broker's word on how long to wait, kept within an hour so that a wrong one cannot park the client. */
export function pauseMs(ms: number): number {
  return ms > 0 ? Math.min(ms, PAUSE_MS_MAX) : 0;
}
