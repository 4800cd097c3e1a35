/**
 * What one shard holds outside its chart: stores, engine, reserve, the look at the free disk space. Each method is one
 * step that the chart invokes or an action that it calls; they are safe in any order the chart can reach, and after
 * `fence` none of them writes. Resources live here and not in XState: stopping an actor awaits nothing.
 */

import type { Config } from '../config.ts';
import { BrokerError, messageOf, systemCodeOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { type ChildCounts, noCounts } from '../machines/report.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import { type EngineFigures, ShardEngine } from '../shard/shard-engine.ts';
import { type OpenShard, openShard, recoverShard, type ShardStores } from '../shard/shard-recovery.ts';
import type { ShardTable } from '../shard/shard-table.ts';

/** The disk space that a shard keeps back and looks at. */
export interface ShardSpace {
  /** Writes the reserve, when it is not there. */
  ensureReserve(): Promise<void>;
  /** Removes the reserve; resolves with the bytes that came free. */
  giveBack(): Promise<number>;
  freeBytes(): Promise<number>;
}

export interface ShardRuntimeOptions {
  readonly shard: number;
  readonly stores: ShardStores;
  readonly space: ShardSpace;
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly table: ShardTable;
  /** The shard is recovered; called before its gate opens. */
  readonly onServing: (engine: ShardEngine) => void;
}

export interface ShardFigures extends EngineFigures {
  /** Records made durable since the start. */
  readonly records: number;
  readonly partitions: number;
  readonly diskFull: boolean;
  /** Free space of the data directory's disk when it was last looked at; null before. */
  readonly diskFreeBytes: number | null;
}

/** When to come back to a shard that was released: a restart takes about as long. */
const RELEASED_RETRY_MS = 1000;

export class ShardRuntime {
  readonly shard: number;
  readonly #options: ShardRuntimeOptions;
  readonly #logger: Logger;
  #open: OpenShard | null = null;
  #engine: ShardEngine | null = null;
  #diskTimer: TimerHandle | null = null;
  /** Looks at the disk go on: until the final flush, or the shard's end. */
  #looking = true;
  #diskFull = false;
  #diskFreeBytes: number | null = null;
  #accepting = false;
  #ended = false;
  #releasing: Promise<void> | null = null;
  /** The look at the disk under way, or the last one; never rejects. */
  #look: Promise<void> = Promise.resolve();
  readonly #abort = new AbortController();
  /** What was written when the drain began; null before. */
  #writtenAtDrain: { readonly records: number; readonly bytes: number } | null = null;
  /** Told once when the shard can't go on; set by the actor before `open`. */
  onFault: (error: BrokerError) => void = () => {};

  constructor(options: ShardRuntimeOptions) {
    this.shard = options.shard;
    this.#options = options;
    this.#logger = options.logger;
  }

  get engine(): ShardEngine | null {
    return this.#engine;
  }

  // --- opening ---

  async open(): Promise<void> {
    const { stores, clock } = this.#options;
    const began = clock.monotonic();
    const open = await openShard(this.shard, stores, this.#logger, this.#abort.signal);
    if (this.#ended) {
      // Given up on meanwhile: what came late is let go of, and nothing else.
      await closeStores(open);
      throw this.#endedError();
    }
    this.#open = open;
    const { log, cutBytes } = open;
    const durationMs = Math.round(clock.monotonic() - began);
    this.#logger.debug({ shard: this.shard, durationMs, logBytes: log.bytes, cutBytes }, 'log open');
    if (cutBytes > 0)
      this.#logger.warn({ shard: this.shard, cutBytes }, 'cut a torn, never acknowledged end of the log');
  }

  async recover(signal: AbortSignal): Promise<void> {
    const { clock, space, table, config, onServing } = this.#options;
    const open = this.#open;
    if (open === null) throw new BrokerError('INTERNAL', 'a shard is recovered before it is open');
    const began = clock.monotonic();
    const recovered = await recoverShard(open, clock.now(), AbortSignal.any([signal, this.#abort.signal]));
    this.#engine = new ShardEngine({
      state: open.state,
      log: open.log,
      meta: open.meta,
      clock,
      limits: config,
      logger: this.#logger,
      giveReserveBack: () => space.giveBack(),
      onDiskFull: () => this.#noteDiskFull(true),
      onFault: (error) => this.#fault(error),
    });
    await this.#lookAtDisk();
    if (this.#ended) throw this.#endedError();
    table.serve(this.#engine);
    onServing(this.#engine);
    const { shorter, rebuilt } = open;
    const durationMs = Math.round(clock.monotonic() - began);
    this.#logger.info(
      { shard: this.shard, durationMs, epoch: open.state.epoch, ...recovered, rebuilt },
      'shard recovered',
    );
    if (shorter)
      this.#logger.error(
        { shard: this.shard },
        'the log came back shorter than it was: every partition begins a new epoch',
      );
  }

  /** Ends the check of the log or the replay under way: it is made again at the next start. */
  abortRecovery(): void {
    this.#abort.abort();
  }

  // --- the gate ---

  openGate(): void {
    this.#accepting = true;
    this.#engine?.commitGate.open();
    if (this.#diskFull) this.#shutForDisk();
    else this.#engine?.publishGate.open();
  }

  /** The barrier: from this call on no publish is admitted. */
  closeGate(retryAfterMs: number): void {
    if (this.#accepting) this.#markDrain();
    this.#accepting = false;
    this.#engine?.publishGate.shut('DRAINING', 'the broker is shutting down', retryAfterMs);
  }

  // --- the end ---

  /** A shutdown was announced: what the flush would have to write is begun with. */
  prepare(): void {
    this.#engine?.prepare();
  }

  /** Resolves when everything that was admitted is answered. */
  async settle(): Promise<void> {
    await this.#engine?.settle();
  }

  /** The last group: commits are refused from here on, and all that waits is written. */
  async writeRemaining(): Promise<void> {
    const { engine } = this;
    if (engine === null) return;
    this.#stopLooking();
    // The reserve is for this: the last group, the checkpoint and the mark have to find room.
    if (this.#diskFull) await this.#options.space.giveBack();
    engine.commitGate.shut('DRAINING', 'the broker is shutting down');
    await engine.settle();
  }

  async checkpoint(): Promise<void> {
    await this.#engine?.checkpoint();
  }

  async markClean(): Promise<void> {
    await this.#engine?.markClean();
  }

  /** Lets go of every descriptor. Again: the same promise. */
  release(): Promise<void> {
    if (!this.#ended)
      this.#options.table.fail(
        this.shard,
        new BrokerError('DRAINING', 'the broker is shutting down', { retryAfterMs: RELEASED_RETRY_MS }),
      );
    this.#end();
    this.#releasing ??= this.#letGo();
    return this.#releasing;
  }

  async #letGo(): Promise<void> {
    // The reserve may be being written.
    await this.#look;
    if (this.#engine !== null) await this.#engine.release();
    else if (this.#open !== null) await closeStores(this.#open);
  }

  /** Gives the shard up: whoever waits is told, nothing is written any more, a late completion changes nothing. */
  fence(error: BrokerError): void {
    this.#end();
    this.#abort.abort(error);
    this.#options.table.fail(this.shard, error);
    this.#engine?.fence(error);
    // Nobody waits for what hangs; once it comes back, its descriptors go.
    this.release().catch((failure: unknown) => {
      this.#logger.warn({ shard: this.shard, err: failure }, 'the files of a given-up shard could not be closed');
    });
  }

  #endedError(): BrokerError {
    return new BrokerError('SHARD_FAILED', `shard ${this.shard} was given up while it opened`);
  }

  #stopLooking(): void {
    this.#looking = false;
    if (this.#diskTimer !== null) this.#options.clock.clearTimeout(this.#diskTimer);
    this.#diskTimer = null;
  }

  #end(): void {
    this.#ended = true;
    this.#accepting = false;
    this.#stopLooking();
  }

  #fault(error: BrokerError): void {
    this.#end();
    this.#options.table.fail(this.shard, error);
    this.#logger.error({ shard: this.shard, err: error }, 'shard failed');
    this.onFault(error);
  }

  // --- the disk ---

  async #lookAtDisk(): Promise<void> {
    const { space, config, clock } = this.#options;
    try {
      const free = await space.freeBytes();
      this.#diskFreeBytes = free;
      if (!this.#looking) return;
      // Back only with a margin, so that a disk at the mark does not flap.
      if (this.#diskFull ? free > config.diskLowBytes * 1.25 : free >= config.diskLowBytes) await this.#welcomeSpace();
      else this.#noteDiskFull(true);
      this.#engine?.answerOverdue();
    } catch (error) {
      this.#logger.warn(
        { shard: this.shard, err: error, system: systemCodeOf(error) },
        'the free disk space cannot be read',
      );
    }
    if (!this.#looking) return;
    this.#diskTimer = clock.setTimeout(() => {
      this.#look = this.#lookAtDisk();
    }, config.diskCheckMs);
  }

  async #welcomeSpace(): Promise<void> {
    this.#engine?.retryNow();
    try {
      await this.#options.space.ensureReserve();
    } catch (error) {
      this.#logger.warn({ shard: this.shard, reason: messageOf(error) }, 'no room for the disk reserve');
      this.#noteDiskFull(true);
      return;
    }
    this.#noteDiskFull(false);
  }

  #noteDiskFull(full: boolean): void {
    if (full === this.#diskFull || this.#ended) return;
    this.#diskFull = full;
    if (full) this.#logger.error({ shard: this.shard }, 'disk full: publishes are refused, reads and commits go on');
    else this.#logger.info({ shard: this.shard }, 'disk space is back: publishes are taken again');
    if (!this.#accepting) return;
    if (full) this.#shutForDisk();
    else this.#engine?.publishGate.open();
  }

  #shutForDisk(): void {
    const { diskCheckMs } = this.#options.config;
    this.#engine?.publishGate.shut('DISK_FULL', 'free disk space is under the mark', 2 * diskCheckMs);
  }

  /** The drain began: what is written from here on counts as flushed. */
  #markDrain(): void {
    const { writtenRecords: records = 0, writtenBytes: bytes = 0 } = this.#engine?.counts ?? {};
    this.#writtenAtDrain = { records, bytes };
  }

  /** What the shard's report accounts for. */
  get counts(): ChildCounts {
    const engine = this.#engine;
    if (engine === null) return noCounts;
    const { counts } = engine;
    const { records, bytes } = this.#writtenAtDrain ?? { records: counts.writtenRecords, bytes: counts.writtenBytes };
    return {
      ...noCounts,
      flushedRecords: counts.writtenRecords - records,
      flushedBytes: counts.writtenBytes - bytes,
      lost: counts.lost,
      unknown: counts.unknown,
    };
  }

  /** What it owes now. */
  get pending(): { readonly pendingRecords: number; readonly queueBytes: number; readonly writeAgeMs: number | null } {
    const figures = this.#engine?.figures ?? noFigures;
    const pendingRecords = this.#engine?.counts.pendingRecords ?? 0;
    const writeAgeMs = figures.writeAgeMs === null ? null : Math.round(figures.writeAgeMs);
    return { pendingRecords, queueBytes: figures.queueBytes, writeAgeMs };
  }

  get figures(): ShardFigures {
    const engine = this.#engine;
    return {
      ...(engine?.figures ?? noFigures),
      records: engine?.counts.writtenRecords ?? 0,
      partitions: engine?.state.partitions.size ?? 0,
      diskFull: this.#diskFull,
      diskFreeBytes: this.#diskFreeBytes,
    };
  }
}

/** Both, whatever becomes of the other; rejects with the first error. */
async function closeStores({ meta, log }: Pick<OpenShard, 'meta' | 'log'>): Promise<void> {
  for (const closed of await Promise.allSettled([meta.close(), log.close()])) {
    if (closed.status === 'rejected') throw closed.reason;
  }
}

const noFigures: EngineFigures = {
  queueBytes: 0,
  queueEntries: 0,
  logBytes: 0,
  recentBytes: 0,
  groups: 0,
  writeAgeMs: null,
  flushBytesPerSecond: null,
};
