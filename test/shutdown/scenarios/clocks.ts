/** Time that does not go as it should: a wall clock that jumps, a process that is stopped and goes on, a probe's clock. */
import { Agent, get } from 'node:http';
import { expect } from 'vitest';
import type { BrokerProcess } from '../../support/broker-process.ts';
import { lastReport, pause } from '../../support/broker-rig.ts';
import { canInjectFaults } from '../../support/disk-faults.ts';
import { PublishLoad } from '../../support/publish-load.ts';
import { WallClock } from '../../support/wall-clock.ts';
import { accountOf } from '../account.ts';
import { SLACK_MS } from '../grace.ts';
import { nothing, type Scenario } from '../proof.ts';
import { Site } from '../site.ts';

const CLEAN = { code: 0, signal: null };
/** Of a grace period of 10 s. */
const BUDGET_MS = 8000;
const DAY_MS = 86_400_000;

const jumps: Scenario = {
  name: 'a wall clock that jumps by years during a shutdown changes neither its budget nor what is kept',
  timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
  run: async (size) => {
    const ahead = [400 * DAY_MS, -400 * DAY_MS, 3_600_000, -3_600_000];
    const rounds = size === 'full' ? 5 : 1;
    const times: number[] = [];
    let unknown = 0;
    for (let run = 0; run < rounds * ahead.length; run += 1) {
      await Site.run(async (site) => {
        const data = await site.folder();
        const clock = new WallClock();
        site.cleanup(() => clock.remove());
        const flags = ['--grace-period-ms', '10s', '--announce-ms', '300'];
        const broker = await site.start({ data, flags, env: clock.env });
        const load = await PublishLoad.begin(broker.url, 'load', 'p', 'goaway');
        while (load.acked.length < 500) await pause(2);
        const asked = performance.now();
        broker.signal('SIGTERM');
        await broker.line(({ msg }) => msg === 'announcing');
        clock.set(ahead[run % ahead.length] as number);
        expect(await broker.exited, broker.output).toEqual(CLEAN);
        times.push(performance.now() - asked);
        const report = await lastReport(data);
        expect(report).toMatchObject({ outcome: 'clean', lost: 0, unknown: 0 });
        // It did jump, or this would show nothing.
        const behind = Math.abs(report.endedAt - Date.now() - (ahead[run % ahead.length] as number));
        expect(behind).toBeLessThan(60_000);
        expect(report.durationMs).toBeGreaterThanOrEqual(295);
        expect(report.durationMs).toBeLessThan(2000);
        await load.ended;
        const account = accountOf([load], data, 'load');
        expect(account).toMatchObject({ lost: 0, duplicates: 0 });
        unknown += account.unknown;
      });
    }
    const worstMs = Math.max(...times);
    const note = 'an hour and 400 days, ahead and back';
    return [{ scenario: jumps.name, runs: times.length, worstMs, budgetMs: 8000, ...nothing, unknown, note }];
  },
};

/** Waits in the drain for a commit that does not come, with the log of a load behind it. */
async function stoppedInTheDrain(
  site: Site,
  stoppedMs: number,
): Promise<{ data: string; broker: BrokerProcess; ms: number; load: PublishLoad }> {
  const data = await site.folder();
  const broker = await site.start({ data, flags: ['--grace-period-ms', '10s'] });
  const consumer = await site.wire(broker);
  const load = await PublishLoad.begin(broker.url, 'load', 'p', 'goaway');
  while (load.acked.length < 500) await pause(2);
  await consumer.ask({ op: 'subscribe', topic: 'load', from: 'earliest', group: 'billing', credit: 100 });
  await consumer.reply(({ op }) => op === 'records');
  broker.signal('SIGTERM');
  await broker.line(({ msg }) => msg === 'draining');
  broker.signal('SIGSTOP');
  await pause(stoppedMs);
  const resumed = performance.now();
  broker.signal('SIGCONT');
  await broker.exited;
  const ms = performance.now() - resumed;
  await load.ended;
  return { data, broker, ms, load };
}

const stopped: Scenario = {
  name: 'a process that is stopped during the drain keeps its budget: gone right behind it when it goes on',
  timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
  run: async (size) => {
    // Well within the budget, and (at full size) far longer.
    const stops = size === 'full' ? [1000, 3000, 20_000, 20_000, 20_000] : [3000];
    const rows = [];
    for (const stoppedMs of stops) {
      rows.push(
        await Site.run(async (site) => {
          const { data, broker, ms, load } = await stoppedInTheDrain(site, stoppedMs);
          const within = stoppedMs < BUDGET_MS;
          const budgetMs = within ? BUDGET_MS - stoppedMs + SLACK_MS : SLACK_MS;
          expect(ms, `behind a stop of ${stoppedMs} ms`).toBeLessThan(budgetMs);
          const report = await lastReport(data);
          if (within) expect(report).toMatchObject({ outcome: 'clean', exitCode: 0 });
          expect(broker.child.exitCode === 0).toBe(report.outcome === 'clean');
          const account = accountOf([load], data, 'load');
          expect(account).toMatchObject({ lost: 0, duplicates: 0 });
          const { lost, unknown, duplicates } = account;
          const how = broker.child.signalCode ?? `exit code ${broker.child.exitCode}`;
          const note = `SIGSTOP for ${stoppedMs / 1000} s of a budget of ${BUDGET_MS / 1000} s: ${report.outcome}, ${how}`;
          return { scenario: stopped.name, runs: 1, worstMs: ms, budgetMs, lost, unknown, duplicates, note };
        }),
      );
    }
    return rows;
  },
};

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Status of the probe and how long it took, ms; null when nobody answers. */
function probe(url: string): Promise<{ status: number; ms: number } | null> {
  const began = performance.now();
  return new Promise((resolve) => {
    const request = get(url, { agent }, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode ?? 0, ms: performance.now() - began }));
    });
    request.on('error', () => resolve(null));
  });
}

const readiness: Scenario = {
  name: 'readiness is 503 within 50 ms of the signal and never 200 again, under load; liveness is 200 to the end',
  timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
  run: async (size) => {
    const runs = size === 'full' ? 20 : 2;
    const flips: number[] = [];
    const idles: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      await Site.run(async (site) => {
        const broker = await site.start({ data: await site.folder(), flags: ['--announce-ms', '400'] });
        const url = `${broker.adminUrl}/readyz`;
        let idle = 0;
        for (let at = 0; at < 100; at += 1) idle = Math.max(idle, (await probe(url))?.ms ?? 0);
        idles.push(idle);
        const load = await PublishLoad.begin(broker.url, 'load', 'p', 'goaway');
        while (load.acked.length < 200) await pause(2);
        const asked = performance.now();
        broker.signal('SIGTERM');
        let flippedAt = 0;
        let seen = 0;
        for (;;) {
          const answer = await probe(url);
          if (answer === null) break;
          if (answer.status === 503) {
            flippedAt ||= performance.now();
            seen += 1;
          } else expect(flippedAt, 'ready again').toBe(0);
          if (seen % 10 === 1) expect((await probe(`${broker.adminUrl}/livez`))?.status ?? 200).toBe(200);
        }
        // On a machine that is busy a probe takes long: a few show it.
        expect(seen).toBeGreaterThan(3);
        flips.push(flippedAt - asked);
        expect(await broker.exited, broker.output).toEqual(CLEAN);
      });
    }
    const worstMs = Math.max(...flips);
    const idle = Math.max(...idles);
    // What a probe of an idle broker takes at worst on this machine, now, is not the broker's.
    expect(worstMs).toBeLessThan(50 + idle);
    const note = `a probe of the idle broker took up to ${idle.toFixed(1)} ms in the same run`;
    return [{ scenario: readiness.name, runs, worstMs, budgetMs: 50, ...nothing, note }];
  },
};

export const clocks: readonly Scenario[] = [...(canInjectFaults() ? [jumps] : []), stopped, readiness];
