/** Much that is acknowledged and not on disk yet when the signal comes: how long it takes, what is foretold, what memory. */
import { once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import WebSocket from 'ws';
import { encodeBatch } from '../../../src/domain/record-batch.ts';
import { binaryFrame } from '../../support/binary-frame.ts';
import type { BrokerProcess } from '../../support/broker-process.ts';
import { lastReport, pause } from '../../support/broker-rig.ts';
import type { DiskFaults } from '../../support/disk-faults.ts';
import { BUDGET_MS, GRACE, SLACK_MS } from '../grace.ts';
import { MemoryWatch } from '../memory-watch.ts';
import type { ProofSize, Scenario } from '../proof.ts';
import { Site } from '../site.ts';
import { directoryAt } from '../stored.ts';

const CLEAN = { code: 0, signal: null };
const MIB = 2 ** 20;
const RECORD_BYTES = 512 * 1024;
/** Room for all that is pending: nothing pauses on the way. */
const ROOMY = [
  '--shard-queue-bytes',
  '1GiB',
  '--in-flight-bytes',
  '1GiB',
  '--in-flight-bytes-total',
  '8GiB',
  '--reserve-bytes',
  '0',
];

const sizes: Readonly<Record<ProofSize, number>> = { small: 64 * MIB, full: 1024 * MIB };

/** Publishes `bytes` in records of half a MiB, over the partitions in turn; resolves when all are acknowledged. */
async function fill(
  broker: BrokerProcess,
  topic: string,
  partitions: readonly number[],
  bytes: number,
): Promise<number> {
  const socket = new WebSocket(broker.url);
  await once(socket, 'open');
  const value = Buffer.alloc(RECORD_BYTES, 'x');
  const batch = Buffer.from(encodeBatch([{ key: null, headers: null, value, encoding: 'utf8' }]));
  const count = Math.round(bytes / RECORD_BYTES);
  let acked = 0;
  const all = new Promise<void>((done, failed) => {
    socket.on('close', () => failed(new Error(`closed with ${acked} of ${count} acknowledged`)));
    socket.on('message', (data: Buffer, isBinary) => {
      // The welcome and the end are told as text.
      if (!isBinary) return;
      const { op, acks = [], ...rest } = JSON.parse(data.subarray(4, 4 + data.readUInt32BE(0)).toString()) as Reply;
      if (op === 'error') failed(new Error(JSON.stringify(rest)));
      if (op === 'published') acked += acks.length;
      if (acked === count) done();
    });
  });
  for (let id = 0; id < count; id += 1) {
    const header = { op: 'publish', id, topic, partition: partitions[id % partitions.length] };
    socket.send(binaryFrame(JSON.stringify(header), batch));
    // A bounded number on the way, so that this side holds no copy of it all.
    while (id - acked > 200) await pause(1);
  }
  await all;
  socket.removeAllListeners('close');
  socket.terminate();
  return count;
}

interface Reply {
  readonly op: string;
  readonly acks?: readonly (readonly number[])[];
}

/** What a disk appends and syncs in a second, MiB by MiB as the broker does, bytes. */
function syncedBytesPerSecond(folder: string, bytes: number): number {
  const { O_CREAT, O_WRONLY, O_APPEND, O_DSYNC } = constants;
  const fd = openSync(join(folder, 'rate'), O_CREAT | O_WRONLY | O_APPEND | O_DSYNC);
  const chunk = Buffer.alloc(MIB, 'x');
  const began = performance.now();
  for (let written = 0; written < bytes; written += MIB) writeSync(fd, chunk);
  closeSync(fd);
  return (1000 * bytes) / (performance.now() - began);
}

interface Held {
  readonly site: Site;
  readonly data: string;
  readonly faults: DiskFaults;
  readonly broker: BrokerProcess;
}

async function asyncTopic(site: Site, flags: readonly string[]): Promise<Held> {
  const data = await site.folder();
  const faults = site.faults();
  const broker = await site.start({ data, flags, env: faults.env });
  const wire = await site.wire(broker);
  await wire.ask({ op: 'create', topic: 'big', partitions: 4, durability: 'async' });
  // One in each partition first, which opens it: that is written at once.
  for (const partition of [0, 1, 2, 3]) await wire.ask({ op: 'publish', topic: 'big', partition, value: 1 });
  await pause(100);
  return { site, data, faults, broker };
}

function storedCount(data: string): number {
  let stored = 0;
  for (const { records } of directoryAt(data).topics.get('big')?.partitions.values() ?? []) stored += records.length;
  return stored;
}

const flushRate: Scenario = {
  name: 'what is pending is flushed at two thirds of the disk’s own synced append rate, or faster',
  timeoutMs: () => 240_000,
  run: async (size) => {
    const runs = size === 'full' ? 3 : 1;
    const rows = [];
    for (let run = 0; run < runs; run += 1) {
      rows.push(
        await Site.run(async (site) => {
          const bytes = sizes[size];
          const { data, faults, broker } = await asyncTopic(site, ['--grace-period-ms', '120s', ...ROOMY]);
          const before = syncedBytesPerSecond(await site.folder(), bytes);
          faults.set(['write', '/log/', 'hang']);
          const count = await fill(broker, 'big', [0, 1, 2, 3], bytes);
          broker.signal('SIGTERM');
          await broker.line(({ msg }) => msg === 'draining');
          const memory = new MemoryWatch(broker.child.pid);
          const began = performance.now();
          faults.clear();
          expect(await broker.exited, broker.output.slice(-2000)).toEqual(CLEAN);
          const ms = performance.now() - began;
          const after = syncedBytesPerSecond(await site.folder(), bytes);
          const report = await lastReport(data);
          expect(report).toMatchObject({ outcome: 'clean', lost: 0, unknown: 0 });
          const lost = count + 4 - storedCount(data);
          expect(lost).toBe(0);
          // The slower of before and behind: the rest of the machine may have been at the disk as well.
          const rate = Math.min(before, after);
          const budgetMs = 1.5 * ((1000 * bytes) / rate) + 250;
          if (size === 'full') expect(ms).toBeLessThan(budgetMs);
          const note =
            `${bytes / MIB} MiB; the disk appends ${Math.round(before / MIB)} and ${Math.round(after / MIB)} MiB/s ` +
            `before and behind; at most ${memory.end()} MiB of memory`;
          return { scenario: flushRate.name, runs: 1, worstMs: ms, budgetMs, lost, unknown: 0, duplicates: 0, note };
        }),
      );
    }
    return rows;
  },
};

interface ShutdownView {
  readonly phase: string;
  readonly pendingBytes: number;
  readonly etaMs: number | null;
}

async function untilFlushed(broker: BrokerProcess): Promise<void> {
  const look = async () => (await (await fetch(`${broker.adminUrl}/shutdown`)).json()) as ShutdownView;
  while ((await look()).pendingBytes > 0) await pause(50);
}

/** What is foretold `afterMs` behind the signal, against what it then took. */
async function foretold(site: Site, partitions: readonly number[], size: ProofSize) {
  const bytes = sizes[size];
  const perShard = (bytes / partitions.length / (size === 'full' ? 12 : 6)) | 0;
  const { data, faults, broker } = await asyncTopic(site, ['--grace-period-ms', '120s', ...ROOMY]);
  faults.set(['write', '/log/', `throttle:${perShard}`]);
  // Every shard has a rate first: what is idle now must not count for what is not.
  const warm = await fill(broker, 'big', [0, 1, 2, 3], 16 * MIB);
  await untilFlushed(broker);
  const count = warm + (await fill(broker, 'big', partitions, bytes));
  const asked = performance.now();
  broker.signal('SIGTERM');
  await pause(2000);
  const view = (await (await fetch(`${broker.adminUrl}/shutdown`)).json()) as ShutdownView;
  const at = performance.now();
  // The bytes are on disk when the last shard says so; what is behind that is no flush.
  let flushedAt = 0;
  void broker
    .line(({ msg }) => msg === 'releasing')
    .then(() => {
      flushedAt = performance.now();
    });
  expect(await broker.exited, broker.output.slice(-2000)).toEqual(CLEAN);
  const ms = performance.now() - asked;
  const report = await lastReport(data);
  expect(report).toMatchObject({ outcome: 'clean', lost: 0, unknown: 0 });
  const lost = count + 4 - storedCount(data);
  expect(lost).toBe(0);
  return { ms, lost, pendingMib: Math.round(view.pendingBytes / MIB), etaMs: view.etaMs, leftMs: flushedAt - at };
}

function eta(name: string, partitions: readonly number[]): Scenario {
  return {
    name,
    timeoutMs: () => 240_000,
    run: async (size) => {
      const { ms, lost, pendingMib, etaMs, leftMs } = await Site.run((site) => foretold(site, partitions, size));
      const off = Math.abs((etaMs ?? Number.POSITIVE_INFINITY) - leftMs) / leftMs;
      const note =
        `two seconds behind the signal ${pendingMib} MiB are pending, foretold ${etaMs} ms, taken ` +
        `${Math.round(leftMs)} ms: ${Math.round(100 * off)} % off`;
      expect(off, note).toBeLessThan(0.3);
      return [{ scenario: name, runs: 1, worstMs: ms, budgetMs: 108_000, lost, unknown: 0, duplicates: 0, note }];
    },
  };
}

const allShards = eta(
  'much pending on a slow disk: the time to go that is foretold is right within 30 %',
  [0, 1, 2, 3],
);
const oneShard = eta('much pending in one shard alone: the time to go that is foretold is right within 30 %', [0]);

/** Most that a broker holds beyond what it holds idle, with the marks as they are by default. */
const HELD_MIB = 700;

const outrun: Scenario = {
  name: 'publishers that outrun a stuck disk are paused: memory stays bounded, and so does the shutdown',
  timeoutMs: () => 120_000,
  run: (size) =>
    Site.run(async (site) => {
      const { faults, broker, data } = await asyncTopic(site, GRACE);
      faults.set(['write', '/log/', 'hang']);
      const memory = new MemoryWatch(broker.child.pid);
      const pushed = await push(broker, site, size === 'full' ? 2048 * MIB : 512 * MIB);
      const asked = performance.now();
      await broker.stop();
      const ms = performance.now() - asked;
      const report = await lastReport(data);
      const peakMib = memory.end();
      expect(ms).toBeLessThan(BUDGET_MS + SLACK_MS);
      expect(report).toMatchObject({ outcome: 'abandoned', exitCode: 20 });
      expect(peakMib).toBeLessThan(HELD_MIB);
      const { lost, unknown } = report;
      const note =
        `${Math.round(pushed / MIB)} MiB were pushed at it until it took no more; at most ${peakMib} MiB; lost and ` +
        'unknown by its own report: nothing can be written';
      return [
        {
          scenario: outrun.name,
          runs: 1,
          worstMs: ms,
          budgetMs: BUDGET_MS + SLACK_MS,
          lost,
          unknown,
          duplicates: 0,
          note,
        },
      ];
    }),
};

/** Eight connections push until none takes any more for a second; the bytes that left. */
async function push(broker: BrokerProcess, site: Site, most: number): Promise<number> {
  const value = Buffer.alloc(RECORD_BYTES, 'x');
  const batch = Buffer.from(encodeBatch([{ key: null, headers: null, value, encoding: 'utf8' }]));
  const sockets = Array.from({ length: 8 }, () => new WebSocket(broker.url));
  for (const socket of sockets) {
    socket.on('error', () => {});
    site.cleanup(() => socket.terminate());
  }
  await Promise.all(sockets.map((socket) => once(socket, 'open')));
  let pushed = 0;
  let lastAt = performance.now();
  for (let id = 0; pushed < most && performance.now() - lastAt < 1000; id += 1) {
    const socket = sockets[id % sockets.length] as WebSocket;
    if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 2 * RECORD_BYTES) {
      socket.send(binaryFrame(JSON.stringify({ op: 'publish', id, topic: 'big', partition: id % 4 }), batch));
      pushed += RECORD_BYTES;
      lastAt = performance.now();
    }
    if (id % sockets.length === 0) await pause(1);
  }
  return pushed;
}

export const pending: readonly Scenario[] = [flushRate, allShards, oneShard, outrun];
