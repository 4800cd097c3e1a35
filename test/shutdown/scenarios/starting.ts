/** A start that is told to stop, and starts that compete for one data directory. */
import { expect } from 'vitest';
import type { BrokerProcess } from '../../support/broker-process.ts';
import { lastReport, pause } from '../../support/broker-rig.ts';
import { PublishLoad } from '../../support/publish-load.ts';
import { recordsOf } from '../../support/wire.ts';
import { accountOf } from '../account.ts';
import { nothing, type Scenario } from '../proof.ts';
import { Site } from '../site.ts';

const CLEAN = { code: 0, signal: null };
const START_BUDGET_MS = 27_000;

/** A data directory whose log has to be replayed, and what was acknowledged into it. */
async function killedUnderLoad(site: Site, acked: number): Promise<{ data: string; load: PublishLoad }> {
  const data = await site.folder();
  // No checkpoint on the way: the whole log is to be replayed.
  const broker = await site.start({ data, flags: ['--checkpoint-bytes', '1GiB'] });
  const load = await PublishLoad.begin(broker.url, 'kept', 'p', 'close');
  while (load.acked.length < acked) await pause(5);
  await broker.stop('SIGKILL');
  await load.ended;
  return { data, load };
}

/** Stops a start when it has told this line. */
async function stopAt(site: Site, data: string, milestone: string): Promise<number> {
  const broker = site.spawn({ data });
  await broker.line(({ msg }) => msg === milestone);
  const asked = performance.now();
  expect(await broker.stop(), `${milestone}\n${broker.output}`).toEqual(CLEAN);
  const ms = performance.now() - asked;
  expect(await lastReport(data)).toMatchObject({ outcome: 'clean', reason: 'SIGTERM', lost: 0, unknown: 0 });
  return ms;
}

const atEachStep: Scenario = {
  name: 'SIGTERM at each step of a start ends it clean, with nothing half open, and the log whole',
  timeoutMs: (size) => (size === 'full' ? 600_000 : 60_000),
  run: (size) =>
    Site.run(async (site) => {
      const { data, load } = await killedUnderLoad(site, size === 'full' ? 20_000 : 3000);
      const rounds = size === 'full' ? 10 : 1;
      const shards = ['shard-00 ready', 'shard-01 ready', 'shard-02 ready', 'shard-03 ready'];
      const milestones = [
        'starting',
        'admin listening',
        'admin ready',
        ...shards,
        'listening',
        'gateway ready',
        'running',
      ];
      const times: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        for (const milestone of milestones) times.push(await stopAt(site, data, milestone));
      }
      const { lost, unknown, duplicates } = accountOf([load], data, 'kept');
      expect([lost, duplicates]).toEqual([0, 0]);
      const note = `${milestones.length} steps; the unknown are of the kill that left the log to be replayed`;
      const worstMs = Math.max(...times);
      return [
        {
          scenario: atEachStep.name,
          runs: times.length,
          worstMs,
          budgetMs: START_BUDGET_MS,
          lost,
          unknown,
          duplicates,
          note,
        },
      ];
    }),
};

const atAnyMoment: Scenario = {
  name: 'SIGTERM at any moment of a start ends it with 0, or before there was anything to end',
  timeoutMs: (size) => (size === 'full' ? 600_000 : 60_000),
  run: (size) =>
    Site.run(async (site) => {
      const data = await site.folder();
      const stepMs = size === 'full' ? 5 : 80;
      const times: number[] = [];
      for (let ms = 20; ms <= 600; ms += stepMs) {
        const broker = site.spawn({ data });
        await pause(ms);
        const asked = performance.now();
        const exit = await broker.stop();
        times.push(performance.now() - asked);
        // Before Node has run the first line of the command there is nobody to take a signal, and nothing to lose.
        if (exit.signal === 'SIGTERM') expect(broker.lines).toEqual([]);
        else expect(exit, broker.output).toEqual(CLEAN);
      }
      expect(await (await site.start({ data })).stop()).toEqual(CLEAN);
      const worstMs = Math.max(...times);
      return [{ scenario: atAnyMoment.name, runs: times.length, worstMs, budgetMs: START_BUDGET_MS, ...nothing }];
    }),
};

const oneDirectory: Scenario = {
  name: 'of brokers that start on one data directory at once one serves, and the others name it and harm nothing',
  timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
  run: (size) =>
    Site.run(async (site) => {
      const data = await site.folder();
      const rounds = size === 'full' ? 30 : 3;
      const times: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const began = performance.now();
        const rivals = [0, 1, 2].map(() => site.spawn({ data }));
        const served = await Promise.all(rivals.map(servesOrEnds));
        times.push(performance.now() - began);
        expect(served.filter((serves) => serves)).toHaveLength(1);
        const holder = rivals[served.indexOf(true)] as BrokerProcess;
        for (const loser of rivals.filter((rival) => rival !== holder)) {
          expect((await loser.exited).code).toBe(1);
          expect(loser.stderr).toContain('DATA_DIR_LOCKED');
          // The holder writes its name behind the lock: who asks in between is told that.
          expect(loser.stderr).toMatch(new RegExp(`process ${holder.child.pid} on |has not said its name yet`));
        }
        const wire = await site.wire(holder);
        const answer = await wire.ask({ op: 'publish', topic: 'a', partition: 0, value: round });
        expect(answer).toMatchObject({ op: 'published', offset: round });
        expect(await recordsOf(holder.url, 'a')).toHaveLength(round + 1);
        // By turns: a lock is let go by an end, and by a death.
        if (round % 2 === 0) expect(await holder.stop()).toEqual(CLEAN);
        else await holder.stop('SIGKILL');
      }
      const worstMs = Math.max(...times);
      const note = 'three at once; the time is that of a start';
      return [{ scenario: oneDirectory.name, runs: rounds, worstMs, budgetMs: 10_000, ...nothing, note }];
    }),
};

async function servesOrEnds(broker: BrokerProcess): Promise<boolean> {
  return Promise.race([broker.line(({ msg }) => msg === 'running').then(() => true), broker.exited.then(() => false)]);
}

export const starting: readonly Scenario[] = [atEachStep, atAnyMoment, oneDirectory];
