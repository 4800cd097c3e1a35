/** A real broker process for tests: `sluice serve` from the built package, on free ports and a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

export const commandPath = resolve(import.meta.dirname, '../../dist/cli/sluice.cjs');

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface BrokerProcessOptions {
  readonly data: string;
  readonly port?: number;
  readonly adminPort?: number;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Runs the command through another program, such as `faketime`. */
  readonly prefix?: readonly string[];
}

export class BrokerProcess {
  readonly child: ChildProcess;
  readonly lines: Record<string, unknown>[] = [];
  readonly exited: Promise<Exit>;
  stderr = '';
  port = 0;
  adminPort = 0;
  #waiters: {
    matches: (line: Record<string, unknown>) => boolean;
    resolve: (line: Record<string, unknown>) => void;
  }[] = [];

  private constructor(options: BrokerProcessOptions) {
    const { data, port = 0, adminPort = 0, flags = [], env = {}, prefix = [] } = options;
    const command = [
      ...prefix,
      process.execPath,
      commandPath,
      'serve',
      '--data',
      data,
      '--port',
      String(port),
      '--admin-port',
      String(adminPort),
      ...flags,
    ];
    this.child = spawn(command[0] as string, command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_ENV: 'production', ...env },
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    const { stdout } = this.child;
    if (stdout !== null) createInterface({ input: stdout }).on('line', (line) => this.#onLine(line));
    this.exited = once(this.child, 'exit').then(([code, signal]) => ({ code, signal }) as Exit);
  }

  /** Starts and waits until it serves; rejects with what it printed when it exits before. */
  static async start(options: BrokerProcessOptions): Promise<BrokerProcess> {
    const broker = BrokerProcess.spawn(options);
    await broker.ready();
    return broker;
  }

  static spawn(options: BrokerProcessOptions): BrokerProcess {
    return new BrokerProcess(options);
  }

  async ready(): Promise<void> {
    const running = this.line((line) => line['msg'] === 'running');
    const ended = this.exited.then(({ code, signal }) => {
      throw new Error(`the broker ended before it served: ${code ?? signal}\n${this.output}`);
    });
    ended.catch(() => {});
    await Promise.race([running, ended]);
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/v1`;
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.adminPort}`;
  }

  get output(): string {
    return `${this.lines.map((line) => JSON.stringify(line)).join('\n')}\n${this.stderr}`;
  }

  /** The first log line, printed already or still to come, that matches. */
  line(matches: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    const found = this.lines.find(matches);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolveLine) => this.#waiters.push({ matches, resolve: resolveLine }));
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    this.child.kill(signal);
    return this.exited;
  }

  #onLine(text: string): void {
    let line: Record<string, unknown>;
    try {
      line = JSON.parse(text) as Record<string, unknown>;
    } catch {
      line = { raw: text };
    }
    this.lines.push(line);
    if (line['msg'] === 'listening') this.port = line['port'] as number;
    if (line['msg'] === 'admin listening') this.adminPort = line['port'] as number;
    for (const waiter of this.#waiters.filter(({ matches }) => matches(line))) {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.resolve(line);
    }
  }
}

/** A folder that is removed behind the test. */
export async function temporaryFolder(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

export interface CommandResult extends Exit {
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs `sluice …` to its end. */
export async function runCommand(
  args: readonly string[],
  options: {
    readonly input?: string | Buffer;
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
  } = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [commandPath, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
}
