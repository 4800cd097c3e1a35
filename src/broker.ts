/**
 * A broker as a plain value: start it, use it, stop it. It takes no signal, ends no process and keeps no global, so
 * that several live in one process; `main.ts` makes a process of one.
 */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { AnyActorLogic } from 'xstate';
import { abortText, onAbort } from './abort.ts';
import type { AdminRequest, AdminView } from './actors/admin-server.ts';
import { newHub } from './actors/broker-inspection.ts';
import { followGuest } from './actors/guest.ts';
import { listen } from './actors/websocket-listener.ts';
import { type Assembly, assemble } from './assembly.ts';
import { tellChild, tellPhase } from './broker-log.ts';
import { BrokerMetrics } from './broker-metrics.ts';
import type { BrokerOptions, BrokerParts, StopOptions } from './broker-options.ts';
import { StopProgress } from './broker-progress.ts';
import { settingsOf } from './broker-settings.ts';
import {
  isReady,
  notRunning,
  type RunningBroker,
  readinessOf,
  type ShutdownState,
  shutdownStateOf,
  statusOf,
} from './broker-status.ts';
import type { Client } from './client/index.ts';
import type { Config } from './config.ts';
import { EarlyStop, unstartedReport } from './early-stop.ts';
import { type LocalClientOptions, LocalClients } from './embedding/local-clients.ts';
import { type Supervised, type SuperviseOptions, Supervision } from './embedding/supervision.ts';
import { BrokerError } from './errors.ts';
import { type LastShutdown, type ShutdownReport, takeLastShutdown, writeLastShutdown } from './last-shutdown.ts';
import { createLogger } from './logger.ts';
import type { Outcome, SupervisorReport } from './machines/report.ts';
import type { ShutdownMode } from './machines/shutdown-mode.ts';
import { reportOf } from './machines/shutdown-report.ts';
import type { ShutdownRequest, SupervisorContext } from './machines/supervisor-context.ts';
import { systemClock } from './ports/clock.ts';
import { systemRandom } from './ports/random.ts';
import { noWatchdog } from './ports/watchdog.ts';
import { startError } from './start-error.ts';
import { type DataDirectory, openDataDirectory, prepareDataDirectory } from './storage/data-directory.ts';
import type { DataLock } from './storage/data-lock.ts';
import { levelLock } from './storage/level-lock.ts';
import { levelMeta } from './storage/level-meta.ts';
import { nodeDisk } from './storage/node-disk.ts';
import { type Supervisor, supervisorActor } from './supervisor-actor.ts';
import { version } from './version.ts';

export type { BrokerOptions, BrokerParts, StopOptions } from './broker-options.ts';
export type { ShutdownReport } from './last-shutdown.ts';

const WATCHDOG_MARGIN_MS = 500;

/** Makes a broker; it does nothing until `start`. CONFIG_INVALID names what is wrong. */
export function createBroker(options: BrokerOptions = {}, parts: BrokerParts = {}): Broker {
  return new Broker(settingsOf(options), options, parts);
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
  #stopAsked: EarlyStop | null = null;
  /** A drain that came before that. */
  #drainAsked: string | null = null;
  readonly #progress: StopProgress;
  #lastShutdown: LastShutdown | null = null;
  readonly #metrics = new BrokerMetrics();
  readonly #clients: LocalClients;
  readonly #supervision: Supervision;

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
      hub: newHub,
      ...parts,
    };
    this.#startedAt = this.#parts.clock.monotonic();
    this.#clients = new LocalClients({
      admit: (connection) => (this.#running === null ? 'DRAINING' : this.#running.assembly.gateway.admit(connection)),
      frameBytesMax: config.frameBytes,
      ...this.#parts,
    });
    this.#supervision = new Supervision(this.#parts);
    this.#progress = new StopProgress({ ...this.#parts, look: () => this.shutdownState });
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
      this.#starting = this.#start().catch(async (error: unknown) => {
        await this.#endUnstarted('start-failed', 'the start failed');
        throw error;
      });
      const { signal } = this.#options;
      if (signal !== undefined) onAbort(signal, this.#ended, () => void this.stop({ reason: abortText(signal) }));
    }
    return this.#starting;
  }

  /** It never came to a supervisor, or its report is known already and stays. */
  async #endUnstarted(outcome: Outcome, reason: string): Promise<void> {
    await this.#clients.close();
    this.#supervision.end();
    const asked = this.#stopAsked?.asked ?? { reason, mode: 'graceful', requests: 0 };
    const now = this.#parts.clock.monotonic();
    this.#end(this.#complete(unstartedReport(this.config, outcome, asked, this.#startedAt, now)));
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
      this.#lastShutdown = await takeLastShutdown(disk, data, logger);
    } catch (error) {
      await held.release();
      throw error;
    }
    const { shards } = data.identity;
    if (shards !== this.config.shards) {
      logger.info({ shards, asked: this.config.shards }, 'the data directory keeps the shard count it was made with');
    }
    logger.info({ version, data: path, shards, pid: process.pid, node: process.version }, 'starting');
    await this.#run(data, held);
  }

  async #run(data: DataDirectory, held: DataLock): Promise<void> {
    const listening = this.#options.listen === false ? null : this.#parts.listen;
    const assembly = assemble({ ...this.#parts, listen: listening, config: this.config, data, view: this.#view });
    const { clock, logger } = this.#parts;
    const { shards } = data.identity;
    const supervisor = supervisorActor({ assembly, options: this.#options, config: this.config, clock, shards });
    this.#running = { assembly, supervisor, data };
    const started = this.#follow(supervisor, assembly, data, held);
    supervisor.start();
    for (const { id, actor } of this.#options.guests ?? []) followGuest(supervisor, id, actor);
    this.#supervision.start(supervisor);
    if (this.#drainAsked !== null) supervisor.send({ type: 'drain', reason: this.#drainAsked });
    if (this.#stopAsked !== null) supervisor.send(this.#stopAsked.request);
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
          if (context.stopping && context.plan !== null) {
            this.#armWatchdog(context);
            this.#progress.begin();
          }
          if (context.phase === phase) return;
          tellPhase(logger, context);
          phase = context.phase;
          // Running, or drained before it ever was.
          if (phase !== 'starting' && !context.stopping) started();
          if (phase === 'running') {
            const ms = Math.round(clock.monotonic() - this.#startedAt);
            logger.info({ durationMs: ms, topics: assembly.catalogue.size }, 'running');
          }
        },
        error: (error) => {
          this.#progress.end();
          failed(BrokerError.from(error, 'INTERNAL', 'the supervisor failed'));
        },
        complete: () => {
          this.#progress.end();
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
    const report = reportOf(context);
    // Nothing is known any more of a process that hangs: what it held in memory alone is told as lost.
    const runtimes = this.#running?.assembly.runtimes ?? [];
    const held = runtimes.reduce((sum, { engine }) => sum + (engine?.counts.pendingAcknowledged ?? 0), 0);
    this.#arm({ ...report, lost: report.lost + held }, context.plan?.reportUntil ?? 0);
  }

  #arm(report: SupervisorReport, until: number): void {
    const { clock, watchdog } = this.#parts;
    const killed = { ...this.#complete(report), outcome: 'abandoned', exitCode: 20, killedByWatchdog: true };
    watchdog.arm(until - clock.monotonic() + WATCHDOG_MARGIN_MS, JSON.stringify(killed, null, 2));
  }

  #complete(report: SupervisorReport): ShutdownReport {
    return { ...report, version, pid: process.pid, endedAt: this.#parts.clock.now() };
  }

  // --- stop ---

  /**
   * Shuts down and resolves with the report, behind which nothing of this broker is left. Again: the same promise, and
   * a harder mode or an earlier deadline presses. Before `start` has got far, it stops as soon as nothing is half open.
   * Throws BAD_REQUEST for a deadline that is no time.
   */
  stop(options: StopOptions = {}): Promise<ShutdownReport> {
    const { mode = 'graceful', reason = 'stop', fatal = false, deadline, signal, returning = true } = options;
    if (deadline !== undefined && !Number.isFinite(deadline)) {
      throw new BrokerError('BAD_REQUEST', `"deadline" must be ms of performance.now(); got ${deadline}`);
    }
    const until = deadline === undefined ? {} : { deadline };
    this.#ask({ type: 'shutdown', mode, reason, fatal, returning, ...until });
    if (this.#starting === null) {
      // Nothing to stop, and nothing will start any more.
      this.#starting = Promise.resolve();
      void this.#endUnstarted('clean', reason);
    }
    if (signal !== undefined) {
      onAbort(signal, this.#ended, () => this.#ask({ type: 'shutdown', mode: 'fast', reason: abortText(signal) }));
    }
    return this.#ended;
  }

  #ask(request: ShutdownRequest): void {
    if (this.#running !== null) this.#running.supervisor.send(request);
    else this.#askEarly(request, this.#parts.clock.monotonic());
  }

  #askEarly(request: ShutdownRequest, now: number): void {
    if (this.#stopAsked === null) this.#stopAsked = new EarlyStop(this.config, request, now);
    else this.#stopAsked.press(request, now);
    this.#arm(this.#stopAsked.report(), this.#stopAsked.until);
  }

  /**
   * Stops serving and stays: clients are told, publishes are refused. `cancelDrain` serves again, `stop` goes on. While
   * it starts: as soon as it has started.
   */
  drain(reason = 'drain'): void {
    if (this.#running !== null) this.#running.supervisor.send({ type: 'drain', reason });
    else this.#drainAsked = reason;
  }

  /** Serves again after `drain`; false when nothing drains, or the flush has begun. */
  cancelDrain(): boolean {
    const supervisor = this.#running?.supervisor;
    if (supervisor === undefined && this.#drainAsked !== null) {
      this.#drainAsked = null;
      return true;
    }
    if (supervisor === undefined || !supervisor.getSnapshot().can({ type: 'drain.cancel' })) return false;
    supervisor.send({ type: 'drain.cancel' });
    return !supervisor.getSnapshot().matches('draining');
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
    // It ends with the process; what it must not do is keep the report from whoever waits for it.
    await held.release().catch((error: unknown) => logger.warn({ err: error }, 'the lock was not let go in order'));
    await this.#clients.close();
    await writeLastShutdown(disk, data, written, logger);
    const { outcome, exitCode, reason, durationMs, lost, unknown, unaccounted, flushedRecords } = report;
    const fields = { outcome, exitCode, reason, durationMs, flushedRecords, lost, unknown, unaccounted };
    if (outcome === 'clean') logger.info(fields, 'stopped');
    else logger.error(fields, 'stopped');
    return written;
  }

  /**
   * A client in this process, without a socket: the same as `connect` of `sluice/client` gives, welcomed. It leaves with
   * the broker: told to go as all clients are, and closed for good at the end. While the broker starts, it waits.
   * Rejects with BAD_REQUEST before `start`, DRAINING behind the end, and as `connect` does.
   */
  async client(options: LocalClientOptions = {}): Promise<Client> {
    if (this.#starting === null) throw new BrokerError('BAD_REQUEST', 'the broker was not started: call start() first');
    await this.#starting;
    return await this.#clients.connect(options);
  }

  /**
   * Looks after an actor: runs it, begins it again when it fails, within its budget, and takes it along when the broker
   * stops: it is told `{ type: 'shutdown', … }` with the shards, and its end is its answer. Before `start` it waits for
   * it. Throws BAD_REQUEST for a wrong option or an id that is taken, DRAINING once the broker stops.
   */
  supervise<L extends AnyActorLogic>(id: string, logic: L, options: SuperviseOptions<L> = {}): Supervised<L> {
    return this.#supervision.supervise(id, logic, options);
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
    const running = this.#running === null ? { phase: 'starting' } : statusOf(this.#running);
    return { version, uptimeMs, ...running, lastShutdown: this.#lastShutdown };
  }

  /** How its shutdown goes: the answer of `/shutdown`. */
  get shutdownState(): ShutdownState {
    const now = this.#parts.clock.monotonic();
    if (this.#running !== null) return shutdownStateOf(this.#running, now, this.#progress.stalled);
    return notRunning(this.#stopAsked !== null, now - this.#startedAt);
  }

  /** Its figures as Prometheus text, version 0.0.4: the answer of `/metrics`. Empty while nothing runs. */
  async metrics(): Promise<string> {
    const running = this.#running;
    if (running === null) return '';
    const { closedCounts: closed } = running.assembly.sessions;
    const shutdown = { state: this.shutdownState, closed, last: this.#lastShutdown, first: running.data.fresh };
    return this.#metrics.of({ running, config: this.config, ...shutdown });
  }

  readonly #view: AdminView = {
    live: () => true,
    ready: () => this.#running !== null && isReady(this.#running),
    readiness: () => (this.#running === null ? { ready: false, phase: 'starting' } : readinessOf(this.#running)),
    status: () => this.status,
    shutdown: () => this.shutdownState,
    supervisor: () => this.#running?.supervisor ?? null,
    metrics: () => this.metrics(),
    stop: ({ mode, reason, returning }: AdminRequest) => {
      void this.stop({
        mode: (mode ?? 'graceful') as ShutdownMode,
        reason: reason ?? 'asked by the admin endpoint',
        returning: returning ?? true,
      });
    },
    drain: ({ reason }: AdminRequest) => this.drain(reason ?? 'asked by the admin endpoint'),
    cancelDrain: () => this.cancelDrain(),
  };
}
