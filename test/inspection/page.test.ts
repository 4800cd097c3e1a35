/**
 * The real page from the real admin port of a broker process, in Chromium: under the policy that is sent, behind a token,
 * through a SIGTERM, from a recording, and for an actor system without a broker.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createActor, createMachine } from 'xstate';
import { replay } from '../../src/cli/replay.ts';
import { InspectionHub, inspect, MemoryRecording } from '../../src/inspection/index.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { fakeTerminal } from '../cli/fake-terminal.ts';
import { BrokerProcess, temporaryFolder } from '../support/broker-process.ts';
import { chromiumFlags, findChromium } from '../support/chromium.ts';

const executablePath = findChromium();
const built = existsSync(resolve(import.meta.dirname, '../../dist/console/index.html'));
if (!built && process.env['CI'] === 'true') throw new Error('the console is not built: npx vite build');
if (!built) console.warn('SKIPPED: the page in a browser. The console is not built: npx vite build');

let browser: Browser;
let complaints: string[] = [];

const light = createMachine({
  id: 'light',
  initial: 'red',
  states: { red: { on: { next: 'green' } }, green: { on: { next: 'red' } } },
});

async function open(url: string): Promise<Page> {
  const context = await browser.newContext();
  onTestFinished(() => context.close());
  await context.addInitScript(`
    globalThis.stopped = [];
    addEventListener('securitypolicyviolation', (event) => stopped.push(event.violatedDirective + ' ' + event.blockedURI));
  `);
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on('pageerror', (error) => complaints.push(`threw: ${String(error)}`));
  await page.goto(url);
  return page;
}

async function startBroker(
  flags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<BrokerProcess> {
  const folder = await temporaryFolder();
  const broker = await BrokerProcess.start({ data: folder.path, flags: ['--reserve-bytes', '0', ...flags], env });
  onTestFinished(async () => {
    await broker.stop('SIGKILL');
    await folder.remove();
  });
  return broker;
}

describe.skipIf(executablePath === null || !built)('the console page', () => {
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: [...chromiumFlags] });
  }, 60_000);

  afterAll(() => browser.close());

  afterEach(() => {
    expect(complaints).toEqual([]);
    complaints = [];
  });

  const nothingStopped = async (page: Page): Promise<void> => {
    expect(await page.evaluate('globalThis.stopped')).toEqual([]);
  };

  it('shows a broker, draws its charts, and keeps what it saw of its end', async () => {
    const broker = await startBroker(['--shards', '4']);
    const page = await open(`${broker.adminUrl}/#/charts`);
    await page.getByText('shard-03').first().waitFor();
    await page.getByText('shard-03').first().click();
    await page.locator('svg [data-state="running"]').first().waitFor();
    await nothingStopped(page);
    expect((await broker.stop('SIGTERM')).code).toBe(0);
    await page.evaluate("location.hash = '#/shutdown'");
    await page.getByText('The broker is gone since').first().waitFor();
    const seen = (await page.locator('main').textContent()) ?? '';
    for (const shard of ['shard-00', 'shard-01', 'shard-02', 'shard-03']) expect(seen).toContain(shard);
    // One for each that was released.
    expect(seen.match(/✓/g)).toHaveLength(4);
    await nothingStopped(page);
  }, 60_000);

  it('asks for the token, and takes the right one', async () => {
    const broker = await startBroker([], { SLUICE_ADMIN_TOKEN: 'open-sesame' });
    const page = await open(`${broker.adminUrl}/`);
    await page.getByText('This broker wants its token').waitFor();
    await page.locator('input[type="password"]').fill('open-sesame');
    await page.keyboard.press('Enter');
    await page.getByText('shard-00').first().waitFor();
    await nothingStopped(page);
  }, 60_000);

  it('reaches the port of the clients, and no other place', async () => {
    const broker = await startBroker();
    const page = await open(`${broker.adminUrl}/#/topics`);
    const opens = (port: number): Promise<unknown> =>
      page.evaluate(
        `new Promise((resolve) => {
          try {
            const socket = new WebSocket('ws://127.0.0.1:${port}/v1', 'sluice.v1');
            socket.onopen = () => { socket.close(); resolve(true); };
            socket.onerror = () => resolve(false);
          } catch { resolve(false); }
        })`,
      );
    expect(await opens(broker.port)).toBe(true);
    await nothingStopped(page);
    const other = await startBroker();
    expect(await opens(other.port)).toBe(false);
    expect(await page.evaluate('globalThis.stopped')).toEqual([expect.stringMatching(/^connect-src ws:/)]);
  }, 60_000);

  it('opens a recording with no broker', async () => {
    const folder = await temporaryFolder();
    onTestFinished(() => folder.remove());
    const path = join(folder.path, 'a.jsonl');
    const actor = createActor(light, { id: 'crossing' }).start();
    const hub = new InspectionHub({
      source: { name: 'toy', version: '1', pid: 1, startedAt: 0, host: 'here' },
      actor: () => actor,
      may: { send: false, act: false },
      clock: systemClock,
      facts: null,
      crowd: null,
      failed: (error) => complaints.push(String(error)),
    });
    const recording = new MemoryRecording();
    const seat = hub.join(recording);
    actor.send({ type: 'next' });
    seat.leave('done');
    await writeFile(path, recording.text);
    const terminal = fakeTerminal();
    const done = replay.run([path], terminal);
    for (let n = 0; n < 100 && terminal.out.bytes.length === 0; n += 1)
      await new Promise((look) => setTimeout(look, 20));
    const page = await open(`${terminal.out.bytes.toString().trim()}#/charts`);
    await page.getByText('crossing').first().waitFor();
    await nothingStopped(page);
    terminal.signal('SIGINT');
    expect(await done).toBe(0);
  }, 60_000);

  it('shows any actor system', async () => {
    const actor = createActor(light, { id: 'crossing' }).start();
    const inspection = await inspect(actor, { port: 0, title: '<b>Crossing</b>' });
    onTestFinished(() => inspection.close());
    const page = await open(`${inspection.url}#/charts`);
    await page.getByText('crossing').first().click();
    await page.locator('svg [data-state="red"]').first().waitFor();
    expect(await page.locator('b', { hasText: 'Crossing' }).count()).toBe(0);
    await nothingStopped(page);
  }, 60_000);
});
