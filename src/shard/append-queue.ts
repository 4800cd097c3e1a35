/**
 * The append queue of one shard: what was admitted, in order, on its way to the log. One synced write is in flight at
 * a time; what arrives meanwhile is the next group, bounded in bytes. An idle queue writes its first entry in the same
 * turn: there is no timer but the one that bounds how long an async record may wait.
 *
 * What is admitted gets written: a failed write is repeated in a fresh segment, after the disk reserve was given back
 * when the disk is full. Only when that fails too does the queue fault, and says so to each entry once.
 */
import { assert, BrokerError, systemCodeOf } from '../errors.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Appended, Log, LogAddress, NewEntry } from '../storage/log.ts';
import type { WriteFigures } from './write-figures.ts';

/** An entry on its way. */
export interface QueuedEntry {
  /** Bytes it counts for in the queue's bounds. */
  readonly bytes: number;
  /** A lazy entry (async topic) starts no write of its own; it waits at most `flushMs` for company. */
  readonly lazy: boolean;
  /** The entry itself; asked for once, when its group is formed. */
  take(): NewEntry;
  /** Durable. Called in log order, all of a group in one turn. */
  written(sequence: number, address: LogAddress): void;
  /**
   * Whoever waits for it is to be told now. OUTCOME_UNKNOWN: it may be, or may yet be, written (`written` can follow,
   * and then changes the state alone). SHARD_FAILED: it is not and will not be. May be called more than once.
   */
  lost(error: BrokerError): void;
}

export interface AppendQueueOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Told how each write went. */
  readonly writes: WriteFigures;
  readonly groupBytes: number;
  readonly flushMs: number;
  readonly flushBytes: number;
  /** Tries of one group in fresh segments before the shard is given up. */
  readonly triesMax: number;
  /** Time between tries while the disk is full, ms. */
  readonly retryMs: number;
  /** Gives the disk reserve back; resolves with the bytes that came free. */
  readonly giveReserveBack: () => Promise<number>;
  /** Behind each written group, in the same turn, after its entries were told. */
  readonly onGroup: (appended: Appended) => void;
  /** The disk is full: entries wait for space. */
  readonly onDiskFull: () => void;
  /** The log can't be written any more. Once; the queue is dead from then on. */
  readonly onFault: (error: BrokerError) => void;
}

const RATE_WINDOW_MS = 1000;

export class AppendQueue {
  readonly #options: AppendQueueOptions;
  #waiting: QueuedEntry[] = [];
  #waitingBytes = 0;
  #flying: QueuedEntry[] = [];
  #flyingBytes = 0;
  #lazyBytes = 0;
  #lazyTimer: TimerHandle | null = null;
  #running = false;
  #dead: BrokerError | null = null;
  #idleWaiters: (() => void)[] = [];
  #writtenBytes = 0;
  #writtenMs = 0;
  /** Monotonic time at which the write in flight began; null when none is. */
  #flyingSince: number | null = null;
  /** Monotonic time of the first entry that waits and is waited for; of those flying, the same. Null when none is. */
  #waitedSince: number | null = null;
  #flyingWaitedSince: number | null = null;
  /** Monotonic time since when the group in flight has met a full disk; null when it has not. */
  #fullSince: number | null = null;
  #retryTimer: { handle: TimerHandle; go: () => void } | null = null;

  constructor(options: AppendQueueOptions) {
    this.#options = options;
  }

  /** Bytes admitted and not yet durable. */
  get bytes(): number {
    return this.#waitingBytes + this.#flyingBytes;
  }

  get entries(): number {
    return this.#waiting.length + this.#flying.length;
  }

  /** ms that the write in flight has taken so far; null when none is. */
  get writeAgeMs(): number | null {
    return this.#flyingSince === null ? null : this.#options.clock.monotonic() - this.#flyingSince;
  }

  /** Takes an entry behind all others. The caller admitted it: the queue itself refuses only when dead. */
  push(entry: QueuedEntry): void {
    if (this.#dead !== null) {
      entry.lost(this.#dead);
      return;
    }
    this.#waiting.push(entry);
    this.#waitingBytes += entry.bytes;
    if (!entry.lazy) {
      this.#waitedSince ??= this.#options.clock.monotonic();
      this.#start();
    } else this.#startLazily(entry.bytes);
  }

  /** True for the entry behind which nothing was pushed yet: what joins it now keeps its place in the order. */
  isLast(entry: QueuedEntry): boolean {
    return this.#waiting[this.#waiting.length - 1] === entry;
  }

  /** The last entry grew by so many bytes while it waits. */
  grew(bytes: number): void {
    this.#waitingBytes += bytes;
  }

  /** Writes everything that waits, lazy entries too; resolves when nothing waits or flies, or the queue is dead. */
  settle(): Promise<void> {
    this.writeWaiting();
    if (!this.#running || this.#dead !== null) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Begins to write what waits, lazy entries too. */
  writeWaiting(): void {
    if (this.#waiting.length > 0) this.#start();
  }

  /**
   * Answers those who wait, without giving up: the entries stay and are written when that becomes possible, which is
   * why the answer is that the outcome is unknown.
   */
  answerUnknown(error: BrokerError): void {
    for (const entry of this.#flying) entry.lost(error);
    for (const entry of this.#waiting) entry.lost(error);
  }

  /** True when the group in flight has been waiting for disk space for `ms` or longer. */
  waitingForSpace(ms: number): boolean {
    return this.#fullSince !== null && this.#options.clock.monotonic() - this.#fullSince >= ms;
  }

  /** Stops a wait for disk space at once, so that the next try begins. */
  retryNow(): void {
    this.#retryTimer?.go();
  }

  /**
   * Gives the queue up: every entry is told once, a completion that comes later is told to nobody. The write under way
   * is not waited for.
   */
  fence(error: BrokerError): void {
    if (this.#dead !== null) return;
    this.#dead = error;
    this.#clearLazyTimer();
    const flying = this.#flying;
    const waiting = this.#waiting;
    this.#flying = [];
    this.#waiting = [];
    this.#flyingBytes = 0;
    this.#waitingBytes = 0;
    const unknown = new BrokerError('OUTCOME_UNKNOWN', `the write was under way when: ${error.message}`, {
      cause: error,
    });
    const notStored = new BrokerError('SHARD_FAILED', `nothing was stored: ${error.message}`, { cause: error });
    for (const entry of flying) entry.lost(unknown);
    for (const entry of waiting) entry.lost(notStored);
    this.#tellIdle();
    this.#retryTimer?.go();
  }

  #start(): void {
    if (this.#running || this.#dead !== null) return;
    this.#running = true;
    // Deferred to the end of the turn: frames that arrived in one chunk make one group.
    this.#options.clock.defer(() => void this.#run());
  }

  #startLazily(bytes: number): void {
    this.#lazyBytes += bytes;
    if (this.#lazyBytes >= this.#options.flushBytes) {
      this.#start();
      return;
    }
    if (this.#running) return;
    this.#lazyTimer ??= this.#options.clock.setTimeout(() => {
      this.#lazyTimer = null;
      this.#start();
    }, this.#options.flushMs);
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting.length > 0 && this.#dead === null) {
        this.#takeGroup();
        const appended = await this.#write(this.#flying.map((entry) => entry.take()));
        if (this.#dead !== null || appended === null) return;
        this.#tellWritten(appended);
      }
    } catch (error) {
      this.#fault(BrokerError.from(error, 'INTERNAL', 'the append queue failed'));
    } finally {
      this.#running = false;
      if (this.#dead === null) this.#tellIdle();
    }
  }

  #takeGroup(): void {
    this.#clearLazyTimer();
    this.#lazyBytes = 0;
    let bytes = 0;
    let size = 0;
    while (size < this.#waiting.length) {
      const next = this.#waiting[size] as QueuedEntry;
      if (size > 0 && bytes + next.bytes > this.#options.groupBytes) break;
      bytes += next.bytes;
      size += 1;
    }
    this.#flying = size === this.#waiting.length ? this.#waiting : this.#waiting.slice(0, size);
    this.#waiting = size === this.#waiting.length ? [] : this.#waiting.slice(size);
    this.#flyingBytes = bytes;
    this.#waitingBytes -= bytes;
    this.#flyingWaitedSince = this.#waitedSince;
    // What was cut off waits as long: the time of each entry would cost more than it is worth.
    if (this.#waiting.length === 0) this.#waitedSince = null;
  }

  /** Writes one group, in a fresh segment again when it fails; null when the queue was fenced meanwhile. */
  async #write(group: readonly NewEntry[]): Promise<Appended | null> {
    const { log, clock, triesMax } = this.#options;
    for (let tries = 1; ; ) {
      this.#flyingSince = clock.monotonic();
      try {
        if (log.fenced) await log.rollOver();
        if (this.#dead !== null) return null;
        const appended = await log.append(group);
        this.#fullSince = null;
        this.#measure(appended, clock.monotonic() - this.#flyingSince);
        return appended;
      } catch (error) {
        if (this.#dead !== null) return null;
        const failure = BrokerError.from(error, 'LOG_WRITE_FAILED', 'the log could not be written');
        if (systemCodeOf(error) === 'ENOSPC') await this.#makeSpace();
        else if (tries >= triesMax) {
          this.#fault(failure);
          return null;
        } else tries += 1;
        if (this.#dead !== null) return null;
      } finally {
        this.#flyingSince = null;
      }
    }
  }

  /** Keeps a rate over about the last second of writing. */
  #measure({ bytes, addresses }: Appended, ms: number): void {
    const { writes } = this.#options;
    writes.seconds.observe(ms / 1000);
    writes.bytes.observe(bytes);
    writes.entries.observe(addresses.length);
    const keep = this.#writtenMs > RATE_WINDOW_MS ? 0.5 : 1;
    this.#writtenBytes = this.#writtenBytes * keep + bytes;
    this.#writtenMs = this.#writtenMs * keep + ms;
  }

  /** Synced bytes per second while writing; null before the first write. */
  get flushBytesPerSecond(): number | null {
    return this.#writtenMs > 0 ? (this.#writtenBytes / this.#writtenMs) * 1000 : null;
  }

  /** A full disk is waited out: space may return, and what was admitted must then be written. */
  async #makeSpace(): Promise<void> {
    const { clock, retryMs, giveReserveBack, onDiskFull } = this.#options;
    this.#fullSince ??= clock.monotonic();
    onDiskFull();
    if ((await giveReserveBack()) > 0 || this.#dead !== null) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        if (this.#retryTimer === null) return;
        clock.clearTimeout(this.#retryTimer.handle);
        this.#retryTimer = null;
        resolve();
      };
      this.#retryTimer = { handle: clock.setTimeout(go, retryMs), go };
    });
  }

  #tellWritten(appended: Appended): void {
    const group = this.#flying;
    let told = 0;
    try {
      for (; told < group.length; told += 1) {
        const address = appended.addresses[told];
        assert(address !== undefined, 'the log told fewer addresses than entries');
        (group[told] as QueuedEntry).written(appended.firstSequence + told, address);
      }
    } finally {
      // A defect in one entry's `written` must leave none behind untold: the rest is lost with the fault that follows.
      this.#flying = told === group.length ? [] : group.slice(told);
      this.#flyingBytes = 0;
    }
    if (this.#flyingWaitedSince !== null) {
      const { clock, writes } = this.#options;
      writes.ackSeconds.observe((clock.monotonic() - this.#flyingWaitedSince) / 1000);
    }
    this.#options.onGroup(appended);
  }

  #fault(error: BrokerError): void {
    if (this.#dead !== null) return;
    this.fence(error);
    this.#options.onFault(error);
  }

  #tellIdle(): void {
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }

  #clearLazyTimer(): void {
    if (this.#lazyTimer === null) return;
    this.#options.clock.clearTimeout(this.#lazyTimer);
    this.#lazyTimer = null;
  }
}
