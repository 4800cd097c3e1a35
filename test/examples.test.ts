/** The examples do what they say, each as its own process, from the built package. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from './support/broker-process.ts';
import { chromiumFlags, findChromium } from './support/chromium.ts';

const folder = resolve(import.meta.dirname, '../examples');
const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Running {
  readonly child: ChildProcess;
  /** All that it said, on both channels. */
  output(): string;
  /** Resolves with the match once it has said it; rejects when it ends first. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<number | null>;
}

async function dataFolder(): Promise<string> {
  const made = await temporaryFolder();
  cleanups.push(() => made.remove());
  return join(made.path, 'data');
}

function run(name: string, ...args: string[]): Running {
  const child = spawn(process.execPath, [join(folder, name), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  cleanups.push(() => (child.exitCode === null ? child.kill('SIGKILL') : undefined));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  }
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const says = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const found = pattern.exec(text);
      if (found !== null) return found;
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode} and said: ${text}`);
      await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), ended]);
    }
  };
  return { child, output: () => text, says, ended };
}

function isInstalled(...names: string[]): boolean {
  const require = createRequire(import.meta.url);
  const missing = names.filter((name) => {
    try {
      require.resolve(name);
      return false;
    } catch {
      return true;
    }
  });
  if (missing.length > 0)
    console.warn(`SKIPPED: an example needs ${missing.join(', ')}: npm install -D ${missing.join(' ')}`);
  return missing.length === 0;
}

describe('the examples', () => {
  it('worker-pool: every job is done, the failed one by a worker begun again, and the end is clean', async () => {
    const { ended, output } = run('worker-pool.mjs', await dataFolder());
    expect(await ended, output()).toBe(0);
    expect(output()).toBe('30 jobs done, 1 failure mended\nstopped: clean\n');
  });

  it('order-workflow: paid orders are shipped, whichever came first, and the unpaid one is cancelled', async () => {
    const { ended, output } = run('order-workflow.mjs', await dataFolder());
    expect(await ended, output()).toBe(0);
    const lines = output().trim().split('\n');
    expect(lines.slice(0, 3).sort()).toEqual(['order-1: shipped', 'order-2: cancelled', 'order-3: shipped']);
    expect(lines.at(-1)).toBe('stopped: clean');
  });
});

interface Shutdown {
  readonly name: string;
  readonly packages: readonly string[];
  readonly path: string;
}

const shutdowns: readonly Shutdown[] = [
  { name: 'http', packages: [], path: '/posts' },
  { name: 'close-with-grace', packages: ['close-with-grace'], path: '/' },
  { name: 'fastify', packages: ['fastify'], path: '/posts' },
  {
    name: 'nest',
    packages: ['@nestjs/core', '@nestjs/common', '@nestjs/platform-fastify', 'reflect-metadata'],
    path: '/posts',
  },
];

describe('a broker inside the shutdown of another app', () => {
  for (const { name, packages, path } of shutdowns) {
    it.skipIf(!isInstalled(...packages))(
      `${name}: a SIGTERM stops both, and what was answered is kept`,
      async () => {
        const data = await dataFolder();
        const places: string[] = [];
        for (let life = 0; life < 2; life += 1) {
          const { child, says, ended, output } = run(`shutdown/${name}.mjs`, data, '0');
          const [, url] = await says(/listening on (http:\S+)/);
          const posts = Array.from({ length: 5 }, async (_, n) => {
            const response = await fetch(`${url}${path}`, {
              method: 'POST',
              body: JSON.stringify({ n }),
              headers: { 'content-type': 'application/json' },
            });
            const text = await response.text();
            expect(response.status, text).toBeLessThan(300);
            const { partition, offset } = JSON.parse(text) as { partition: number; offset: number };
            places.push(`${partition}@${offset}`);
          });
          // Some are still under way when it is told to go: they are answered all the same.
          const answered = Promise.allSettled(posts);
          await posts[0];
          child.kill('SIGTERM');
          await answered;
          expect(await ended, output()).toBe(0);
          expect(output()).toContain('stopped: clean');
        }
        expect(places.length).toBeGreaterThanOrEqual(2);
        // A place that was answered is never another record's: the second life goes on behind the first.
        expect(new Set(places).size).toBe(places.length);
      },
      60_000,
    );
  }
});

const executablePath = findChromium();

describe.skipIf(executablePath === null)('the chat', () => {
  it('shows in a new tab what was said in another, and goes on behind a restart of its server', async () => {
    const data = await dataFolder();
    const browser: Browser = await chromium.launch({ executablePath: executablePath ?? '', args: [...chromiumFlags] });
    cleanups.push(() => browser.close());
    const first = run('chat/server.mjs', data, '0');
    const [, origin = ''] = await first.says(/the chat is at (http:\S+)/);
    const alice = await browser.newPage();
    const faults: string[] = [];
    alice.on('pageerror', (error) => faults.push(error.message));
    await alice.goto(origin);
    await alice.getByRole('status').getByText('ready').waitFor();
    for (const line of ['hello', 'is anybody here?']) {
      await alice.getByLabel('Say').fill(line);
      await alice.getByRole('button').click();
    }
    await alice.locator('#said li').nth(1).waitFor();
    const bob = await browser.newPage();
    await bob.goto(origin);
    await bob.locator('#said li').nth(1).waitFor();
    expect(await bob.locator('#said li').allTextContents()).toEqual(['hello', 'is anybody here?']);
    first.child.kill('SIGTERM');
    expect(await first.ended, first.output()).toBe(0);
    const second = run('chat/server.mjs', data, new URL(origin).port);
    await second.says(/the chat is at/);
    const carol = await browser.newPage();
    await carol.goto(origin);
    await carol.locator('#said li').nth(1).waitFor();
    expect(await carol.locator('#said li').allTextContents()).toEqual(['hello', 'is anybody here?']);
    expect(faults).toEqual([]);
    second.child.kill('SIGTERM');
    expect(await second.ended).toBe(0);
  }, 60_000);
});
