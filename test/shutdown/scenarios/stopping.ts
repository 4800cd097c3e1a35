/** Stopping a broker in which nothing goes wrong: idle, under load, asked for often, called back. */
import { readdir } from 'node:fs/promises';
import { expect } from 'vitest';
import { runCommand } from '../../support/broker-process.ts';
import { lastReport, pause } from '../../support/broker-rig.ts';
import { PublishLoad } from '../../support/publish-load.ts';
import { refusedUpgrade } from '../../support/wire.ts';
import { type Account, accountOf, sumOf } from '../account.ts';
import { MemoryWatch } from '../memory-watch.ts';
import { nothing, type Scenario } from '../proof.ts';
import { Site } from '../site.ts';
import { storedIn } from '../stored.ts';

const CLEAN = { code: 0, signal: null };
/** A broker of four shards whose queues, recent batches and clients are full, and room to collect garbage in. */
const MEMORY_MIB = 700;

const idle: Scenario = {
  name: 'an idle broker is gone in under 250 ms, clean, and leaves nothing but its data',
  run: async (size) => {
    const times: number[] = [];
    const runs = size === 'full' ? 10 : 5;
    for (let run = 0; run < runs; run += 1) {
      await Site.run(async (site) => {
        const data = await site.folder();
        const broker = await site.start({ data });
        expect(await broker.stop(), broker.output).toEqual(CLEAN);
        const report = await lastReport(data);
        expect(report).toMatchObject({ outcome: 'clean', reason: 'SIGTERM', ...lostNothing, unaccounted: [] });
        expect(report.children.map(({ state }) => state)).toEqual(report.children.map(() => 'released'));
        expect((await readdir(data)).sort()).toEqual(['last-shutdown.json', 'lock', 'shards', 'sluice.json']);
        times.push(report.durationMs);
      });
    }
    // At small size it runs beside other tests, and the time that it was given none counts as well.
    expect(size === 'full' ? Math.max(...times) : Math.min(...times)).toBeLessThan(250);
    return [{ scenario: idle.name, runs, worstMs: Math.max(...times), budgetMs: 250, ...nothing }];
  },
};

const lostNothing = { lost: 0, unknown: 0 };

/** Four producers, as fast as they are answered, until the broker tells them that it goes. */
async function stopUnderLoad(site: Site, ackedBefore: number): Promise<Loaded> {
  const data = await site.folder();
  const broker = await site.start({ data });
  const admin = await site.wire(broker);
  await admin.ask({ op: 'create', topic: 'load', partitions: 4 });
  const memory = new MemoryWatch(broker.child.pid);
  const names = ['a', 'b', 'c', 'd'];
  const began = performance.now();
  const loads = await Promise.all(names.map((name) => PublishLoad.begin(broker.url, 'load', name, 'goaway')));
  while (loads.reduce((sum, { acked }) => sum + acked.length, 0) < ackedBefore) await pause(2);
  const perSecond = (1000 * ackedBefore) / (performance.now() - began);
  const asked = performance.now();
  expect(await broker.stop(), broker.output).toEqual(CLEAN);
  const ms = performance.now() - asked;
  for (const load of loads) expect((await load.ended).code).toBe(1012);
  expect(await lastReport(data)).toMatchObject({ outcome: 'clean', ...lostNothing });
  const account = accountOf(loads, data, 'load');
  expect(account).toMatchObject({ lost: 0, unknown: 0, duplicates: 0, stored: account.acked });
  return { ms, perSecond, memoryMib: memory.end(), account };
}

interface Loaded {
  readonly ms: number;
  readonly perSecond: number;
  readonly memoryMib: number;
  readonly account: Account;
}

const underLoad: Scenario = {
  name: 'SIGTERM under full load: every publish is answered once, and the log is exactly what was acknowledged',
  timeoutMs: (size) => (size === 'full' ? 1_800_000 : 60_000),
  run: async (size) => {
    const runs = size === 'full' ? 200 : 5;
    const done: Loaded[] = [];
    for (let run = 0; run < runs; run += 1) {
      // At another moment each time: during the first groups, in full flow, at a checkpoint.
      done.push(await Site.run((site) => stopUnderLoad(site, 500 + ((run * 1777) % 12_000))));
    }
    const { acked, lost, unknown, duplicates } = sumOf(done.map(({ account }) => account));
    const memoryMib = Math.max(...done.map((run) => run.memoryMib));
    expect(memoryMib).toBeLessThan(MEMORY_MIB);
    const perSecond = Math.round(Math.max(...done.map((run) => run.perSecond)) / 1000);
    const note = `${acked} acknowledged, up to ${perSecond},000 a second; at most ${memoryMib} MiB`;
    const worstMs = Math.max(...done.map(({ ms }) => ms));
    return [{ scenario: underLoad.name, runs, worstMs, budgetMs: 27_000, lost, unknown, duplicates, note }];
  },
};

const thousandSignals: Scenario = {
  name: 'a thousand SIGTERM are one shutdown: counted, and in no way hurried',
  run: () =>
    Site.run(async (site) => {
      const data = await site.folder();
      const broker = await site.start({ data, flags: ['--announce-ms', '500'] });
      const announced = broker.line(({ msg }) => msg === 'announcing');
      const asked = performance.now();
      broker.signal('SIGTERM');
      await announced;
      let sent = 1;
      for (; sent < 900; sent += 1) broker.signal('SIGTERM');
      // The kernel keeps one of a kind that was not taken yet: the rest comes one by one, up to the end.
      for (; broker.child.exitCode === null && sent < 1000; sent += 1) {
        broker.signal('SIGTERM');
        await pause(2);
      }
      for (; sent < 1000; sent += 1) broker.signal('SIGTERM');
      expect(await broker.exited, broker.output).toEqual(CLEAN);
      const worstMs = performance.now() - asked;
      const report = await lastReport(data);
      expect(report).toMatchObject({ mode: 'graceful', outcome: 'clean', ...lostNothing });
      expect(report.requests).toBeGreaterThan(20);
      expect(report.phases.find(({ phase }) => phase === 'announcing')?.durationMs).toBeGreaterThan(450);
      const note = `${report.requests} of them seen by the process`;
      return [{ scenario: thousandSignals.name, runs: 1, worstMs, budgetMs: 27_000, ...nothing, note }];
    }),
};

const doubleInterrupt: Scenario = {
  name: 'two SIGINT of one keystroke are one request; a later one hurries, and still flushes',
  run: () =>
    Site.run(async (site) => {
      const once = await site.folder();
      const keystroke = await site.start({ data: once, flags: ['--announce-ms', '500'] });
      keystroke.signal('SIGINT');
      await pause(50);
      keystroke.signal('SIGINT');
      expect(await keystroke.exited, keystroke.output).toEqual(CLEAN);
      expect(await lastReport(once)).toMatchObject({ requests: 1, mode: 'graceful', outcome: 'clean' });

      const twice = await site.folder();
      const broker = await site.start({ data: twice, flags: ['--announce-ms', '15000'] });
      const wire = await site.wire(broker);
      broker.signal('SIGINT');
      await wire.reply(({ op }) => op === 'goaway');
      expect(await wire.ask({ op: 'publish', topic: 'a', partition: 0, value: 'a:1' })).toMatchObject({ offset: 0 });
      await pause(1100);
      const hurried = performance.now();
      broker.signal('SIGINT');
      expect(await broker.exited, broker.output).toEqual(CLEAN);
      const worstMs = performance.now() - hurried;
      expect(await lastReport(twice)).toMatchObject({ requests: 2, mode: 'fast', outcome: 'clean' });
      expect(storedIn(twice, 'a').map(({ value }) => value)).toEqual(['a:1']);
      return [{ scenario: doubleInterrupt.name, runs: 2, worstMs, budgetMs: 5000, ...nothing }];
    }),
};

const drainAndCancel: Scenario = {
  name: 'a drain refuses and stays; cancelled, it serves the same connections again; a stop takes it further',
  run: async (size) => {
    const rounds = size === 'full' ? 20 : 3;
    return Site.run(async (site) => {
      const data = await site.folder();
      const broker = await site.start({ data });
      const post = async (path: string): Promise<number> =>
        (await fetch(`${broker.adminUrl}${path}`, { method: 'POST' })).status;
      const ready = async (): Promise<number> => (await fetch(`${broker.adminUrl}/readyz`)).status;
      const wire = await site.wire(broker);
      const publish = (value: string) => wire.ask({ op: 'publish', topic: 'a', partition: 0, value });
      expect(await publish('kept:0')).toMatchObject({ offset: 0 });
      let slowest = 0;
      for (let round = 1; round <= rounds; round += 1) {
        const asked = performance.now();
        expect(await post('/drain')).toBe(202);
        expect(await ready()).toBe(503);
        expect(await publish(`refused:${round}`)).toMatchObject({ code: 'DRAINING', retryAfterMs: expect.any(Number) });
        expect((await refusedUpgrade(broker.url)).status).toBe(503);
        expect(await post('/drain/cancel')).toBe(202);
        expect(await ready()).toBe(200);
        expect(await publish(`kept:${round}`)).toMatchObject({ offset: round });
        slowest = Math.max(slowest, performance.now() - asked);
        expect(await post('/drain/cancel')).toBe(409);
      }
      expect(await post('/drain')).toBe(202);
      expect(await broker.stop(), broker.output).toEqual(CLEAN);
      const values = storedIn(data, 'a').map(({ value }) => value);
      expect(values).toEqual(Array.from({ length: rounds + 1 }, (_, round) => `kept:${round}`));
      return [{ scenario: drainAndCancel.name, runs: rounds, worstMs: slowest, budgetMs: 1000, ...nothing }];
    });
  },
};

const nonsenseBudget: Scenario = {
  name: 'a budget that cannot work is refused at start, and the message names the number to set',
  run: () =>
    Site.run(async (site) => {
      const wrong: readonly (readonly [flags: readonly string[], named: RegExp])[] = [
        [['--grace-period-ms', '5s'], /gracePeriodMs to at least \d+/],
        [['--grace-period-ms', '0ms'], /grace/i],
        [['--grace-period-ms', 'Infinity'], /grace/i],
        [['--grace-period-ms', '30s', '--pre-stop-ms', '29s'], /gracePeriodMs to at least \d+/],
        [['--announce-ms', '60s'], /announceMs to at most \d+ or gracePeriodMs to at least \d+/],
      ];
      let slowest = 0;
      for (const [flags, named] of wrong) {
        const data = await site.folder();
        const began = performance.now();
        const { code, stderr } = await runCommand([
          'serve',
          '--data',
          data,
          '--port',
          '0',
          '--admin-port',
          '0',
          ...flags,
        ]);
        slowest = Math.max(slowest, performance.now() - began);
        expect(code, flags.join(' ')).not.toBe(0);
        expect(stderr, flags.join(' ')).toMatch(named);
        // Refused before anything is touched.
        expect(await readdir(data)).toEqual([]);
      }
      const runs = wrong.length;
      return [{ scenario: nonsenseBudget.name, runs, worstMs: slowest, budgetMs: 5000, ...nothing }];
    }),
};

export const stopping: readonly Scenario[] = [
  idle,
  underLoad,
  thousandSignals,
  doubleInterrupt,
  drainAndCancel,
  nonsenseBudget,
];
