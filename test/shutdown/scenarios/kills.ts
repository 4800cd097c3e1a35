/** `kill -9` at any moment, at each step of a life, and during a recovery: what was acknowledged as durable is kept. */
import { expect } from 'vitest';
import type { BrokerProcess } from '../../support/broker-process.ts';
import { pause } from '../../support/broker-rig.ts';
import { PublishLoad } from '../../support/publish-load.ts';
import { type Account, accountOf, sumOf } from '../account.ts';
import { GRACE } from '../grace.ts';
import type { ProofRow, Scenario } from '../proof.ts';
import { Site } from '../site.ts';
import { servedFrom } from '../stored.ts';

/** Kills on one data directory, whose whole history is looked at behind them. */
const KILLS_EACH = 10;
/** What a start may take on the busiest of machines. */
const START_MS = 10_000;
const FLAGS = [...GRACE, '--checkpoint-bytes', '64KiB', '--segment-bytes', '256KiB'];

/** Producers of one life of a broker. */
async function loads(broker: BrokerProcess, life: number): Promise<PublishLoad[]> {
  return Promise.all([0, 1].map((at) => PublishLoad.begin(broker.url, 'kept', `${life}-${at}`, 'close')));
}

const atRandom: Scenario = {
  name: 'kill -9 at random moments under load: no acknowledged record is lost, none is stored twice, every order is kept',
  timeoutMs: (size) => (size === 'full' ? 1_800_000 : 60_000),
  run: async (size) => {
    const kills = size === 'full' ? 500 : 10;
    const accounts: Account[] = [];
    let slowestMs = 0;
    for (let done = 0; done < kills; done += KILLS_EACH) {
      await Site.run(async (site) => {
        const data = await site.folder();
        const all: PublishLoad[] = [];
        for (let life = 0; life < KILLS_EACH; life += 1) {
          const began = performance.now();
          const broker = await site.start({ data, flags: FLAGS });
          slowestMs = Math.max(slowestMs, performance.now() - began);
          const running = await loads(broker, life);
          all.push(...running);
          while (running.some(({ acked }) => acked.length === 0)) await pause(1);
          await pause(Math.random() * 250);
          await broker.stop('SIGKILL');
          await Promise.all(running.map(({ ended }) => ended));
        }
        accounts.push(accountOf(all, data, 'kept'));
        // And so it is served: what the files say and what a broker makes of them are the same.
        await servedFrom(site, data, 'kept');
      });
    }
    return [rowOf(atRandom.name, kills, slowestMs, accounts)];
  },
};

/** Lines of a life, in order, at each of which it is killed; those of a shard for one shard. */
const starts = [
  'starting',
  'admin listening',
  'shard recovered',
  'shard-00 ready',
  'listening',
  'gateway ready',
  'running',
];
const stops = [
  'signal',
  'announcing',
  'draining',
  'shard-00 drained',
  'gateway drained',
  'flushing',
  'clients closed',
  'gateway released',
  'shard-00 released',
  'shard-03 released',
  'releasing',
  'admin released',
  'stopped',
];

const atSteps: Scenario = {
  name: 'kill -9 at each named step of a start and of a shutdown under load loses nothing that was acknowledged',
  timeoutMs: (size) => (size === 'full' ? 900_000 : 90_000),
  run: async (size) => {
    const rounds = size === 'full' ? 10 : 1;
    const accounts: Account[] = [];
    let slowestMs = 0;
    for (let round = 0; round < rounds; round += 1) {
      await Site.run(async (site) => {
        const data = await site.folder();
        const all: PublishLoad[] = [];
        for (const [life, step] of [...stops, ...starts].entries()) {
          const broker = site.spawn({ data, flags: FLAGS });
          const killed = broker.line(({ msg }) => msg === step).then(() => broker.child.kill('SIGKILL'));
          const began = performance.now();
          if (stops.includes(step)) {
            await broker.ready();
            slowestMs = Math.max(slowestMs, performance.now() - began);
            const running = await loads(broker, life);
            all.push(...running);
            while (running.some(({ acked }) => acked.length < 300)) await pause(1);
            broker.signal('SIGTERM');
          }
          await killed;
          await broker.exited;
        }
        await Promise.all(all.map(({ ended }) => ended));
        accounts.push(accountOf(all, data, 'kept'));
        // And so it is served: what the files say and what a broker makes of them are the same.
        await servedFrom(site, data, 'kept');
      });
    }
    return [rowOf(atSteps.name, rounds * (stops.length + starts.length), slowestMs, accounts)];
  },
};

const inRecovery: Scenario = {
  name: 'kill -9 during the replay of a large log, again and again, changes nothing in it',
  timeoutMs: (size) => (size === 'full' ? 900_000 : 60_000),
  run: (size) =>
    Site.run(async (site) => {
      const data = await site.folder();
      // No checkpoint on the way: every start replays the whole log.
      const flags = [...GRACE, '--checkpoint-bytes', '4GiB'];
      const broker = await site.start({ data, flags });
      const running = await loads(broker, 0);
      const wanted = size === 'full' ? 400_000 : 15_000;
      while (running.reduce((sum, { acked }) => sum + acked.length, 0) < wanted) await pause(5);
      await broker.stop('SIGKILL');
      await Promise.all(running.map(({ ended }) => ended));
      const kills = size === 'full' ? 60 : 6;
      let within = 0;
      for (let kill = 0; kill < kills; kill += 1) {
        const again = site.spawn({ data, flags });
        await again.line(({ msg }) => msg === 'admin ready');
        await pause((kill / kills) * (size === 'full' ? 1500 : 120));
        await again.stop('SIGKILL');
        if (!again.lines.some(({ msg }) => msg === 'running')) within += 1;
      }
      expect(within).toBeGreaterThan(kills / 4);
      const began = performance.now();
      await servedFrom(site, data, 'kept');
      const servedMs = performance.now() - began;
      const row = rowOf(inRecovery.name, kills, servedMs, [accountOf(running, data, 'kept')]);
      return [{ ...row, budgetMs: null, note: `${within} of them before the replay was done; ${row.note}` }];
    }),
};

function rowOf(scenario: string, runs: number, slowestMs: number, accounts: readonly Account[]): ProofRow {
  const { acked, lost, unknown, duplicates } = sumOf(accounts);
  expect([lost, duplicates], scenario).toEqual([0, 0]);
  expect(slowestMs).toBeLessThan(START_MS * 6);
  const note = `${acked} acknowledged; the time is that of a start behind it, the unknown are those under way at a kill`;
  return { scenario, runs, worstMs: slowestMs, budgetMs: START_MS, lost, unknown, duplicates, note };
}

export const kills: readonly Scenario[] = [atRandom, atSteps, inRecovery];
