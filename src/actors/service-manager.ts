/**
 * What systemd is told of the broker: ready, stopping, a line of status, and that it may wait longer. Sent by
 * `systemd-notify`, one process at a time and none for longer than a second; what comes meanwhile is merged into one
 * message, so that whatever the rate, at most one is under way and one waits. Where no `NOTIFY_SOCKET` is set nothing is
 * sent. A failure is logged once and never fatal. Called by `main.ts`; not by an embedded broker, whose process is not
 * its own.
 */
import type { spawn as nodeSpawn } from 'node:child_process';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';

export interface ServiceManager {
  /** Clients are served. */
  ready(): void;
  /** The shutdown has begun. */
  stopping(status: string): void;
  /** One line for people: what `systemctl status` shows. */
  status(text: string): void;
  /** The start or stop goes on: wait `ms` from now before taking it for hung. Say so only while there is progress. */
  extend(ms: number): void;
  /** Nothing is sent any more, and what is under way is ended. */
  close(): void;
}

/** The part of a child process that is used. */
export interface NotifyProcess {
  once(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'exit', listener: (code: number | null, signal: NodeJS.Signals | null) => void): unknown;
  kill(signal: NodeJS.Signals): boolean;
  unref(): void;
}

/** Runs a program without a shell: `node:child_process` has it. */
export type Spawn = (
  command: string,
  parameters: readonly string[],
  options: { readonly env: Readonly<Record<string, string>>; readonly stdio: 'ignore' },
) => NotifyProcess;

// Held against the real one by the compiler: whoever passes it needs no cast.
null as unknown as typeof nodeSpawn satisfies Spawn;

export interface ServiceManagerOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly spawn: Spawn;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Longest that one `systemd-notify` may take, ms. */
const NOTIFY_MS = 1000;
/** Longest status line, characters. */
const STATUS_MAX = 200;

const nobody: ServiceManager = {
  ready: () => {},
  stopping: () => {},
  status: () => {},
  extend: () => {},
  close: () => {},
};

export function serviceManager(options: ServiceManagerOptions): ServiceManager {
  const socket = options.environment['NOTIFY_SOCKET'];
  if (socket === undefined || socket === '') return nobody;
  const notifier = new Notifier(options, socket);
  return {
    ready: () => notifier.tell({ READY: '1' }),
    stopping: (status) => notifier.tell({ STOPPING: '1', STATUS: lineOf(status) }),
    status: (text) => notifier.tell({ STATUS: lineOf(text) }),
    extend: (ms) => {
      // Infinity would be taken for nonsense there, and a timer that never ends is what this is to prevent.
      if (Number.isFinite(ms) && ms > 0) notifier.tell({ EXTEND_TIMEOUT_USEC: String(Math.round(ms * 1000)) });
    },
    close: () => notifier.close(),
  };
}

/** A line break would begin a field of its own. */
function lineOf(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').slice(0, STATUS_MAX);
}

class Notifier {
  readonly #options: ServiceManagerOptions;
  readonly #environment: Readonly<Record<string, string>>;
  /** Waits for the one under way; a later word on the same matter replaces an earlier one. */
  #waiting: Record<string, string> = {};
  #running: NotifyProcess | null = null;
  #timer: TimerHandle | null = null;
  #failureTold = false;
  #closed = false;

  constructor(options: ServiceManagerOptions, socket: string) {
    this.#options = options;
    // Nothing else of the environment: it may hold tokens.
    const path = options.environment['PATH'];
    this.#environment = { NOTIFY_SOCKET: socket, ...(path === undefined ? {} : { PATH: path }) };
  }

  tell(fields: Readonly<Record<string, string>>): void {
    if (this.#closed) return;
    Object.assign(this.#waiting, fields);
    if (this.#running === null) this.#send();
  }

  close(): void {
    this.#closed = true;
    this.#waiting = {};
    this.#running?.kill('SIGKILL');
    this.#settle();
  }

  #send(): void {
    const fields = Object.entries(this.#waiting).map(([name, value]) => `${name}=${value}`);
    if (fields.length === 0) return;
    this.#waiting = {};
    let child: NotifyProcess;
    try {
      child = this.#options.spawn('systemd-notify', fields, { env: this.#environment, stdio: 'ignore' });
    } catch (error) {
      // Out of descriptors or memory: the next word tries again.
      this.#failed(messageOf(error));
      return;
    }
    this.#running = child;
    child.once('error', (error) => this.#done(child, messageOf(error)));
    child.once('exit', (code, signal) => this.#done(child, code === 0 ? null : `it ended with ${signal ?? code}`));
    // A message to the service manager is no reason to stay.
    child.unref();
    this.#timer = this.#options.clock.setTimeout(() => {
      child.kill('SIGKILL');
      this.#done(child, `it took longer than ${NOTIFY_MS} ms`);
    }, NOTIFY_MS);
  }

  #done(child: NotifyProcess, failure: string | null): void {
    // One that was given up already has nothing to say any more.
    if (this.#running !== child) return;
    this.#settle();
    if (failure !== null) this.#failed(failure);
    this.#send();
  }

  #settle(): void {
    this.#running = null;
    if (this.#timer !== null) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  #failed(why: string): void {
    if (this.#failureTold) return;
    this.#failureTold = true;
    this.#options.logger.warn({ why }, 'systemd-notify failed: systemd is not told how the broker does');
  }
}

export interface ProgressOptions {
  readonly manager: ServiceManager;
  readonly clock: Clock;
  /** `status` is shown; `progress` is anything that differs whenever work was done. */
  readonly look: () => { readonly status: string; readonly progress: string };
}

/** Time between looks, ms, and what one look that saw progress asks for. */
const LOOK_MS = 1000;
const EXTEND_MS = 10_000;

/**
 * Tells the service manager how a start or a stop goes, once a second: the status when it changed, and more time as
 * long as there is progress. What hangs is not extended, so that systemd ends it in its own time. Returns the end of it.
 */
export function followProgress({ manager, clock, look }: ProgressOptions): () => void {
  let before = { status: '', progress: '' };
  let timer: TimerHandle | null = null;
  const tell = (): void => {
    const now = look();
    if (now.status !== before.status) manager.status(now.status);
    if (now.progress !== before.progress) manager.extend(EXTEND_MS);
    before = now;
    timer = clock.setTimeout(tell, LOOK_MS);
  };
  tell();
  return () => {
    if (timer !== null) clock.clearTimeout(timer);
    timer = null;
  };
}
