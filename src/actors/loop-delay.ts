/**
 * How late the event loop is: what everything else in this process waits for. Measured by the runtime while the admin
 * endpoint listens, over a window that suits several readers: each sees at least what happened since it last looked,
 * when it looks as often as the others, and never less than the last fifteen seconds.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '../ports/clock.ts';

/** Seconds; zero where nothing was late. */
export interface LoopDelayFigures {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** The runtime's timer counts its own period as delay; it is taken off again. A shorter one is felt by an idle process. */
const PERIOD_MS = 50;
const WINDOW_MS = 15_000;

export class LoopDelay {
  readonly #clock: Clock;
  /** The older window, which is read, and the younger one, which takes its place. Null while it does not measure. */
  #windows: { older: IntervalHistogram; younger: IntervalHistogram; youngerSince: number } | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(): void {
    if (this.#windows !== null) return;
    const older = monitorEventLoopDelay({ resolution: PERIOD_MS });
    const younger = monitorEventLoopDelay({ resolution: PERIOD_MS });
    older.enable();
    younger.enable();
    this.#windows = { older, younger, youngerSince: this.#clock.monotonic() };
  }

  /** Ends the runtime's timers. */
  stop(): void {
    this.#windows?.older.disable();
    this.#windows?.younger.disable();
    this.#windows = null;
  }

  /** Null while it does not measure. */
  read(): LoopDelayFigures | null {
    if (this.#windows === null) return null;
    const { older, younger, youngerSince } = this.#windows;
    const figures = {
      p50: lateSeconds(older.percentile(50)),
      p99: lateSeconds(older.percentile(99)),
      max: lateSeconds(older.max),
    };
    const now = this.#clock.monotonic();
    if (now - youngerSince >= WINDOW_MS) {
      older.reset();
      this.#windows = { older: younger, younger: older, youngerSince: now };
    }
    return figures;
  }
}

function lateSeconds(nanoseconds: number): number {
  return Math.max(nanoseconds / 1e9 - PERIOD_MS / 1000, 0);
}
