/**
 * Follows a shutdown for the log: every so often what is left and who is slowest, and once, by name, when nothing has
 * moved for a while. The broker starts it with the first request and ends it with the report.
 */
import type { ShutdownState } from './broker-status.ts';
import type { Logger } from './logger.ts';
import { ended } from './machines/children.ts';
import type { Clock, TimerHandle } from './ports/clock.ts';

export interface StopProgressOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly look: () => ShutdownState;
}

/** Time between two looks, between two lines of progress, and without any change until it is stalled, ms. */
const LOOK_MS = 500;
const TELL_MS = 2000;
const STALLED_MS = 2000;

export class StopProgress {
  readonly #options: StopProgressOptions;
  #timer: TimerHandle | null = null;
  #seen = '';
  #movedAt = 0;
  #toldAt = 0;
  /** Nothing has moved for two seconds: who is waited for is in the log. */
  stalled = false;

  constructor(options: StopProgressOptions) {
    this.#options = options;
  }

  /** Begins to look; again: goes on. */
  begin(): void {
    if (this.#timer !== null) return;
    this.#movedAt = this.#toldAt = this.#options.clock.monotonic();
    this.#timer = this.#options.clock.setTimeout(() => this.#look(), LOOK_MS);
  }

  end(): void {
    if (this.#timer !== null) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  #look(): void {
    const { clock, look } = this.#options;
    const now = clock.monotonic();
    const state = look();
    const seen = movingPartsOf(state);
    if (seen !== this.#seen || state.phase === 'announcing') this.#moved(state, seen, now);
    else if (!this.stalled && now - this.#movedAt >= STALLED_MS) this.#stall(state, now - this.#movedAt);
    this.#timer = clock.setTimeout(() => this.#look(), LOOK_MS);
  }

  #moved(state: ShutdownState, seen: string, now: number): void {
    this.stalled = false;
    this.#seen = seen;
    this.#movedAt = now;
    if (now - this.#toldAt < TELL_MS) return;
    this.#toldAt = now;
    const { phase, phaseMs, deadlineMs, etaMs, pendingBytes, sessions } = state;
    const slowest = waitedFor(state)[0] ?? null;
    this.#options.logger.info(
      { phase, phaseMs, deadlineMs, etaMs, pendingBytes, sessions, slowest },
      'shutdown progress',
    );
  }

  #stall(state: ShutdownState, forMs: number): void {
    this.stalled = true;
    const { phase, deadlineMs, sessions } = state;
    this.#options.logger.warn(
      { phase, forMs: Math.round(forMs), deadlineMs, sessions, waitingFor: waitedFor(state) },
      'shutdown stalled',
    );
  }
}

/** Everything that changes when something is done, and nothing that changes by itself. */
function movingPartsOf({ phase, pendingBytes, sessions, shards, children }: ShutdownState): string {
  const written = shards.map(({ operation, flushedBytes }) => [operation, flushedBytes]);
  return JSON.stringify([phase, pendingBytes, sessions, written, children.map(({ state }) => state)]);
}

export interface WaitedFor {
  readonly id: string;
  readonly state: string;
  /** What a shard is at. */
  readonly operation?: string | null;
  readonly pendingRecords?: number;
  readonly pendingBytes?: number;
  /** Of the write under way, ms. */
  readonly writeAgeMs?: number | null;
}

/** Who has not done its part of this phase, the shard with the most to write first. */
function waitedFor({ phase, shards, children }: ShutdownState): WaitedFor[] {
  const details = new Map(shards.map((shard) => [shard.id, shard]));
  const open = children.filter(
    ({ id, state }) => !ended.includes(state) && !(phase === 'draining' && state === 'drained') && id !== 'admin',
  );
  const waited = open.map(({ id, state }): WaitedFor => {
    const shard = details.get(id);
    if (shard === undefined) return { id, state };
    const { operation, pendingRecords, pendingBytes, writeAgeMs } = shard;
    return { id, state, operation, pendingRecords, pendingBytes, writeAgeMs };
  });
  return waited.sort((a, b) => (b.pendingBytes ?? -1) - (a.pendingBytes ?? -1));
}
