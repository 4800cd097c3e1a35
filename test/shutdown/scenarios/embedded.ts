/** Brokers inside another process: stopped by many at once, started and stopped a hundred times, broken from within. */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, vi } from 'vitest';
import { ShardRuntime } from '../../../src/actors/shard-runtime.ts';
import type { ShutdownReport } from '../../../src/broker.ts';
import { expectNothingLeft, Rig, topicOn, turns } from '../../broker/rig.ts';
import { runCommand } from '../../support/broker-process.ts';
import { nothing, type ProofRow, type Scenario } from '../proof.ts';
import { Site } from '../site.ts';

const run = promisify(execFile);
const program = resolve(import.meta.dirname, '../programs/cycles.mjs');

const fiftyStops: Scenario = {
  name: 'fifty concurrent stop() are one stop with one report, whose requests are counted',
  run: async (size) => {
    const runs = size === 'full' ? 100 : 10;
    let worstMs = 0;
    for (let at = 0; at < runs; at += 1) {
      const rig = await Rig.start();
      const client = await rig.client();
      await client.ask({ op: 'publish', topic: 'a', partition: 0, value: at });
      // At another moment each time: while it runs, within the stop of others, behind it.
      const stops = Array.from({ length: 50 - (at % 5) }, () => rig.broker.stop({ reason: 'deploy' }));
      await turns(at % 7);
      for (let late = 0; late < at % 5; late += 1) stops.push(rig.broker.stop({ mode: 'fast' }));
      const reports = await rig.until(Promise.all(stops));
      expect(new Set(reports).size).toBe(1);
      expect(reports[0]).toMatchObject({ outcome: 'clean', reason: 'deploy', lost: 0, unknown: 0 });
      worstMs = Math.max(worstMs, reports[0]?.durationMs ?? Number.POSITIVE_INFINITY);
      expect(await rig.broker.stop()).toBe(reports[0]);
      await expectNothingLeft(rig);
    }
    const note = 'in memory, on a told clock';
    return [{ scenario: fiftyStops.name, runs, worstMs, budgetMs: 27_000, ...nothing, note }];
  },
};

interface Cycle {
  readonly cycle: number;
  readonly ms: number;
  readonly outcome: string;
  readonly offset: number;
  readonly closeCode: number;
  readonly resources: readonly string[];
  readonly descriptors: readonly string[];
  readonly heapBytes: number;
}

/** What a process may hold before its code is compiled and its caches are filled. */
const WARM_CYCLES = 5;

const cycles: Scenario = {
  name: 'starts and stops in one process leave no descriptor, timer, socket, lock or memory behind',
  timeoutMs: () => 180_000,
  run: (size) =>
    Site.run(async (site) => {
      const data = await site.folder();
      const runs = size === 'full' ? 100 : 25;
      const args = ['--expose-gc', program, data, String(runs)];
      const { stdout } = await run(process.execPath, args, { maxBuffer: 64 * 2 ** 20 });
      const seen = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Cycle);
      expect(seen).toHaveLength(runs);
      const warm = seen.slice(WARM_CYCLES);
      const [first] = warm as [Cycle];
      for (const { cycle, outcome, offset, closeCode, resources, descriptors } of seen) {
        expect({ outcome, offset, closeCode }).toEqual({ outcome: 'clean', offset: cycle, closeCode: 1012 });
        // The broker's files and sockets have names; what Node itself keeps has not.
        expect(descriptors.filter((path) => path.startsWith(data))).toEqual([]);
        expect(resources).toEqual(seen[0]?.resources);
      }
      for (const { descriptors } of warm) expect(descriptors).toHaveLength(first.descriptors.length);
      const grownBytes = grownBy(warm);
      expect(grownBytes, 'heap growth over the cycles').toBeLessThan(4 * 2 ** 20);
      // The lock is free and nothing is held: the folder passes for whole, and goes.
      const verified = await runCommand(['verify', data]);
      expect(verified.code, verified.stdout.toString()).toBe(0);
      await rm(data, { recursive: true });
      const note =
        `${first.descriptors.length} descriptors and ${first.resources.length} handles behind each; the heap grew by ` +
        `${Math.round(grownBytes / 1024)} KiB in all`;
      const worstMs = Math.max(...seen.map(({ ms }) => ms));
      return [{ scenario: cycles.name, runs, worstMs, budgetMs: 250, ...nothing, note }];
    }),
};

/** The least heap of the last third over that of the first third: garbage that was not collected yet does not count. */
function grownBy(seen: readonly Cycle[]): number {
  const third = Math.ceil(seen.length / 3);
  const least = (part: readonly Cycle[]): number => Math.min(...part.map(({ heapBytes }) => heapBytes));
  return least(seen.slice(-third)) - least(seen.slice(0, third));
}

/** Every step and action of a shard that its chart calls. */
const methods = [
  'open',
  'recover',
  'openGate',
  'closeGate',
  'settle',
  'writeRemaining',
  'checkpoint',
  'markClean',
  'release',
] as const;

/** A whole life in which one method of the first shard throws in the call itself. */
async function lifeWith(method: (typeof methods)[number]): Promise<ShutdownReport> {
  const original = ShardRuntime.prototype[method] as (this: ShardRuntime, ...args: unknown[]) => unknown;
  const spy = vi.spyOn(ShardRuntime.prototype, method).mockImplementation(function (
    this: ShardRuntime,
    ...args: unknown[]
  ) {
    const broken = new Error(`${method} is broken`);
    // What fences a shard releases it too, and is not to be broken here: that comes as the failure that it may have.
    if (this.shard === 0 && method === 'release') return Promise.reject(broken) as never;
    if (this.shard === 0) throw broken;
    return original.apply(this, args) as never;
  });
  try {
    const rig = await Rig.start({ gracePeriodMs: 8000 });
    const [client, other] = [await rig.client(), await rig.client()];
    const [zero, one] = [topicOn(0), topicOn(1)];
    client.send({ op: 'publish', topic: zero, partition: 0, value: 'zero' });
    await turns();
    await other.create(one);
    expect(await other.ask({ op: 'publish', topic: one, value: 'kept' })).toMatchObject({ op: 'published' });
    const report = await rig.stop();
    spy.mockRestore();
    await rig.again();
    const reader = await rig.client();
    await reader.ask({ op: 'subscribe', topic: one, from: 'earliest' });
    await turns();
    expect(reader.delivered().get(0), `${method}: the records of its sibling`).toEqual(['kept']);
    await rig.stop();
    return report;
  } finally {
    spy.mockRestore();
  }
}

const brokenActor: Scenario = {
  name: 'a shard that throws in any phase is failed and named, its siblings go on, and it is never called clean',
  run: async () => {
    const rows: ProofRow[] = [];
    for (const method of methods) {
      const report = await lifeWith(method);
      expect(report.exitCode, method).toBe(21);
      expect(report.outcome, method).toBe('failed');
      const [broken, sibling] = report.children;
      expect(broken, method).toMatchObject({ id: 'shard-00', state: 'failed' });
      expect(sibling, method).toMatchObject({ id: 'shard-01', state: 'released' });
      expect(report.unaccounted, method).toEqual([]);
      expect(report.durationMs, method).toBeLessThanOrEqual(report.budgetMs);
      const { lost, unknown } = report;
      const row = { runs: 1, worstMs: report.durationMs, budgetMs: report.budgetMs, lost, unknown, duplicates: 0 };
      rows.push({ scenario: brokenActor.name, ...row });
    }
    const worstMs = Math.max(...rows.map((row) => row.worstMs ?? 0));
    const sum = (name: 'lost' | 'unknown') => rows.reduce((total, row) => total + row[name], 0);
    const note = `in memory, on a told clock: ${methods.join(', ')}`;
    const counts = { lost: sum('lost'), unknown: sum('unknown'), duplicates: 0 };
    return [{ scenario: brokenActor.name, runs: rows.length, worstMs, budgetMs: 6000, ...counts, note }];
  },
};

export const embedded: readonly Scenario[] = [fiftyStops, cycles, brokenActor];
