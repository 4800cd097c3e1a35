/**
 * One life of the broker in the simulation: the real broker on ports that belong to a process. It ends by itself, as a
 * process does when its broker has ended, or is killed; then nothing of it acts any more.
 */
import { type Broker, createBroker, type ShutdownReport } from '../../src/broker.ts';
import { BrokerError } from '../../src/errors.ts';
import type { ShutdownMode } from '../../src/machines/shutdown-mode.ts';
import type { Connection, ConnectionEvents, Listener } from '../../src/ports/connection.ts';
import type { LogFields, Logger, LogLine } from '../../src/ports/logger.ts';
import type { Watchdog } from '../../src/ports/watchdog.ts';
import type { AcquireDataLock } from '../../src/storage/data-lock.ts';
import type { MemoryDisk } from '../../src/testing/memory-disk.ts';
import type { MemoryMeta } from '../../src/testing/memory-meta.ts';
import type { MemoryNetwork } from '../../src/testing/memory-sockets.ts';
import { ProcessClock } from '../../src/testing/process-clock.ts';
import type { SimulatedClock } from '../../src/testing/simulated-clock.ts';
import { readLog } from '../checker/log-reader.ts';
import { Dice } from './dice.ts';
import type { DiskWeather } from './disk-weather.ts';
import type { History, ReportSummary } from './history.ts';
import type { Plan } from './plan.ts';
import { ProcessDisk } from './process-disk.ts';
import type { RecordedBroker, Recording } from './recording.ts';
import { sourceOf } from './rotten-bits.ts';
import { WireTap } from './wire-tap.ts';

export const DATA = '/data';

export interface ProcessOptions {
  readonly number: number;
  readonly plan: Plan;
  readonly clock: SimulatedClock;
  readonly wallSkewMs: () => number;
  readonly network: MemoryNetwork;
  readonly disk: MemoryDisk;
  readonly meta: MemoryMeta;
  readonly weather: DiskWeather;
  readonly history: History;
  /** It is gone, for whatever reason. Once. */
  readonly onGone: () => void;
  readonly recording?: Recording | undefined;
}

/** Kind of the entry that ends the log of a clean shutdown. */
const CLEAN_MARK = 6;

/** Of one broker: more than any plan makes. */
const LINKS_MAX = 100_000;

const deaf: ConnectionEvents = { text() {}, binary() {}, pong() {}, drained() {}, closed() {} };

export class BrokerProcess {
  readonly number: number;
  readonly broker: Broker;
  readonly #options: ProcessOptions;
  readonly #clock: ProcessClock;
  readonly #disk: ProcessDisk;
  readonly #connections = new Set<Connection>();
  readonly #listeners = new Set<Listener>();
  readonly #locks = new Set<string>();
  readonly #recorded: RecordedBroker | null;
  #links = 0;
  #alive = true;
  /** Clients are served. */
  serving = false;

  constructor(options: ProcessOptions) {
    const { number, plan, clock, history, disk, meta } = options;
    this.number = number;
    this.#options = options;
    this.#clock = new ProcessClock(clock, options.wallSkewMs);
    this.#disk = new ProcessDisk({
      disk,
      alive: () => this.#alive,
      onWrite: (what, shard, ids) => history.add({ e: what, broker: number, shard, ids }),
    });
    this.#recorded = options.recording?.broker(number) ?? null;
    this.broker = createBroker(
      {
        admin: false,
        ...plan.config,
        data: DATA,
        port: 7070,
        ...(this.#recorded === null ? {} : { inspect: this.#recorded.inspect }),
      },
      {
        clock: this.#clock,
        random: new Dice(plan.seed + number * 7919),
        logger: this.#logger,
        disk: this.#disk,
        meta,
        lock: this.#lock,
        listen: (listening) => this.#listen(listening),
        watchdog: this.#watchdog,
        ...(this.#recorded === null ? {} : { hub: this.#recorded.hub }),
      },
    );
  }

  get alive(): boolean {
    return this.#alive;
  }

  start(): void {
    const { history, plan } = this.#options;
    const { config } = this.broker;
    const budgetMs = config.gracePeriodMs - config.preStopMs - Math.max(2000, config.gracePeriodMs / 10);
    history.add({ e: 'start', broker: this.number, shards: plan.config.shards ?? 1, budgetMs });
    this.broker.ended.then((report) => this.#ended(report));
    this.broker.start().then(
      () => {
        if (!this.#alive) return;
        this.serving = true;
        history.add({ e: 'serving', broker: this.number });
      },
      (error: unknown) => {
        if (!this.#alive) return;
        const { code, message: text } = BrokerError.from(error, 'INTERNAL', 'the start failed');
        history.add({ e: 'start-failed', broker: this.number, code, text });
        this.#gone(`its start failed: ${code}`);
      },
    );
  }

  stop(mode: ShutdownMode, deadlineMs: number | null): void {
    this.#options.history.add({ e: 'stop', broker: this.number, mode, deadlineMs });
    const deadline = deadlineMs === null ? {} : { deadline: this.#clock.monotonic() + deadlineMs };
    void this.broker.stop({ mode, reason: 'plan', ...deadline });
  }

  drain(): void {
    this.#options.history.add({ e: 'drain', broker: this.number });
    this.broker.drain('plan');
  }

  cancelDrain(): void {
    const done = this.broker.cancelDrain();
    this.#options.history.add({ e: 'cancel', broker: this.number, done });
  }

  kill(how: 'kill' | 'power-cut' | 'watchdog'): void {
    if (!this.#alive) return;
    const { history, weather } = this.#options;
    history.add({ e: 'killed', broker: this.number, how, hungCalls: weather.hungCalls });
    this.#alive = false;
    if (how === 'power-cut') weather.powerCut();
    else weather.killed();
    this.#gone(how);
  }

  /** Every shard serves, and nothing hangs. */
  get healthy(): boolean {
    const { phase, children } = this.broker.shutdownState;
    const shards = children.filter(({ kind }) => kind === 'shard');
    return this.#alive && this.serving && phase === 'running' && shards.every(({ state }) => state === 'ready');
  }

  /** Notes what is in memory under a cap. */
  lookAtMemory(): void {
    if (!this.#alive || !this.serving) return;
    const { shards = [], inFlightBytes = 0 } = this.broker.status as {
      readonly shards?: readonly { readonly queueBytes: number; readonly recentBytes: number }[];
      readonly inFlightBytes?: number;
    };
    const { shardQueueBytes, recentBytes, inFlightBytesTotal } = this.broker.config;
    const note = (what: string, bytes: number, capBytes: number): void => {
      if (bytes > 0) this.#options.history.add({ e: 'memory', broker: this.number, what, bytes, capBytes });
    };
    note('queue', Math.max(0, ...shards.map((shard) => shard.queueBytes)), shardQueueBytes);
    note('recent', Math.max(0, ...shards.map((shard) => shard.recentBytes)), recentBytes);
    note('in-flight', inFlightBytes, inFlightBytesTotal);
  }

  #ended(report: ShutdownReport): void {
    if (!this.#alive) return;
    const { outcome, exitCode, mode, durationMs, budgetMs, lost, unknown, children, unaccounted } = report;
    const summary: ReportSummary = {
      ...{ outcome, exitCode, mode, durationMs, budgetMs, lost, unknown, unaccounted },
      children: children.map(({ id, state }) => ({ id, state })),
    };
    const left = {
      files: this.#disk.openFiles,
      timers: this.#clock.pending,
      locks: this.#locks.size,
      unmarked: outcome === 'clean' && this.serving ? this.#unmarked() : [],
    };
    this.#options.history.add({ e: 'ended', broker: this.number, report: summary, left });
    this.#gone(`it stopped: ${outcome}`);
  }

  #unmarked(): number[] {
    const source = sourceOf(this.#options.disk, DATA);
    const shards = Array.from({ length: this.#options.plan.config.shards ?? 1 }, (_, shard) => shard);
    return shards.filter((shard) => {
      const { entries, fault } = readLog(source, `shards/${String(shard).padStart(2, '0')}/log`, shard);
      // One that has rotten meanwhile can't be judged.
      return fault === null && entries.at(-1)?.kind !== CLEAN_MARK;
    });
  }

  #gone(reason: string): void {
    this.#alive = false;
    this.serving = false;
    this.#recorded?.gone(reason);
    this.#clock.stop();
    for (const connection of this.#connections) {
      connection.events = deaf;
      connection.terminate();
    }
    this.#connections.clear();
    for (const listener of this.#listeners) void listener.close();
    this.#options.weather.killed();
    // One page cache serves all processes: what a write of this one left is in it before the next one writes.
    this.#options.disk.landLate();
    this.#disk.closeAll();
    this.#locks.clear();
    this.#options.onGone();
  }

  readonly #lock: AcquireDataLock = async (path) => {
    this.#locks.add(path);
    return { release: async () => void this.#locks.delete(path) };
  };

  async #listen(listening: Parameters<MemoryNetwork['listen']>[0]): Promise<Listener> {
    const listener = await this.#options.network.listen({
      ...listening,
      onConnection: (socket, request) => {
        const connection = this.#tapped(socket);
        this.#connections.add(connection);
        listening.onConnection(connection, request);
        const { events } = connection;
        connection.events = {
          text: (text) => events.text(text),
          binary: (bytes) => events.binary(bytes),
          pong: () => events.pong(),
          drained: () => events.drained(),
          closed: (code, reason) => {
            this.#connections.delete(connection);
            events.closed(code, reason);
          },
        };
      },
    });
    if (this.#alive) this.#listeners.add(listener);
    else void listener.close();
    return listener;
  }

  #tapped(connection: Connection): Connection {
    const { history } = this.#options;
    this.#links += 1;
    const of = { broker: this.number, link: this.number * LINKS_MAX + this.#links };
    return new WireTap(connection, {
      heard: (what) => this.#alive && history.add({ e: 'heard', ...of, what }),
      said: (what) => this.#alive && history.add({ e: 'said', ...of, what }),
      closing: (code) => this.#alive && history.add({ e: 'closing', ...of, code }),
      gone: () => this.#alive && history.add({ e: 'gone', ...of }),
    });
  }

  /** Ends this process alone. */
  readonly #watchdog: Watchdog = (() => {
    let timer: object | null = null;
    const disarm = (): void => {
      if (timer !== null) this.#options.clock.clearTimeout(timer);
      timer = null;
    };
    return {
      arm: (ms: number) => {
        disarm();
        timer = this.#options.clock.setTimeout(() => this.kill('watchdog'), ms);
      },
      disarm,
    };
  })();

  readonly #logger: Logger = (() => {
    const line =
      (level: 'quiet' | 'error'): LogLine =>
      (fieldsOrMessage: LogFields | string, message?: string) => {
        if (this.#alive && typeof fieldsOrMessage !== 'string') this.#hear(level, fieldsOrMessage, message ?? '');
      };
    const [quiet, loud] = [line('quiet'), line('error')];
    const logger: Logger = { trace: quiet, debug: quiet, info: quiet, warn: loud, error: loud, child: () => logger };
    return logger;
  })();

  /** Of the log, the lines of phases and children are history, and what tells of a defect. */
  #hear(level: 'quiet' | 'error', fields: LogFields, message: string): void {
    const { history } = this.#options;
    const { phase, child, state, detail, err, error } = fields as Readonly<Record<string, unknown>>;
    if (typeof phase === 'string' && phase === message) history.add({ e: 'phase', broker: this.number, phase });
    else if (typeof child === 'string' && typeof state === 'string') {
      history.add({ e: 'child', broker: this.number, child, state, detail: String(detail ?? '') });
    }
    const failure = err ?? error;
    if (level === 'error' && isDefect(failure)) {
      history.add({ e: 'defect', text: `broker ${this.number}: ${message}: ${(failure as Error).stack}` });
    }
  }
}

/** An error of the code, as against one of the world around it. */
function isDefect(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError) return true;
    if (cause.name === 'InvariantError') return true;
    if (cause instanceof BrokerError && cause.code === 'INTERNAL' && cause.cause === undefined) return true;
  }
  return false;
}
