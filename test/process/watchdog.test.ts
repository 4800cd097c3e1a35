/** The watchdog's threads, in a process of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { pause } from '../support/broker-rig.ts';

const watchdogModule = resolve(import.meta.dirname, '../../dist/actors/watchdog.js');
let folder: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-watchdog-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** A process whose main thread is armed for `ms` and then runs `then`. */
async function armed(path: string, ms: number, then = 'setInterval(() => {}, 1000)'): Promise<ChildProcess> {
  const script = `import(${JSON.stringify(watchdogModule)}).then(({ startWatchdog }) => {
    const watchdog = startWatchdog(${JSON.stringify(path)});
    setTimeout(() => {
      watchdog.arm(${ms}, '{"outcome":"abandoned"}');
      console.log('armed');
      ${then};
    }, 300);
  })`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

it('leaves its report and kills a process whose loop is blocked', async () => {
  const path = join(folder, 'report');
  const child = await armed(path, 600, 'setImmediate(() => { for (;;); })');
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ outcome: 'abandoned' });
});

it('leaves its report before the kill also when a stop of the process has made both overdue', async () => {
  const rounds = await Promise.all(
    Array.from({ length: 6 }, async (_, round) => {
      const path = join(folder, `report ${round}`);
      const child = await armed(path, 700);
      child.kill('SIGSTOP');
      await pause(1000);
      const ended = once(child, 'exit');
      child.kill('SIGCONT');
      return { ended: await ended, report: await readFile(path, 'utf8').catch(() => 'none') };
    }),
  );
  for (const round of rounds) expect(round).toEqual({ ended: [null, 'SIGKILL'], report: '{"outcome":"abandoned"}' });
});

it('kills, and says so, when its report cannot be written', async () => {
  const path = join(folder, 'no such folder', 'report');
  const child = await armed(path, 400);
  let said = '';
  child.stderr?.on('data', (chunk) => {
    said += chunk;
  });
  expect(await once(child, 'close')).toEqual([null, 'SIGKILL']);
  expect(said).toContain(`the report cannot be written to ${path}: ENOENT`);
});
