/**
 * The sessions of the gateway: admits connections, sweeps them once a second (one timer for all), tells them to go and
 * closes them at an even pace. Made by the composition root, driven by the gateway actor.
 */

import type { Config } from '../config.ts';
import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { SessionChart } from '../machines/session.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Connection } from '../ports/connection.ts';
import type { Random } from '../ports/random.ts';
import type { Catalogue } from '../shard/catalogue.ts';
import type { ShardTable } from '../shard/shard-table.ts';
import type { FlightMeter } from './flight-meter.ts';
import type { Groups } from './groups.ts';
import { Session } from './session.ts';
import type { SessionHost } from './session-host.ts';
import { TextCache } from './text-cache.ts';

export interface SessionsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly shards: ShardTable;
  readonly catalogue: Catalogue;
  readonly groups: Groups;
  readonly meter: FlightMeter;
  readonly brokerName: string;
}

/** Whoever looks at the sessions as they come and go. */
export interface SessionsWatch {
  opened(session: Session): void;
  closed(session: Session): void;
}

export interface LeaveNotice {
  readonly stage: 'announce' | 'drain';
  readonly reason: string;
  readonly deadlineMs: number;
}

export interface Closing {
  readonly code: number;
  readonly reason: string;
  /** Time until the last of them is cut, ms. */
  readonly withinMs: number;
  /** Evenly over that time; else at once. */
  readonly paced: boolean;
}

/** How the sessions ended: told and answered, or cut because they did not answer the close in time. */
export interface ClosedSessions {
  readonly closedGraceful: number;
  readonly closedForced: number;
}

const SWEEP_MS = 1000;
/** Pace of closing: this much per session, so that ten thousand take five seconds. */
const CLOSE_EACH_MS = 0.5;
const CLOSE_TICK_MS = 20;
/** Longest that a client which goes on sending keeps its connection behind the others. */
const LAST_WORDS_MS = 1000;
/** Time that a client has to answer the close before it is cut. */
const CLOSE_ANSWER_MS = 1000;
const TELL_EACH_TURN = 200;
/** Longest wait for commits of what was delivered, and how often it is looked at. */
const COMMIT_WAIT_MAX_MS = 5000;
const COMMIT_LOOK_MS = 20;
/** Reconnects are spread over this much per session, within the two bounds. */
const RECONNECT_EACH_MS = 2;
const RECONNECT_MIN_MS = 1000;
const RECONNECT_MAX_MS = 30_000;

export class Sessions implements SessionHost {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly shards: ShardTable;
  readonly catalogue: Catalogue;
  readonly groups: Groups;
  readonly meter: FlightMeter;
  readonly texts = new TextCache();
  readonly brokerName: string;
  /** Set while somebody looks. */
  watch: SessionsWatch | null = null;
  readonly #random: Random;
  readonly #sessions = new Map<Session, SessionChart>();
  readonly #producers = new Map<string, Session>();
  #sweeping: TimerHandle | null = null;
  #sweepDue = 0;
  #notice: LeaveNotice | null = null;
  #graceful = 0;
  #forced = 0;
  #emptyWaiters: (() => void)[] = [];
  #opened = 0;
  #hurried = false;
  readonly #pauses = new Set<() => void>();

  constructor(options: SessionsOptions) {
    this.config = options.config;
    this.clock = options.clock;
    this.logger = options.logger;
    this.shards = options.shards;
    this.catalogue = options.catalogue;
    this.groups = options.groups;
    this.meter = options.meter;
    this.brokerName = options.brokerName;
    this.#random = options.random;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Connections accepted since the start. */
  get opened(): number {
    return this.#opened;
  }

  get draining(): boolean {
    return this.#notice !== null;
  }

  get all(): Iterable<Session> {
    return this.#sessions.keys();
  }

  /** The chart of a session that is open; undefined for any other. To look at: the session alone steps it. */
  chartOf(session: Session): SessionChart | undefined {
    return this.#sessions.get(session);
  }

  /** A connection arrived. */
  accept(connection: Connection): void {
    this.#opened += 1;
    const balance = Math.floor(this.#random.next() * 1024);
    const chart = new SessionChart();
    const session = new Session(this.#random.id(), connection, this, chart, balance);
    this.#sessions.set(session, chart);
    this.watch?.opened(session);
    this.#startSweeping();
    session.start();
    if (this.#notice !== null) this.#tell(session, this.#notice);
  }

  claimProducer(producer: string, session: Session): void {
    const holder = this.#producers.get(producer);
    this.#producers.set(producer, session);
    if (holder === undefined || holder === session) return;
    this.logger.info({ producer, from: holder.id, to: session.id }, 'producer taken over by another connection');
    const error = new BrokerError('PRODUCER_TAKEN', `producer ${producer} said hello on another connection`);
    holder.outbox.refuse('text', undefined, error);
    holder.close('PRODUCER_TAKEN', error.message);
  }

  releaseProducer(session: Session): void {
    const { producer } = session;
    if (producer !== undefined && this.#producers.get(producer) === session) this.#producers.delete(producer);
  }

  closed(session: Session): void {
    this.#sessions.delete(session);
    this.watch?.closed(session);
    this.releaseProducer(session);
    if (this.#sessions.size > 0) return;
    this.#stopSweeping();
    for (const resolve of this.#emptyWaiters.splice(0)) resolve();
  }

  // --- the sweep ---

  #startSweeping(): void {
    if (this.#sweeping !== null) return;
    this.#sweepDue = this.clock.monotonic() + SWEEP_MS;
    this.#sweeping = this.clock.setTimeout(() => this.#sweep(), SWEEP_MS);
  }

  #stopSweeping(): void {
    if (this.#sweeping === null) return;
    this.clock.clearTimeout(this.#sweeping);
    this.#sweeping = null;
  }

  #sweep(): void {
    this.#sweeping = null;
    const now = this.clock.monotonic();
    // This process stood still: what clients said meanwhile has not been read yet, so their silence says nothing.
    if (now - this.#sweepDue < SWEEP_MS) for (const session of this.#sessions.keys()) session.sweep(now);
    if (this.#sessions.size > 0) this.#startSweeping();
  }

  // --- leaving ---

  /** Tells every client, and those who still come. */
  announce(notice: LeaveNotice): void {
    this.#notice = notice;
    this.#tellSome([...this.#sessions.keys()], notice);
  }

  /** Tells a bounded number a turn, so that ten thousand do not hold up what the shards have to do meanwhile. */
  #tellSome(sessions: Session[], notice: LeaveNotice): void {
    for (const session of sessions.splice(0, TELL_EACH_TURN))
      if (this.#sessions.has(session)) this.#tell(session, notice);
    // A later word, or none any more, takes the place of what was not said yet.
    if (sessions.length > 0)
      this.clock.setTimeout(() => this.#notice === notice && this.#tellSome(sessions, notice), 0);
  }

  /** The drain was cancelled. */
  cancel(): void {
    this.#notice = null;
    this.#staySome([...this.#sessions.keys()]);
  }

  #staySome(sessions: Session[]): void {
    for (const session of sessions.splice(0, TELL_EACH_TURN)) if (this.#sessions.has(session)) session.stay();
    if (sessions.length > 0) this.clock.setTimeout(() => this.#notice === null && this.#staySome(sessions), 0);
  }

  #tell(session: Session, notice: LeaveNotice): void {
    const spread = Math.min(Math.max(this.#sessions.size * RECONNECT_EACH_MS, RECONNECT_MIN_MS), RECONNECT_MAX_MS);
    const reconnectAfterMs = Math.round(notice.deadlineMs / 10 + this.#random.next() * spread);
    session.goAway({ ...notice, deadlineMs: Math.round(notice.deadlineMs), reconnectAfterMs });
  }

  /**
   * Closes all, the quiet ones first, evenly over a window that grows with their number and leaves each its time to
   * answer; resolves when none is left.
   */
  async close(closing: Closing): Promise<ClosedSessions> {
    const until = this.clock.monotonic() + closing.withinMs;
    const pacedMs = closing.paced ? Math.max(closing.withinMs - CLOSE_ANSWER_MS, 0) : 0;
    const waiting = this.#inClosingOrder();
    const window = Math.min(waiting.length * CLOSE_EACH_MS, pacedMs);
    const perTick = Math.ceil(waiting.length / Math.max(1, Math.floor(window / CLOSE_TICK_MS)));
    for (let at = 0; at < waiting.length; at += perTick) {
      const now = this.clock.monotonic();
      for (const session of waiting.slice(at, at + perTick)) {
        // Replies leave before sockets close: who may still be owed one is closed when it has it.
        if (pacedMs === 0 || session.settled(now)) this.#closeOne(session, closing, until);
      }
      if (at + perTick < waiting.length && !this.#hurried) await this.#pause(CLOSE_TICK_MS);
    }
    await this.#closeAsTheySettle(closing, until, pacedMs);
    for (const session of this.#sessions.keys()) this.#closeOne(session, closing, until);
    if (this.#sessions.size > 0) await new Promise<void>((resolve) => this.#emptyWaiters.push(resolve));
    this.#endPauses();
    return this.closedCounts;
  }

  /** How the closed sessions ended, so far. */
  get closedCounts(): ClosedSessions {
    return { closedGraceful: this.#graceful, closedForced: this.#forced };
  }

  /**
   * Resolves when no consumer owes a commit for what it was given, when none came for a while, or after `withinMs`.
   * What is not committed comes again after the restart.
   */
  async commitsSettled(withinMs: number): Promise<void> {
    const until = this.clock.monotonic() + Math.min(withinMs, COMMIT_WAIT_MAX_MS);
    while (this.clock.monotonic() < until && this.#commitsOwed) await this.#pause(COMMIT_LOOK_MS);
  }

  get #commitsOwed(): boolean {
    for (const session of this.#sessions.keys()) if (session.commands.owesCommits) return true;
    return false;
  }

  /** Closes the rest without pacing. */
  hurry(): void {
    this.#hurried = true;
  }

  /** Cuts what is left, at once. */
  terminate(): void {
    for (const session of this.#sessions.keys()) session.connection.terminate();
  }

  /** Waits for replies until `until`, and for what clients sent before they heard of the end for a moment at most. */
  async #closeAsTheySettle(closing: Closing, until: number, withinMs: number): Promise<void> {
    const began = this.clock.monotonic();
    const settledUntil = Math.min(began + withinMs, until);
    const heardUntil = Math.min(began + LAST_WORDS_MS, settledUntil);
    for (let now = began; now < settledUntil && !this.#hurried; now = this.clock.monotonic()) {
      const open = [...this.#sessions.keys()].filter((session) => !session.left);
      if (open.length === 0 || (now >= heardUntil && !this.#anyUnanswered)) return;
      for (const session of open) if (session.settled(now)) this.#closeOne(session, closing, until);
      await this.#pause(CLOSE_TICK_MS);
    }
  }

  get #anyUnanswered(): boolean {
    for (const session of this.#sessions.keys()) if (session.unanswered > 0) return true;
    return false;
  }

  #inClosingOrder(): Session[] {
    const drawn = [...this.#sessions.keys()].map((session) => ({
      session,
      quiet: session.quiet,
      at: this.#random.next(),
    }));
    drawn.sort((a, b) => Number(b.quiet) - Number(a.quiet) || a.at - b.at);
    return drawn.map(({ session }) => session);
  }

  /** Cut when it does not answer in time: a second, or what is left until `until` when that is less. */
  #closeOne(session: Session, { code, reason }: Closing, until: number): void {
    if (!this.#sessions.has(session)) return;
    if (this.#notice !== null && !session.told(this.#notice.stage)) this.#tell(session, this.#notice);
    if (!session.leave(code, reason)) return;
    const answerMs = Math.min(CLOSE_ANSWER_MS, Math.max(until - this.clock.monotonic(), CLOSE_TICK_MS));
    const cut = this.clock.setTimeout(() => {
      if (!this.#sessions.has(session)) return;
      this.#forced += 1;
      this.#graceful -= 1;
      session.connection.terminate();
    }, answerMs);
    this.#graceful += 1;
    session.onEnd(() => this.clock.clearTimeout(cut));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const over = (): void => {
        this.clock.clearTimeout(timer);
        this.#pauses.delete(over);
        resolve();
      };
      const timer = this.clock.setTimeout(over, ms);
      this.#pauses.add(over);
    });
  }

  /** Nothing is waited for any more: no timer stays behind. */
  #endPauses(): void {
    for (const over of [...this.#pauses]) over();
  }
}
