/** Shutdowns on a disk that fails, fills or hangs: gone on time, the culprit named, its siblings flushed, losses told. */
import { expect } from 'vitest';
import type { ShutdownReport } from '../../../src/broker.ts';
import { type BrokerProcess, runCommand } from '../../support/broker-process.ts';
import { lastReport, pause } from '../../support/broker-rig.ts';
import type { DiskFaults, FaultRule } from '../../support/disk-faults.ts';
import type { Frame, TextClient } from '../../support/text-client.ts';
import { BUDGET_MS, GRACE, SLACK_MS } from '../grace.ts';
import type { ProofRow, Scenario } from '../proof.ts';
import { Site } from '../site.ts';
import { servedFrom, storedIn } from '../stored.ts';

const PARTITIONS = [0, 1, 2, 3];

/** A broker whose disk obeys, a client, and one acknowledged record in each of its four shards. */
interface Scene {
  readonly site: Site;
  readonly data: string;
  readonly faults: DiskFaults;
  readonly broker: BrokerProcess;
  readonly client: TextClient;
  /** The shard of partition 0, as its folder is named. */
  readonly shard: string;
  /** Values by place, as they were acknowledged. */
  readonly acked: Map<string, unknown>;
}

interface SceneOptions {
  readonly flags?: readonly string[];
  readonly durability?: 'sync' | 'async';
  readonly env?: Readonly<Record<string, string>>;
}

async function scene(site: Site, { flags = [], durability = 'sync', env = {} }: SceneOptions = {}): Promise<Scene> {
  const data = await site.folder();
  const faults = site.faults();
  const broker = await site.start({ data, flags: [...GRACE, ...flags], env: { ...faults.env, ...env } });
  const client = await site.client(broker);
  await client.ask({ op: 'create', id: 0, topic: 'orders', partitions: PARTITIONS.length, durability });
  const acked = new Map<string, unknown>();
  const made = { site, data, faults, broker, client, acked };
  await publish(made, 100);
  return { ...made, shard: await shardOf(data, 0) };
}

type Publishing = Pick<Scene, 'client' | 'acked'>;

/** One record for each partition, and its answer; acknowledged ones are noted. */
async function publish({ client, acked }: Publishing, from: number): Promise<Frame[]> {
  const publishes = PARTITIONS.map(async (partition) => {
    const value = from + partition;
    const reply = await client.ask({ op: 'publish', id: value, topic: 'orders', partition, value });
    if (reply['op'] === 'published') acked.set(`${partition}/${reply['offset']}`, value);
    return reply;
  });
  return Promise.all(publishes);
}

/** The shard of a partition, by what its log says. */
export async function shardOf(data: string, partition: number): Promise<string> {
  const lines = (await runCommand(['inspect-log', data, '--json'])).stdout.toString().trim().split('\n');
  const open = lines
    .map((line) => JSON.parse(line) as { shard: number; kind: string; text: string })
    .find(({ kind, text }) => kind === 'partition' && text.includes(`"partition":${partition},`));
  return String(open?.shard).padStart(2, '0');
}

interface End {
  readonly ms: number;
  readonly code: number | null;
  readonly report: ShutdownReport;
}

async function stop({ broker, data }: Pick<Scene, 'broker' | 'data'>): Promise<End> {
  const asked = performance.now();
  const { code } = await broker.stop();
  return { ms: performance.now() - asked, code, report: await lastReport(data) };
}

interface Found {
  readonly lost: number;
  readonly duplicates: number;
}

/** What the directory holds of what was acknowledged, once its disk is whole again. */
async function found({ site, data, faults, acked }: Scene): Promise<Found> {
  faults.clear();
  const stored = storedIn(data, 'orders');
  const at = new Map(stored.map(({ partition, offset, value }) => [`${partition}/${offset}`, value]));
  const lost = [...acked].filter(([place, value]) => at.get(place) !== value).length;
  await servedFrom(site, data, 'orders');
  return { lost, duplicates: stored.length - new Set(stored.map(({ value }) => value)).size };
}

const childOf = (report: ShutdownReport, id: string) => report.children.find((child) => child.id === id);

function rowOf(scenario: string, end: End, { lost, duplicates }: Found, note?: string): ProofRow {
  expect(end.ms, 'gone in time').toBeLessThan(BUDGET_MS + SLACK_MS);
  expect(end.report.lost, 'what the report calls lost').toBeGreaterThanOrEqual(lost);
  const { unknown } = end.report;
  const row = { scenario, runs: 1, worstMs: end.ms, budgetMs: BUDGET_MS + SLACK_MS, lost, unknown, duplicates };
  return note === undefined ? row : { ...row, note };
}

/** The row of many runs of one thing. */
function together(rows: readonly ProofRow[]): ProofRow {
  const [first] = rows as [ProofRow];
  const sum = (name: 'runs' | 'lost' | 'unknown' | 'duplicates') => rows.reduce((total, row) => total + row[name], 0);
  const worstMs = Math.max(...rows.map((row) => row.worstMs ?? 0));
  const sums = { runs: sum('runs'), lost: sum('lost'), unknown: sum('unknown'), duplicates: sum('duplicates') };
  return { ...first, ...sums, worstMs };
}

async function repeat(times: number, run: (site: Site, at: number) => Promise<ProofRow>): Promise<readonly ProofRow[]> {
  const rows: ProofRow[] = [];
  for (let at = 0; at < times; at += 1) rows.push(await Site.run((site) => run(site, at)));
  return [together(rows)];
}

/** Writes of the first `hung` partitions' shards hang, with a publish in each. */
async function hang(set: Scene, hung: number): Promise<string[]> {
  const shards = await Promise.all(PARTITIONS.slice(0, hung).map((partition) => shardOf(set.data, partition)));
  set.faults.set(...shards.map((shard) => ['write', `shards/${shard}/log`, 'hang'] as const));
  for (const partition of PARTITIONS) {
    set.client.send({ op: 'publish', id: 200 + partition, topic: 'orders', partition, value: 200 + partition });
  }
  await pause(200);
  return shards;
}

function hungWrites(hung: 1 | 4): Scenario {
  const name =
    hung === 1
      ? 'a write that hangs: its shard is abandoned in time and named, its siblings are released, publishers are told'
      : 'four writes that hang: each shard is abandoned in time and named, and every publisher is told';
  return {
    name,
    timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
    run: (size) =>
      repeat(size === 'full' ? 10 : 1, async (site) => {
        const set = await scene(site);
        const shards = await hang(set, hung);
        const end = await stop(set);
        // The process cannot end by itself with a file call that hangs: its watchdog ends it, behind its report.
        expect(set.broker.child.signalCode).toBe('SIGKILL');
        expect(end.report).toMatchObject({ outcome: 'abandoned', exitCode: 20, unknown: hung });
        for (const shard of shards) {
          const detail = expect.stringMatching(/^write, for \d+ ms$/);
          expect(childOf(end.report, `shard-${shard}`)).toMatchObject({ state: 'abandoned', detail });
        }
        const released = end.report.children.filter(({ kind, state }) => kind === 'shard' && state === 'released');
        expect(released).toHaveLength(4 - hung);
        for (const partition of PARTITIONS) {
          const answers = set.client.frames.filter(({ id }) => id === 200 + partition);
          expect(answers).toHaveLength(1);
          if (partition < hung) expect(answers[0]).toMatchObject({ op: 'error', code: 'OUTCOME_UNKNOWN' });
          else expect(answers[0]).toMatchObject({ op: 'published' });
        }
        expect((await set.client.closed).code).toBe(1012);
        return rowOf(name, end, await found(set));
      }),
  };
}

const lateWrite: Scenario = {
  name: 'a write that completes late, behind the fence, acknowledges nothing and harms nothing',
  timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
  run: (size) =>
    repeat(size === 'full' ? 10 : 1, async (site) => {
      const set = await scene(site);
      await hang(set, 1);
      const stopping = stop(set);
      await set.client.frame(({ id }) => id === 200);
      set.faults.clear();
      const end = await stopping;
      expect(end.code).toBe(20);
      expect(set.client.frames.filter(({ id }) => id === 200)).toHaveLength(1);
      return rowOf(lateWrite.name, end, await found(set));
    }),
};

interface Failure {
  readonly what: string;
  readonly rules: (shard: string) => readonly FaultRule[];
  /** Exit code that must follow; null where it may go unnoticed. */
  readonly code: number | null;
}

/** Calls of one shard that fail, and what that makes of the shutdown. */
const failures: readonly Failure[] = [
  {
    what: 'write',
    rules: (shard) => [
      ['write', `shards/${shard}/log`, 'EIO'],
      ['open', `shards/${shard}/log`, 'EIO'],
    ],
    code: 21,
  },
  { what: 'sync of the derived state', rules: (shard) => [['sync', `shards/${shard}/meta`, 'EIO']], code: 21 },
  { what: 'open of the derived state', rules: (shard) => [['open', `shards/${shard}/meta`, 'EIO']], code: null },
  { what: 'close of the log', rules: (shard) => [['close', `shards/${shard}/log`, 'EIO']], code: 21 },
];

const failingCalls: Scenario = {
  name: 'EIO on a write, a sync, an open, a close of one shard: it fails alone, at once, and the report says so',
  timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
  run: async (size) => {
    const rows: ProofRow[] = [];
    for (const { what, rules, code } of failures) {
      const repeated = await repeat(size === 'full' ? 5 : 1, async (site) => {
        const set = await scene(site);
        set.faults.set(...rules(set.shard));
        await publish(set, 200);
        const end = await stop(set);
        if (code !== null) expect(end.report, what).toMatchObject({ outcome: 'failed', exitCode: code });
        // A failure that nothing depended on may go unnoticed; one that is noticed is told.
        expect(end.code, what).toBe(end.report.exitCode);
        expect([0, 21], what).toContain(end.code);
        const others = end.report.children.filter(({ id, kind }) => kind === 'shard' && id !== `shard-${set.shard}`);
        expect(others.map(({ state }) => state)).toEqual(['released', 'released', 'released']);
        const seen = await found(set);
        expect(seen, what).toEqual({ lost: 0, duplicates: 0 });
        return rowOf(`EIO on ${what} of one shard`, end, seen, `exit code ${end.code}`);
      });
      rows.push(...repeated);
    }
    return rows;
  },
};

const NO_SPACE = [
  ['write', 'shards/', 'ENOSPC'],
  ['open', 'shards/', 'ENOSPC'],
] as const;

const fullDisk: Scenario = {
  name: 'a full disk before the flush: clean when space comes back in time, given up on time with its losses told when not',
  timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
  run: async (size) => {
    const times = size === 'full' ? 5 : 1;
    const back = await repeat(times, async (site) => {
      const set = await scene(site, { durability: 'async', flags: ['--reserve-bytes', '0', '--flush-ms', '10s'] });
      await publish(set, 200);
      set.faults.set(...NO_SPACE);
      const stopping = stop(set);
      await pause(1000);
      set.faults.clear();
      const end = await stopping;
      expect(end.report).toMatchObject({ outcome: 'clean', exitCode: 0, lost: 0, unknown: 0 });
      return rowOf('a full disk whose space comes back a second into the shutdown', end, await found(set));
    });
    const never = await repeat(times, async (site) => {
      const set = await scene(site, { durability: 'async', flags: ['--reserve-bytes', '0', '--flush-ms', '10s'] });
      await publish(set, 200);
      set.faults.set(...NO_SPACE);
      const end = await stop(set);
      expect(end.report).toMatchObject({ outcome: 'abandoned', exitCode: 20 });
      const seen = await found(set);
      expect(seen.lost).toBe(4);
      const row = rowOf('a full disk for good, with acknowledged records of async topics in memory', end, seen);
      return { ...row, note: `the report calls ${end.report.lost} lost` };
    });
    return [...back, ...never];
  },
};

/** What takes a shard's writes away while acknowledged records of an async topic wait in memory. */
const takings = ['EIO', 'hang', 'ENOSPC'] as const;

const lossesTold: Scenario = {
  name: 'what the report calls lost is never less than what is missing from the data directory',
  timeoutMs: (size) => (size === 'full' ? 600_000 : 60_000),
  run: async (size) => {
    const rounds = size === 'full' ? 5 : 1;
    const runs = await Promise.all(
      takings.map((taking) =>
        repeat(rounds, async (site, at) => {
          const set = await scene(site, { durability: 'async', flags: ['--flush-ms', '10s', '--reserve-bytes', '0'] });
          set.faults.set(
            ['write', `shards/${set.shard}/log`, taking],
            ['open', `shards/${set.shard}/log`, taking === 'hang' ? 'EIO' : taking],
          );
          const told = 20 + 10 * at;
          for (let n = 1; n <= told; n += 1) await publish(set, 1000 * n);
          const end = await stop(set);
          expect(end.report.exitCode, taking).not.toBe(0);
          const seen = await found(set);
          const note = `${taking}: the report calls ${end.report.lost} lost`;
          return rowOf(lossesTold.name, end, seen, note);
        }),
      ),
    );
    return runs.flat();
  },
};

/** Blocks the event loop for a minute when it is sent SIGWINCH. */
const BLOCK = `data:text/javascript,process.on('SIGWINCH',()=>{const until=Date.now()+60000;while(Date.now()<until);})`;

const blockedLoop: Scenario = {
  name: 'a blocked event loop during the shutdown: killed by the watchdog on time, with a report on disk',
  timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
  run: (size) =>
    repeat(size === 'full' ? 10 : 1, async (site) => {
      const set = await scene(site, { env: { NODE_OPTIONS: `--import "${BLOCK}"` } });
      // Something to wait for, so that the loop can be blocked in the middle of it.
      await hang(set, 1);
      const stopping = stop(set);
      await set.broker.line(({ msg }) => msg === 'draining');
      set.broker.signal('SIGWINCH');
      const end = await stopping;
      expect(set.broker.child.signalCode).toBe('SIGKILL');
      expect(end.report).toMatchObject({ killedByWatchdog: true, exitCode: 20, outcome: 'abandoned' });
      return rowOf(blockedLoop.name, end, await found(set));
    }),
};

const blockedWithMany: Scenario = {
  name: 'a blocked event loop with as many shards as there can be: the watchdog’s report is whole',
  timeoutMs: () => 90_000,
  run: () =>
    repeat(1, async (site) => {
      const flags = ['--shards', '256', '--reserve-bytes', '0'];
      const set = await scene(site, { flags, env: { NODE_OPTIONS: `--import "${BLOCK}"` } });
      await hang(set, 1);
      const stopping = stop(set);
      await set.broker.line(({ msg }) => msg === 'draining');
      set.broker.signal('SIGWINCH');
      const end = await stopping;
      expect(end.report).toMatchObject({ killedByWatchdog: true, exitCode: 20, outcome: 'abandoned' });
      expect(end.report.children.filter(({ kind }) => kind === 'shard')).toHaveLength(256);
      return rowOf(blockedWithMany.name, end, await found(set));
    }),
};

const blockedWithLosses: Scenario = {
  name: 'a blocked event loop with acknowledged records in memory: what the watchdog reports as lost is not too little',
  timeoutMs: (size) => (size === 'full' ? 300_000 : 60_000),
  run: (size) =>
    repeat(size === 'full' ? 5 : 1, async (site) => {
      const options = { durability: 'async', flags: ['--flush-ms', '10s'] } as const;
      const set = await scene(site, { ...options, env: { NODE_OPTIONS: `--import "${BLOCK}"` } });
      set.faults.set(['write', `shards/${set.shard}/log`, 'hang']);
      for (let n = 1; n <= 20; n += 1) await publish(set, 1000 * n);
      const stopping = stop(set);
      await set.broker.line(({ msg }) => msg === 'draining');
      set.broker.signal('SIGWINCH');
      const end = await stopping;
      expect(end.report).toMatchObject({ killedByWatchdog: true, outcome: 'abandoned' });
      const seen = await found(set);
      return rowOf(blockedWithLosses.name, end, seen, `the report calls ${end.report.lost} lost`);
    }),
};

export const disks: readonly Scenario[] = [
  hungWrites(1),
  hungWrites(4),
  lateWrite,
  failingCalls,
  fullDisk,
  lossesTold,
  blockedLoop,
  blockedWithMany,
  blockedWithLosses,
];
