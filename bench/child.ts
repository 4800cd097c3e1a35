/**
 * Children of the bench: every server and every generator is a process of its own, ended by its id. Our own ones run
 * as plain JavaScript compiled by `tsc`: `tsx` wraps functions and imports, which costs in what is measured.
 */
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from './jobs/main.ts';

const root = resolve(import.meta.dirname, '..');

/** Longest time that a job may take, fills of gigabytes included. */
const JOB_MS = 180_000;
/** Longest time between a polite signal and SIGKILL. */
const STOP_MS = 5_000;

export class Children {
  readonly #compiled: string;
  readonly #running = new Set<ChildProcess>();

  /** Compiles what runs in children; throws with what `tsc` said. */
  constructor() {
    const cache = join(root, 'node_modules/.cache');
    mkdirSync(cache, { recursive: true });
    this.#compiled = mkdtempSync(join(cache, 'sluice-bench-'));
    const tsc = join(root, 'node_modules/.bin/tsc');
    execFileSync(tsc, ['-p', join(root, 'bench/tsconfig.json'), '--outDir', this.#compiled], { stdio: 'inherit' });
  }

  /** The JavaScript of a file below `bench/`, named without its ending. */
  script(name: string): string {
    return join(this.#compiled, 'bench', `${name}.js`);
  }

  /** Starts a server. What it prints is kept for the message of its failure. */
  spawn(command: string, args: readonly string[]): Child {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment() });
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    return new Child(child);
  }

  /** Runs a job to its end in a process of its own. */
  async run<Result>(job: Job): Promise<Result> {
    const held = await this.hold<Result>(job);
    await held.end();
    return held.result;
  }

  /** Runs a job, and keeps its process with the connections that it made until `end`. */
  async hold<Result>(job: Job): Promise<{ readonly result: Result; end(): Promise<void> }> {
    const child = this.begin(job);
    const end = async (): Promise<void> => {
      child.kill('SIGKILL');
      if (this.#running.has(child)) await once(child, 'exit');
    };
    try {
      const answer = await Promise.race([
        once(child, 'message').then(([message]) => message as { readonly result?: Result; readonly error?: string }),
        once(child, 'exit').then(([code, signal]) => ({ error: `ended with ${code ?? signal}`, result: undefined })),
        sleep(JOB_MS, { error: `no result after ${JOB_MS} ms`, result: undefined }, { ref: false }),
      ]);
      if (answer.result === undefined) throw new Error(`the job ${job.job} failed: ${answer.error}`);
      return { result: answer.result, end };
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** Begins a job whose result nobody waits for: load beside what is measured. */
  begin(job: Job, execArgv: readonly string[] = []): ChildProcess {
    const child = fork(this.script('jobs/main'), { env: environment(), execArgv: [...execArgv] });
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    child.send(job);
    return child;
  }

  /** Ends whatever is left, by its id. */
  close(): void {
    for (const child of this.#running) child.kill('SIGKILL');
    rmSync(this.#compiled, { recursive: true, force: true });
  }
}

/** Settings of whoever runs the bench are not settings of what is measured. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('SLUICE_'));
  return { ...Object.fromEntries(own), NODE_ENV: 'production' };
}

/** A server's process. */
export class Child {
  readonly #child: ChildProcess;
  #output = '';
  #exited = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        if (this.#output.length < 65_536) this.#output += chunk.toString();
      });
    }
    child.once('error', (error) => {
      this.#output += error.message;
      this.#exited = true;
    });
    child.once('exit', () => {
      this.#exited = true;
    });
  }

  /** Waits until `found` gives something for what was printed so far, or for nothing at all; throws after 10 s. */
  async until<Found>(found: (output: string) => Found | undefined | Promise<Found | undefined>): Promise<Found> {
    for (let waited = 0; waited < 10_000; waited += 5) {
      const value = await found(this.#output);
      if (value !== undefined) return value;
      if (this.#exited) break;
      await sleep(5);
    }
    throw new Error(`a server did not come up; it printed:\n${this.#output}`);
  }

  /** Resident memory in bytes. Linux only, where the figures are made. */
  get rssBytes(): number {
    const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, 'utf8'));
    return Number(line?.[1]) * 1024;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#exited) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(timer);
  }
}
