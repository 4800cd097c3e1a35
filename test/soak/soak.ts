/**
 * A soak: a real broker, generators in processes of their own, connections that come and go in every way, topics that
 * are made and deleted, consumers that hang; and a look each second at what the broker holds. After the first sixth of
 * the time nothing may grow, and when all clients have gone everything has to be given back.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BrokerProcess, temporaryFolder } from '../support/broker-process.ts';
import { MetricsText } from '../support/metrics-text.ts';
import { type Growth, growthOf, type Sample } from './growth.ts';

export interface SoakOptions {
  readonly seconds: number;
  readonly connections: number;
  readonly seed: number;
  /** Called each second with what is known. */
  readonly onSecond?: (line: string) => void;
  /** Where a heap snapshot is written at the end; none when absent. */
  readonly snapshot?: string;
}

export interface SoakRow extends Growth {
  readonly measure: string;
  readonly unit: 'MiB' | '';
  readonly allowance: number;
  /** Before the first client, and when the last had gone. */
  readonly idleBefore: number;
  readonly idleAfter: number;
  /** More is left than there was, beyond the allowance. */
  readonly kept: boolean;
}

export interface SoakResult {
  readonly rows: readonly SoakRow[];
  /** What the clients did. */
  readonly did: Readonly<Record<string, number>>;
  /** Lines of the broker's log that tell of a fault, and an end that was not clean. */
  readonly faults: readonly string[];
  readonly peakSessions: number;
}

const GENERATORS = 2;
const WARM_UP = 1 / 6;
/** Part of the connections that has to be there at a time. */
const BUSY = 0.5;
/** How long the broker may take to find that the last are gone, at its settings here. */
const SETTLE_MS = 30_000;
const MIB = 2 ** 20;

type Look = Readonly<Record<string, number>>;

interface Measure {
  readonly name: string;
  readonly unit: 'MiB' | '';
  /** What it may gain without being a leak: code that is compiled, pages that an allocator keeps, a cache that fills. */
  allowance(connections: number): number;
  /** The same, of what is left when all have gone; null where that says nothing. */
  keeps(connections: number): number | null;
}

const measures: readonly Measure[] = [
  { name: 'resident', unit: 'MiB', allowance: () => 48 * MIB, keeps: () => null },
  { name: 'heap', unit: 'MiB', allowance: () => 6 * MIB, keeps: () => 12 * MIB },
  { name: 'external', unit: 'MiB', allowance: () => 8 * MIB, keeps: () => 12 * MIB },
  { name: 'descriptors', unit: '', allowance: (connections) => 10 + connections * 0.1, keeps: () => 12 },
  { name: 'handles', unit: '', allowance: (connections) => 10 + connections * 0.1, keeps: () => 4 },
  { name: 'timers', unit: '', allowance: (connections) => 10 + connections * 0.1, keeps: () => 4 },
  { name: 'sessions', unit: '', allowance: (connections) => 10 + connections * 0.1, keeps: () => 0 },
];

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const folder = await temporaryFolder();
  const generators: ChildProcess[] = [];
  let broker: BrokerProcess | null = null;
  try {
    const probe = join(folder.path, 'probe');
    writeFileSync(probe, '');
    broker = await BrokerProcess.start({
      data: join(folder.path, 'data'),
      flags: brokerFlags,
      env: {
        NODE_OPTIONS: `--import ${join(import.meta.dirname, 'probe.mjs')}`,
        SOAK_PROBE: probe,
        ...(options.snapshot === undefined ? {} : { SOAK_SNAPSHOT: options.snapshot }),
      },
    });
    const watched = broker;
    const look = (): Promise<Look> => lookAt(watched, probe);
    await pause(2500);
    const before = await look();
    for (let each = 0; each < GENERATORS; each += 1) generators.push(generator(watched.url, options, each));
    const began = performance.now();
    const looks: { readonly seconds: number; readonly look: Look }[] = [];
    while (performance.now() - began < options.seconds * 1000) {
      await pause(1000);
      const seconds = (performance.now() - began) / 1000;
      const seen = await look();
      looks.push({ seconds, look: seen });
      options.onSecond?.(lineOf(seconds, seen));
    }
    const did = await tallyOf(generators);
    await Promise.all(generators.splice(0).map(end));
    const after = await settled(look, before);
    if (options.snapshot !== undefined) {
      const wanted = `${options.snapshot}.wanted`;
      writeFileSync(wanted, '');
      while (existsSync(wanted)) await pause(100);
      // What the last look found is there once the snapshot is written.
      await look();
    }
    const faults = await endOf(watched);
    const warm = looks.filter(({ seconds }) => seconds >= options.seconds * WARM_UP);
    const peakSessions = Math.max(...looks.map(({ look: { sessions = 0 } }) => sessions));
    if (peakSessions < options.connections * BUSY) {
      faults.push(
        `no soak: of ${options.connections} connections at most ${peakSessions} were there; the machine is too slow`,
      );
    }
    const rows = measures.map((measure) => rowOf(measure, warm, before, after, options.connections));
    return { rows, did, faults, peakSessions };
  } finally {
    for (const child of generators) child.kill('SIGKILL');
    if (broker !== null && broker.child.exitCode === null && broker.child.signalCode === null)
      await broker.stop('SIGKILL');
    await folder.remove();
    rmSync(folder.path, { recursive: true, force: true });
  }
}

/** Caches that are full soon, and clients that are found dead soon. */
const brokerFlags: readonly string[] = [
  ...['--recent-bytes', '256KiB', '--ping-ms', '4s', '--ping-timeout-ms', '4s', '--slow-consumer-ms', '3s'],
  ...['--socket-buffer-bytes', '64KiB', '--durability', 'async'],
];

/** Nothing of theirs stays behind. */
async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}

function generator(url: string, { connections, seed }: SoakOptions, at: number): ChildProcess {
  const count = Math.floor(connections / GENERATORS);
  const args = [url, String(count), `g${at}`, String(seed + at)];
  return fork(join(import.meta.dirname, 'generator.ts'), args, { execArgv: ['--import', import.meta.resolve('tsx')] });
}

async function tallyOf(generators: readonly ChildProcess[]): Promise<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (const child of generators) {
    const answer = once(child, 'message');
    child.send('tally');
    const [tally] = (await answer) as [Record<string, number>];
    for (const [name, count] of Object.entries(tally)) sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}

async function lookAt(broker: BrokerProcess, probe: string): Promise<Look> {
  const pid = broker.child.pid ?? 0;
  const held = JSON.parse(readFileSync(probe, 'utf8').trim().split('\n').at(-1) ?? '{}') as Record<string, number>;
  const metrics = MetricsText.parse(await (await fetch(`${broker.adminUrl}/metrics`)).text());
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    resident: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024,
    heap: held['heapUsed'] ?? 0,
    external: held['external'] ?? 0,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    handles: held['handles'] ?? 0,
    timers: held['timers'] ?? 0,
    sessions: metrics.value('sluice_sessions') ?? 0,
  };
}

/** Looks until everything is as it was, or for as long as it may take. */
async function settled(look: () => Promise<Look>, before: Look): Promise<Look> {
  const until = performance.now() + SETTLE_MS;
  for (;;) {
    await pause(2500);
    const now = await look();
    const back = measures.every(({ name, keeps }) => isBack(now[name] ?? 0, before[name] ?? 0, keeps(0)));
    if (back || performance.now() > until) return now;
  }
}

function isBack(now: number, before: number, keeps: number | null): boolean {
  return keeps === null || now <= before + keeps;
}

function rowOf(
  { name, unit, allowance, keeps }: Measure,
  looks: readonly { readonly seconds: number; readonly look: Look }[],
  before: Look,
  after: Look,
  connections: number,
): SoakRow {
  const samples: Sample[] = looks.map(({ seconds, look }) => ({ seconds, value: look[name] ?? 0 }));
  const allowed = allowance(connections);
  const [idleBefore, idleAfter] = [before[name] ?? 0, after[name] ?? 0];
  const kept = !isBack(idleAfter, idleBefore, keeps(connections));
  return { measure: name, unit, allowance: allowed, idleBefore, idleAfter, kept, ...growthOf(samples, allowed) };
}

async function endOf(broker: BrokerProcess): Promise<string[]> {
  const { code, signal } = await broker.stop('SIGTERM');
  const faults = broker.lines
    .filter(({ level }) => level === 'error' || level === 'fatal')
    .map((line) => JSON.stringify(line).slice(0, 300));
  if (code !== 0) faults.push(`the broker ended with ${code ?? signal}: ${broker.stderr.slice(-500)}`);
  return faults;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function lineOf(seconds: number, look: Look): string {
  const cells = measures.map(({ name, unit }) => `${name} ${textOf(look[name] ?? 0, unit)}`);
  return `${seconds.toFixed(0).padStart(5)} s  ${cells.join('  ')}`;
}

export function textOf(value: number, unit: SoakRow['unit']): string {
  return unit === 'MiB' ? `${(value / MIB).toFixed(1)} MiB` : value.toFixed(0);
}
