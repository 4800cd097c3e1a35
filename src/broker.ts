/**
 * A broker as a plain value: start it, use it, stop it. It takes no signal, ends no process and keeps no global, so
 * that several live in one process; `main.ts` makes a process of one.
 */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { type Actor, type AnyActorRef, createActor } from 'xstate';
import type { AdminRequest, AdminView } from './actors/admin-server.ts';
import { followGuest } from './actors/guest.ts';
import { listen } from './actors/websocket-listener.ts';
import { type Assembly, assemble } from './assembly.ts';
import { tellChild, tellPhase } from './broker-log.ts';
import { type RunningBroker, readinessOf, shutdownStateOf, statusOf } from './broker-status.ts';
import { type Config, configSchema } from './config.ts';
import { BrokerError, messageOf } from './errors.ts';
import { createLogger, type Logger } from './logger.ts';
import { budgetFault } from './machines/budget.ts';
import type { SupervisorReport } from './machines/report.ts';
import type { ShutdownMode } from './machines/shutdown-mode.ts';
import { reportOf } from './machines/shutdown-report.ts';
import type { supervisorMachine } from './machines/supervisor.ts';
import type { SupervisorContext } from './machines/supervisor-context.ts';
import { type Clock, systemClock } from './ports/clock.ts';
import type { Listen } from './ports/connection.ts';
import { type Random, systemRandom } from './ports/random.ts';
import { noWatchdog, type Watchdog } from './ports/watchdog.ts';
import { type DataDirectory, openDataDirectory, prepareDataDirectory } from './storage/data-directory.ts';
import type { AcquireDataLock, DataLock } from './storage/data-lock.ts';
import type { Disk } from './storage/disk.ts';
import { levelLock } from './storage/level-lock.ts';
import { levelMeta } from './storage/level-meta.ts';
import type { MetaFactory } from './storage/meta.ts';
import { nodeDisk } from './storage/node-disk.ts';
import { version } from './version.ts';

export interface BrokerOptions {
  /** Settings that differ from the defaults, by the names of `docs/configuration.md`. */
  readonly config?: Partial<Config>;
  /** False for a broker that opens no socket for clients. */
  readonly listen?: boolean;
  /** False for a broker without the admin endpoint. */
  readonly admin?: boolean;
  /** Actors of your own that leave with the broker: told `{ type: 'shutdown' }`, waited for until they are done. */
  readonly guests?: readonly { readonly id: string; readonly actor: AnyActorRef }[];
  /** Aborted: the broker stops, as by `stop`. */
  readonly signal?: AbortSignal;
}

/** What a broker is made of besides its settings; the real world where nothing else is given. */
export interface BrokerParts {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
  readonly disk?: Disk;
  readonly meta?: MetaFactory;
  readonly lock?: AcquireDataLock;
  readonly listen?: Listen;
  readonly watchdog?: Watchdog;
}

export interface StopOptions {
  /** How hard; a later stop can only escalate. Graceful by default. */
  readonly mode?: ShutdownMode;
  /** Why, for the log, the clients and the report. */
  readonly reason?: string;
  /** It stops because of an error that nobody handled. */
  readonly fatal?: boolean;
}

/** The report of a shutdown: `last-shutdown.json`, and what `stop` resolves with. */
export interface ShutdownReport extends SupervisorReport {
  readonly version: string;
  readonly pid: number;
  /** Wall time of the end, ms since 1970. */
  readonly endedAt: number;
}

type Supervisor = Actor<typeof supervisorMachine>;

const WATCHDOG_MARGIN_MS = 500;

/** Makes a broker; it does nothing until `start`. CONFIG_INVALID names what is wrong. */
export function createBroker(options: BrokerOptions = {}, parts: BrokerParts = {}): Broker {
  const parsed = configSchema.safeParse(options.config ?? {});
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new BrokerError('CONFIG_INVALID', faults.join('; '));
  }
  const fault = budgetFault(parsed.data);
  if (fault !== null) throw new BrokerError('CONFIG_INVALID', fault);
  return new Broker(parsed.data, options, parts);
}

export class Broker implements AsyncDisposable {
  readonly config: Config;
  readonly #options: BrokerOptions;
  readonly #parts: Required<BrokerParts>;
  readonly #startedAt: number;
  readonly #ended: Promise<ShutdownReport>;
  #end: (report: ShutdownReport) => void = () => {};
  #starting: Promise<void> | null = null;
  #running: RunningBroker | null = null;
  /** A stop that came before the supervisor was there to take it. */
  #stopAsked: Required<StopOptions> | null = null;

  constructor(config: Config, options: BrokerOptions, parts: BrokerParts) {
    this.config = config;
    this.#options = options;
    this.#parts = {
      clock: systemClock,
      random: systemRandom,
      logger: parts.logger ?? createLogger({ level: config.logLevel }),
      disk: nodeDisk,
      meta: levelMeta,
      lock: levelLock(parts.disk ?? nodeDisk),
      listen,
      watchdog: noWatchdog,
      ...parts,
    };
    this.#startedAt = this.#parts.clock.monotonic();
    this.#ended = new Promise((end) => {
      this.#end = end;
    });
  }

  // --- start ---

  /**
   * Opens the data directory, recovers every shard, listens. Resolves when clients are served; rejects with the error
   * that kept it from that, with everything let go again. A shard that can't be recovered is told by the log and by
   * `status`, and its siblings serve.
   */
  start(): Promise<void> {
    if (this.#starting === null) {
      this.#starting = this.#start();
      this.#stopOnAbort();
    }
    return this.#starting;
  }

  #stopOnAbort(): void {
    const { signal } = this.#options;
    if (signal === undefined) return;
    const stop = (): void => {
      void this.stop({ reason: `aborted: ${messageOf(signal.reason)}` });
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    // The signal may outlive many brokers: nothing of this one stays behind on it.
    void this.#ended.then(() => signal.removeEventListener('abort', stop));
  }

  async #start(): Promise<void> {
    const { disk, lock, random, clock, logger } = this.#parts;
    const path = resolve(this.config.data);
    await prepareDataDirectory(disk, path);
    const held = await lock(path, { pid: process.pid, host: hostname(), since: clock.now(), version });
    let data: DataDirectory;
    try {
      const { shards } = this.config;
      data = await openDataDirectory(disk, path, { shards, clusterId: random.id(), createdAt: clock.now() });
      await this.#tellLastReport(data);
    } catch (error) {
      await held.release();
      throw error;
    }
    if (data.identity.shards !== this.config.shards) {
      const { shards } = data.identity;
      logger.info({ shards, asked: this.config.shards }, 'the data directory keeps the shard count it was made with');
    }
    logger.info(
      { version, data: path, shards: data.identity.shards, pid: process.pid, node: process.version },
      'starting',
    );
    await this.#run(data, held);
  }

  async #run(data: DataDirectory, held: DataLock): Promise<void> {
    const assembly = assemble({ ...this.#parts, config: this.config, data, view: this.#view });
    const { clock, logger } = this.#parts;
    const supervisor = createActor(assembly.logic, {
      id: 'supervisor',
      systemId: 'supervisor',
      clock: {
        setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
        clearTimeout: (handle) => clock.clearTimeout(handle),
      },
      input: {
        shards: data.identity.shards,
        grace: this.config,
        now: () => clock.monotonic(),
        load: assembly.load,
        shardCounts: assembly.shardCounts,
        gateway: this.#options.listen !== false,
        admin: this.#options.admin !== false,
        guests: (this.#options.guests ?? []).map(({ id, actor }) => ({ id, ref: actor })),
      },
    });
    this.#running = { assembly, supervisor, data };
    const started = this.#follow(supervisor, assembly, data, held);
    supervisor.start();
    for (const { id, actor } of this.#options.guests ?? []) followGuest(supervisor, id, actor);
    if (this.#stopAsked !== null) supervisor.send({ type: 'shutdown', ...this.#stopAsked });
    await started;
    await assembly.catalogue.closeOrphans().catch((error: unknown) => {
      logger.warn({ err: error }, 'partitions of deleted topics could not be closed; the next start tries again');
    });
  }

  /** Logs phases and children as they change; resolves when it runs, rejects when it ends before. */
  #follow(supervisor: Supervisor, assembly: Assembly, data: DataDirectory, held: DataLock): Promise<void> {
    const { logger, clock } = this.#parts;
    return new Promise((started, failed) => {
      let phase = '';
      let told = supervisor.getSnapshot().context.children;
      supervisor.subscribe({
        next: (snapshot) => {
          const { context } = snapshot;
          for (const child of Object.values(context.children)) {
            const before = told[child.id];
            if (before !== child && before?.state !== child.state)
              tellChild(logger, child, before?.since ?? child.since);
          }
          told = context.children;
          if (context.stopping && context.plan !== null) this.#armWatchdog(snapshot.context);
          if (context.phase === phase) return;
          tellPhase(logger, context);
          phase = context.phase;
          if (phase === 'running') {
            const ms = Math.round(clock.monotonic() - this.#startedAt);
            logger.info({ durationMs: ms, topics: assembly.catalogue.size }, 'running');
            started();
          }
        },
        error: (error) => failed(BrokerError.from(error, 'INTERNAL', 'the supervisor failed')),
        complete: () => {
          const report = supervisor.getSnapshot().output as SupervisorReport;
          this.#finish(report, data, held).then(
            (written) => {
              if (report.outcome === 'start-failed') failed(startError(report));
              else started();
              this.#end(written);
            },
            (error: unknown) => failed(error),
          );
        },
      });
    });
  }

  /** Half a second behind the budget something else ends the process; the report it leaves says what it saw last. */
  #armWatchdog(context: SupervisorContext): void {
    const { clock, watchdog } = this.#parts;
    const report = this.#complete(reportOf(context));
    const killed = { ...report, outcome: 'abandoned', exitCode: 20, killedByWatchdog: true };
    const ms = (context.plan?.reportUntil ?? 0) - clock.monotonic() + WATCHDOG_MARGIN_MS;
    watchdog.arm(ms, JSON.stringify(killed, null, 2));
  }

  #complete(report: SupervisorReport): ShutdownReport {
    return { ...report, version, pid: process.pid, endedAt: this.#parts.clock.now() };
  }

  // --- stop ---

  /**
   * Shuts down and resolves with the report, behind which nothing of this broker is left. Again: the same promise, and
   * a harder mode escalates. Before `start` has got far, it stops as soon as nothing is half open.
   */
  stop(options: StopOptions = {}): Promise<ShutdownReport> {
    const request = {
      mode: options.mode ?? 'graceful',
      reason: options.reason ?? 'stop',
      fatal: options.fatal ?? false,
    };
    if (this.#running === null) this.#stopAsked = request;
    else this.#running.supervisor.send({ type: 'shutdown', ...request });
    return this.#ended;
  }

  /** Stops serving and stays: clients are told, publishes are refused. `cancelDrain` serves again, `stop` goes on. */
  drain(reason = 'drain'): void {
    this.#running?.supervisor.send({ type: 'drain', reason });
  }

  /** Serves again after `drain`; false when nothing drains, or the flush has begun. */
  cancelDrain(): boolean {
    const supervisor = this.#running?.supervisor;
    if (supervisor === undefined || !supervisor.getSnapshot().can({ type: 'drain.cancel' })) return false;
    supervisor.send({ type: 'drain.cancel' });
    return supervisor.getSnapshot().matches('running');
  }

  /** Resolves with the report once the broker has stopped, for whatever reason. */
  get ended(): Promise<ShutdownReport> {
    return this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#starting !== null) await this.stop({ reason: 'disposed' });
  }

  async #finish(report: SupervisorReport, data: DataDirectory, held: DataLock): Promise<ShutdownReport> {
    const { disk, logger } = this.#parts;
    const written = this.#complete(report);
    await held.release();
    try {
      await disk.replaceSmallFile(data.reportPath, Buffer.from(`${JSON.stringify(written, null, 2)}\n`));
    } catch (error) {
      logger.warn({ err: error }, 'the report of the shutdown could not be written');
    }
    const { outcome, exitCode, reason, durationMs, lost, unknown, unaccounted, flushedRecords } = report;
    const fields = { outcome, exitCode, reason, durationMs, flushedRecords, lost, unknown, unaccounted };
    if (outcome === 'clean') logger.info(fields, 'stopped');
    else logger.error(fields, 'stopped');
    return written;
  }

  async #tellLastReport(data: DataDirectory): Promise<void> {
    const { disk, logger } = this.#parts;
    const bytes = await disk.readSmallFile(data.reportPath);
    if (bytes === null) {
      if (!data.fresh)
        logger.warn('the last run left no report of its end: it was killed, or this is its first start since');
      return;
    }
    // Once told it is history: a crash of this run must not be mistaken for the end that it tells.
    await disk.remove(data.reportPath);
    try {
      const { outcome, reason, exitCode, durationMs, endedAt } = JSON.parse(
        Buffer.from(bytes).toString(),
      ) as ShutdownReport;
      logger.info({ outcome, reason, exitCode, durationMs, endedAt }, 'last shutdown');
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'the report of the last shutdown does not read');
    }
  }

  // --- what it shows ---

  /** Port that clients connect to; null while not listening. */
  get port(): number | null {
    return this.#running?.assembly.gateway.port ?? null;
  }

  /** Port of the admin endpoint; null while not listening. */
  get adminPort(): number | null {
    return this.#running?.assembly.admin.port ?? null;
  }

  /** What it is doing: the answer of `/status`. */
  get status(): Readonly<Record<string, unknown>> {
    const uptimeMs = Math.round(this.#parts.clock.monotonic() - this.#startedAt);
    return { version, uptimeMs, ...(this.#running === null ? { phase: 'starting' } : statusOf(this.#running)) };
  }

  /** How its shutdown goes: the answer of `/shutdown`. */
  get shutdownState(): Readonly<Record<string, unknown>> {
    if (this.#running === null) return { phase: 'starting', stopping: this.#stopAsked !== null };
    return shutdownStateOf(this.#running, this.#parts.clock.monotonic());
  }

  readonly #view: AdminView = {
    live: () => true,
    ready: () => this.#running?.supervisor.getSnapshot().hasTag('ready') ?? false,
    readiness: () => (this.#running === null ? { ready: false, phase: 'starting' } : readinessOf(this.#running)),
    status: () => this.status,
    shutdown: () => this.shutdownState,
    stop: ({ mode, reason }: AdminRequest) => {
      void this.stop({ mode: (mode ?? 'graceful') as ShutdownMode, reason: reason ?? 'asked by the admin endpoint' });
    },
    drain: ({ reason }: AdminRequest) => this.drain(reason ?? 'asked by the admin endpoint'),
    cancelDrain: () => this.cancelDrain(),
  };
}

/** The error of the child that kept the broker from starting. */
function startError(report: SupervisorReport): BrokerError {
  const failed = report.children.filter(({ state }) => state === 'failed');
  const detail = failed.map(({ id, detail: why }) => `${id}: ${why}`).join('; ');
  const listening = failed.some(({ kind }) => kind === 'gateway' || kind === 'admin');
  return new BrokerError(listening ? 'LISTEN_FAILED' : 'LOG_READ_FAILED', detail === '' ? 'the start failed' : detail);
}
