/**
 * The page against a real broker, process and all: sixteen shards under load until a SIGTERM, watched to their end; one
 * whose disk hangs; the next run on the same port; the recording of it all, replayed with no broker; topics, a live tail,
 * a record by hand.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { joinGroup } from '../../src/client/groups.ts';
import { connect } from '../../src/client/index.ts';
import { commandPath } from '../support/broker-process.ts';
import { brokerRig } from '../support/broker-rig.ts';
import { chromiumFlags, findChromium } from '../support/chromium.ts';
import { canInjectFaults, DiskFaults } from '../support/disk-faults.ts';
import { PublishLoad } from '../support/publish-load.ts';
import { Wire } from '../support/wire.ts';
import { noteComplaints } from './page-complaints.ts';

const executablePath = findChromium();
const SHARDS = 16;
const { folder, start, cleanup } = brokerRig();

let browser: Browser;
let complaints: string[] = [];

async function newPage(url: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
  cleanup(() => context.close());
  await context.addInitScript(`addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
    console.error('policy: ' + violatedDirective + ' ' + blockedURI))`);
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  noteComplaints(page, complaints);
  await page.goto(url);
  return page;
}

async function openPage(adminPort: number, view: string): Promise<Page> {
  const page = await newPage(`http://127.0.0.1:${adminPort}/#/${view}`);
  await page.locator('[data-link=live]').waitFor();
  return page;
}

function goTo(page: Page, view: string): Promise<void> {
  return page.locator(`nav a[href="#/${view}"]`).click();
}

/** A topic over all shards, and producers that publish until they are cut off. */
async function load(url: string): Promise<PublishLoad[]> {
  const wire = await Wire.open(url);
  await wire.ask({ op: 'create', topic: 'orders', partitions: SHARDS, durability: 'sync' });
  await wire.close();
  return Promise.all([0, 1, 2].map((number) => PublishLoad.begin(url, 'orders', `p${number}`, 'close')));
}

/** A shard that is written to. */
async function busyShard(adminUrl: string): Promise<string> {
  const status = (await (await fetch(`${adminUrl}/status`)).json()) as {
    shards: { id: string; records: number; partitions: number }[];
  };
  const busy = status.shards.find(({ partitions, records }) => partitions > 0 && records > 0);
  if (busy === undefined) throw new Error(`no shard is written to: ${JSON.stringify(status)}`);
  return busy.id;
}

/** Address of the page that `sluice replay` serves. What it prints is read to its end: a command whose reader goes, goes. */
function replay(file: string): Promise<string> {
  const child = spawn(process.execPath, [commandPath, 'replay', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanup(() => child.kill('SIGKILL'));
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [url] = /http:\/\/\S+/.exec(line) ?? [];
      if (url !== undefined) resolve(url);
    });
    child.on('exit', (code) => reject(new Error(`sluice replay ended with ${code}`)));
  });
}

describe.skipIf(executablePath === null)('the console on a real broker', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: [...chromiumFlags] });
  }, 60_000);
  afterAll(() => browser?.close());
  afterEach(() => {
    const said = complaints;
    complaints = [];
    expect(said).toEqual([]);
  });

  it('shows sixteen shards released behind a SIGTERM under load, the next run with the report of this one, and replays it', async () => {
    const data = await folder();
    const broker = await start({ data, flags: ['--shards', String(SHARDS), '--announce-ms', '1500'] });
    const { adminPort } = broker;
    const loads = await load(broker.url);
    const watched = await busyShard(broker.adminUrl);

    const page = await openPage(adminPort, 'overview');
    await page.getByText(`${SHARDS} of ${SHARDS} shards serving`).waitFor();
    await expect.poll(() => page.getByRole('row', { name: /^shard-\d\d / }).count()).toBe(SHARDS);
    await page
      .locator('.tile', { hasText: 'Ack latency' })
      .getByText(/\d (ms|s)$/)
      .waitFor();
    await goTo(page, 'shutdown');
    await page.getByText('No shutdown goes on').waitFor();
    const charts = await openPage(adminPort, 'charts');
    await charts.getByRole('treeitem', { name: watched }).click();
    await charts.locator('.chart-layer [data-state="running"].active').waitFor();

    broker.child.kill('SIGTERM');
    const picture = page.locator('.gantt svg');
    await page.getByText('SIGTERM · graceful').waitFor();
    await page.locator('.gantt .deadline').waitFor();
    expect((await broker.exited).code).toBe(0);
    await Promise.all(loads.map(({ ended }) => ended));
    await page.getByText('The broker is gone since').waitFor();
    await page.getByText(`${SHARDS} of ${SHARDS}`, { exact: true }).waitFor();
    const told = (await picture.getAttribute('aria-label')) ?? '';
    const released = Array.from({ length: SHARDS }, (_, shard) => `shard-${String(shard).padStart(2, '0')} released`);
    expect(released.filter((words) => !told.includes(words))).toEqual([]);
    expect(told).toMatch(/announcing took .* of at most .*draining took .*flushing took .*releasing took /);
    expect(await picture.locator('.span-end.end-released').count()).toBe(SHARDS);

    // Every state of a shard on its way out, however short; the chart shows the last one, and the edge that led there.
    await charts.locator('.chart-layer [data-state="released"].innermost').waitFor();
    expect(await charts.locator('.chart-layer [data-edge].last').count()).toBe(1);
    const rows = await charts
      .getByRole('list', { name: 'Events, newest first' })
      .getByRole('listitem')
      .allTextContents();
    const states = rows.flatMap((row) => /→ (\S+)/.exec(row)?.[1] ?? []).reverse();
    // Announcing changes nothing of a shard.
    expect(states.filter((state) => state !== 'running')).toEqual([
      'draining.settling',
      'draining.settled',
      'flushing.writing',
      'flushing.checkpointing',
      'flushing.marking',
      'flushing.releasing',
      'released',
    ]);

    await start({ data, adminPort, flags: ['--shards', String(SHARDS)] });
    await page.locator('[data-link=live]').waitFor();
    await page.getByText('clean, exit code 0').waitFor();
    await page.getByText(/The run before, as this page saw it/).waitFor();

    await goTo(page, 'time');
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Export' }).click();
    const file = await (await downloading).path();
    expect((await readFile(file, 'utf8')).slice(0, 29)).toBe('{"sluice":"recording","v":1}\n');
    // Opened by hand beside a broker that runs, and with no broker at all.
    await goTo(charts, 'time');
    await charts.getByLabel('A recording').setInputFiles(file);
    await charts.locator('[data-link=replay]').waitFor();
    const replayed = await newPage(`${await replay(file)}#/shutdown`);
    await replayed.locator('[data-link=file]').waitFor();
    for (const shown of [charts, replayed]) {
      // To the middle: the run that is over is in the recording, too.
      await goTo(shown, 'time');
      const phases = shown.getByRole('list', { name: 'Phases of the broker' }).locator('li');
      await expect
        .poll(async () => (await phases.allTextContents()).join(' '), { timeout: 30_000 })
        .toMatch(/running announcing draining flushing releasing.* running/);
      const slider = shown.getByRole('slider', { name: 'Moment of the recording' });
      await slider.focus();
      await slider.press('Home');
      await goTo(shown, 'charts');
      await shown.getByRole('treeitem', { name: watched }).click();
      await shown.locator('.chart-layer [data-state="running"].active').waitFor();
    }
    await goTo(replayed, 'time');
    // The end of the first run is shown until the next one begins: fast enough, and slow enough to be seen.
    await replayed.getByLabel('Speed').selectOption('4');
    await replayed.getByRole('button', { name: 'Play', exact: true }).click();
    await goTo(replayed, 'shutdown');
    await replayed
      .locator('.gantt .end-released')
      .nth(SHARDS - 1)
      .waitFor({ timeout: 60_000 });
  });

  it.skipIf(!canInjectFaults())('names the one shard that is stuck, and how it ended', async () => {
    const faults = new DiskFaults();
    cleanup(() => faults.remove());
    const data = await folder();
    const flags = ['--shards', String(SHARDS), '--grace-period-ms', '10s'];
    const broker = await start({ data, flags, env: faults.env });
    const { adminPort } = broker;
    await load(broker.url);
    await expect.poll(() => busyShard(broker.adminUrl).catch(() => '')).not.toBe('');
    const stuck = await busyShard(broker.adminUrl);
    const page = await openPage(adminPort, 'overview');
    const part = `shards/${stuck.slice('shard-'.length)}/`;
    faults.set(['write', part, 'hang'], ['sync', part, 'hang']);
    // Before anybody stops it.
    await page.getByRole('list', { name: 'What is wrong' }).getByText(`A write of ${stuck} hangs`).waitFor();
    await goTo(page, 'shutdown');
    const list = page.getByRole('list', { name: 'What is stuck' }).getByRole('listitem');
    // All at once: the shutdown goes on while it is looked at.
    const seen = Promise.all([
      page.locator('.gantt .lane.stuck').getByText(stuck).waitFor(),
      list
        .first()
        .waitFor()
        .then(() => list.allTextContents()),
    ]);
    broker.child.kill('SIGTERM');
    const [, named] = await seen;
    expect(named).toEqual([
      expect.stringMatching(
        new RegExp(`^${stuck} is stuck.*At “(finish publishes|write)” for .*with a write that has been under way`),
      ),
    ]);

    // A file call that hangs keeps the process: the watchdog ends it.
    await broker.exited;
    await page.getByText('The broker is gone since').waitFor();
    await page.getByText(`${SHARDS - 1} of ${SHARDS}`, { exact: true }).waitFor();
    expect(await page.locator('.gantt svg').getAttribute('aria-label')).toMatch(/draining took .* of at most /);
    const ends = page.getByRole('list', { name: 'What did not end as it should' });
    await ends.getByText(`${stuck} was abandoned`).waitFor();
    expect(await ends.getByRole('listitem').count()).toBe(1);
    expect(await page.locator('.gantt .end-abandoned').count()).toBe(1);

    faults.clear();
    await start({ data, adminPort, flags });
    await page.locator('[data-link=live]').waitFor();
    await page.getByText('abandoned, exit code 20').waitFor();
  });

  it('shows what a topic holds as it comes, finds in it, and adds to it', async () => {
    const broker = await start({ data: await folder(), flags: ['--shards', '2'] });
    const wire = await Wire.open(broker.url);
    await wire.ask({ op: 'create', topic: 'orders', partitions: 2, durability: 'sync' });
    const page = await openPage(broker.adminPort, 'topics');
    await page.getByRole('row', { name: /^orders/ }).waitFor();
    await page.getByRole('button', { name: 'Tail of orders' }).click();
    const records = page.getByRole('list', { name: 'Records, newest first' });
    await page.getByText('No record yet.').waitFor();
    for (const value of ['apples', '<b>pears</b>']) {
      await page.getByLabel('Key', { exact: true }).fill('customer-7');
      await page.getByLabel('Value', { exact: true }).fill(value);
      await page.getByRole('button', { name: 'Publish' }).click();
      await page.getByText(/Stored at orders\/\d@\d/).waitFor();
      await records.getByText(value).waitFor();
    }
    expect(await records.getByRole('listitem').first().textContent()).toContain('customer-7 <b>pears</b>');
    await page.getByLabel('Search keys and values').fill('APPLE');
    await expect.poll(() => records.getByRole('listitem').count()).toBe(1);
    // Asked for every few seconds.
    await expect
      .poll(() => page.getByRole('row', { name: /^orders/ }).textContent(), { timeout: 15_000 })
      .toMatch(/orders\s*2\s*2\s*sync/);
    await wire.close();
    expect((await broker.stop()).code).toBe(0);
  });

  it('shows who is in a group, who owns what, and how far it is behind', async () => {
    const broker = await start({ data: await folder(), flags: ['--shards', '2'] });
    const client = await connect(broker.url, { WebSocket, name: 'worker' });
    await client.createTopic('orders', { partitions: 2 });
    for (const value of ['one', 'two', 'three']) await client.publish('orders', { value, partition: 1 });
    const group = joinGroup(client, { group: 'billing', topics: ['orders'], member: '<i>anna</i>', from: 'earliest' });
    const first = await group.next();
    expect(first.value?.text()).toBe('one');
    const page = await openPage(broker.adminPort, 'topics');
    const row = page.getByRole('row', { name: /^billing/ });
    await expect.poll(() => row.textContent(), { timeout: 15_000 }).toMatch(/stable\s*1\s*[23]/);
    await page.getByRole('button', { name: 'Partitions of billing' }).click();
    const partitions = page.getByRole('region', { name: /Partitions of billing/ });
    expect(await partitions.getByRole('row', { name: /^orders\/1/ }).textContent()).toContain('<i>anna</i>');
    expect(await partitions.getByRole('row').count()).toBe(3);
    const shots = process.env['CONSOLE_SHOTS'];
    if (shots !== undefined) await page.screenshot({ path: `${shots}/groups.png`, fullPage: true });
    await client.close();
    const ended = await broker.stop();
    expect(ended, broker.output).toMatchObject({ code: 0 });
  });
});
