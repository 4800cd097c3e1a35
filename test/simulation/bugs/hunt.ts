/**
 * Looks for the first seed that shows a planted bug: by one of the invariants that the bug names, in processes of their
 * own in which it is planted. Used by `find.ts` and by the test.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Invariant } from '../checkers/index.ts';
import type { SeedResult } from '../seeds.ts';
import type { Bug } from './bug.ts';
import { bugArguments } from './index.ts';

export interface Found {
  readonly seed: number;
  readonly invariant: Invariant;
  readonly text: string;
}

export interface Hunt {
  readonly found: Found | null;
  /** Seeds that ran. */
  readonly tried: number;
  /** Seeds that were ended because they did not end by themselves. */
  readonly hung: readonly number[];
}

/** Longest that one seed may take; a bug may well keep the simulation from ending. */
const SEED_MS_MAX = 60_000;

/** Tries the seeds in their order, `jobs` at a time. Rejects when a worker breaks: an edit that does not fit its source. */
export async function hunt(bug: Bug, seeds: Iterable<number>, jobs: number): Promise<Hunt> {
  const queue = seeds[Symbol.iterator]();
  const hits: Found[] = [];
  const hung: number[] = [];
  let tried = 0;
  const lane = async (): Promise<void> => {
    let worker: SeedWorker | null = null;
    try {
      for (let next = queue.next(); hits.length === 0 && next.done !== true; next = queue.next()) {
        worker ??= new SeedWorker(bug);
        const result = await worker.run(next.value);
        tried += 1;
        if (result === null) {
          hung.push(next.value);
          worker.end();
          worker = null;
        } else {
          const shown = result.violations.find(({ invariant }) => bug.shownBy.includes(invariant));
          if (shown !== undefined) hits.push({ seed: result.seed, ...shown });
        }
      }
    } finally {
      worker?.end();
    }
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  const [found = null] = hits.sort((a, b) => a.seed - b.seed);
  return { found, tried, hung };
}

/** What a seed shows in a process without a bug. */
export async function controlOf(seed: number): Promise<SeedResult | null> {
  const worker = new SeedWorker(null);
  try {
    return await worker.run(seed);
  } finally {
    worker.end();
  }
}

/** A process that runs one seed at a time. */
class SeedWorker {
  readonly #child: ChildProcess;
  #ended = false;

  constructor(bug: Bug | null) {
    const { execArgv, env } = bugArguments(bug);
    this.#child = fork(new URL('../worker.ts', import.meta.url), {
      execArgv,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
  }

  /** Null when the seed did not end in time. */
  run(seed: number): Promise<SeedResult | null> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const over = (): void => {
        clearTimeout(timer);
        child.removeAllListeners();
      };
      const timer = setTimeout(() => {
        over();
        resolve(null);
      }, SEED_MS_MAX);
      child.once('message', (result) => {
        over();
        resolve(result as SeedResult);
      });
      child.once('error', (error) => {
        over();
        reject(error);
      });
      child.once('exit', (code) => {
        over();
        reject(new Error(`the worker of seed ${seed} ended with ${code}`));
      });
      child.send({ from: seed, count: 1 });
    });
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#child.kill('SIGKILL');
  }
}
