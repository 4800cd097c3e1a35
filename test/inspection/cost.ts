/**
 * What inspection costs: the rate of publishes without a viewer beside that of a build without the feature, and with one
 * viewer beside that without. All brokers run throughout and are loaded in turn, a slice of a fifth of a second each, so
 * that what else the machine does falls on all alike. Where the kernel tells it (Linux), also the processor time of a record,
 * which says more on a machine that does other things too.
 *
 *   npx tsx test/inspection/cost.ts [--rounds 100] [--without path/to/other/dist]
 *
 * `--without`: the `dist` of a build that has no inspection. Prints the ratio of the means of the middle half of the
 * slices, and the range that 95 of 100 repetitions would fall into.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { temporaryFolder } from '../support/broker-process.ts';
import { Wire } from '../support/wire.ts';
import { InspectClient } from './inspect-client.ts';

const CONNECTIONS = 4;
/** Unanswered publishes of one connection. */
const WINDOW = 256;
const SLICE_MS = 200;
/** Of each slice, not counted: the broker comes up to speed. */
const RISE_MS = 50;
/** How long brokers without load are looked at. */
const REST_MS = 10_000;
/** Draws from the slices for the range of a ratio. */
const DRAWS = 2000;

type Way = 'without' | 'idle' | 'viewer';

interface Slice {
  /** Acknowledged publishes a second. */
  readonly rate: number;
  /** Processor time of the broker for one, µs; NaN where it can't be told. */
  readonly cpuUs: number;
}

interface Loaded {
  readonly child: ChildProcess;
  slice(): Promise<Slice>;
  /** Processor time so far, µs. */
  cpuUs(): number;
  end(): Promise<void>;
}

const { values } = parseArgs({ options: { rounds: { type: 'string' }, without: { type: 'string' } } });
const rounds = Number(values.rounds ?? 100);
const own = resolve(import.meta.dirname, '../../dist');

async function start(way: Way): Promise<Loaded> {
  const folder = await temporaryFolder();
  const dist = way === 'without' ? (values.without ?? own) : own;
  const flags = ['--data', folder.path, '--port', '0', '--admin-port', '0', '--durability', 'async'];
  const child = spawn(process.execPath, [resolve(dist, 'cli/sluice.cjs'), 'serve', ...flags, '--reserve-bytes', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  let port = 0;
  let adminPort = 0;
  await new Promise<void>((running, failed) => {
    child.once('exit', () => failed(new Error(`the broker "${way}" ended`)));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as { readonly msg: string; readonly port?: number };
      if (line.msg === 'listening') port = line.port ?? 0;
      if (line.msg === 'admin listening') adminPort = line.port ?? 0;
      if (line.msg === 'running') running();
    });
  });
  const viewer = way === 'viewer' ? await InspectClient.connect(adminPort) : null;
  // Pictures are drawn once, for the first viewer: not what is measured here.
  await viewer?.until(
    (seen) => seen.of('machine').some(({ id, picture }) => id === 'session' && picture !== ''),
    30_000,
  );
  const pumps = await Promise.all(Array.from({ length: CONNECTIONS }, () => Pump.open(`ws://127.0.0.1:${port}/v1`)));
  const answered = (): number => pumps.reduce((sum, pump) => sum + pump.answered, 0);
  return {
    child,
    slice: async () => {
      for (const pump of pumps) pump.run();
      await pause(RISE_MS);
      const before = { answered: answered(), cpuUs: cpuUsOf(child.pid ?? 0) };
      const began = performance.now();
      await pause(SLICE_MS - RISE_MS);
      const records = answered() - before.answered;
      const rate = (records * 1000) / (performance.now() - began);
      const cpuUs = (cpuUsOf(child.pid ?? 0) - before.cpuUs) / records;
      for (const pump of pumps) pump.rest();
      while (pumps.some(({ waiting }) => waiting > 0)) await pause(5);
      return { rate, cpuUs };
    },
    cpuUs: () => cpuUsOf(child.pid ?? 0),
    end: async () => {
      await viewer?.close();
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
      await once(child, 'exit');
      await folder.remove();
    },
  };
}

/** Processor time of all threads of a process. NaN where the kernel does not tell. */
function cpuUsOf(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((thread) => {
      return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    });
    return nanoseconds.reduce((sum, time) => sum + time, 0) / 1000;
  } catch {
    // No /proc, or none of this kind.
    return Number.NaN;
  }
}

/** Publishes on one connection while it runs, so many at a time. */
class Pump {
  answered = 0;
  waiting = 0;
  readonly #wire: Wire;
  #running = false;
  #sent = 0;

  private constructor(wire: Wire) {
    this.#wire = wire;
    wire.onReply(({ op }) => {
      if (op === 'error') throw new Error('a publish was refused');
      if (op !== 'published') return;
      this.answered += 1;
      this.waiting -= 1;
      this.#fill();
    });
  }

  static async open(url: string): Promise<Pump> {
    return new Pump(await Wire.open(url));
  }

  run(): void {
    this.#running = true;
    this.#fill();
  }

  rest(): void {
    this.#running = false;
  }

  #fill(): void {
    while (this.#running && this.waiting < WINDOW) {
      this.#sent += 1;
      this.waiting += 1;
      this.#wire.send({
        op: 'publish',
        id: this.#sent,
        topic: 'cost',
        key: `key-${this.#sent % 16}`,
        value: 'x'.repeat(100),
      });
    }
  }
}

/** The mean of the middle half: a slice in which the machine did something else says nothing. */
function middleMean(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.slice(Math.floor(sorted.length / 4), Math.ceil((sorted.length * 3) / 4));
  return middle.reduce((sum, number) => sum + number, 0) / middle.length;
}

/** The ratio of two means, and where it would lie had other rounds been drawn. */
function ratioOf(over: readonly number[], under: readonly number[]): readonly [number, number, number] {
  const drawn = Array.from({ length: DRAWS }, () => {
    const rounds = over.map(() => Math.floor(Math.random() * over.length));
    const pick = (numbers: readonly number[]): number[] => rounds.map((round) => numbers[round] ?? 0);
    return middleMean(pick(over)) / middleMean(pick(under));
  }).sort((a, b) => a - b);
  const at = (share: number): number => drawn[Math.floor(DRAWS * share)] ?? Number.NaN;
  return [middleMean(over) / middleMean(under), at(0.025), at(0.975)];
}

function tell(what: string, over: readonly number[], under: readonly number[], wanted: string): void {
  const [ratio, from, to] = ratioOf(over, under).map((number) => number.toFixed(3));
  console.log(`${what}  ${ratio}  (${from} to ${to}; wanted ${wanted})`);
}

const ways: readonly Way[] = values.without === undefined ? ['idle', 'viewer'] : ['without', 'idle', 'viewer'];
const brokers = new Map<Way, Loaded>();
for (const way of shuffled(ways)) brokers.set(way, await start(way));
function shuffled<T>(items: readonly T[]): T[] {
  const drawn = items.map((item) => ({ item, at: Math.random() }));
  return drawn.sort((a, b) => a.at - b.at).map(({ item }) => item);
}

type Figures = Readonly<Record<Way, Slice[]>>;
const seen: Figures = { without: [], idle: [], viewer: [] };
// The first rounds make the code hot, and count for nothing.
for (let round = -5; round < rounds; round += 1) {
  for (const way of shuffled(ways)) {
    const slice = await brokers.get(way)?.slice();
    if (round >= 0 && slice !== undefined) seen[way].push(slice);
  }
}
// At rest, all at once: what is left of the difference is what looking costs whatever the load.
const rested = new Map([...brokers].map(([way, broker]) => [way, broker.cpuUs()]));
await pause(REST_MS);
const restMs = new Map([...brokers].map(([way, broker]) => [way, (broker.cpuUs() - (rested.get(way) ?? 0)) / REST_MS]));
for (const broker of brokers.values()) await broker.end();

const ratesOf = (way: Way): number[] => seen[way].map(({ rate }) => rate);
const timesOf = (way: Way): number[] => seen[way].map(({ cpuUs }) => cpuUs);
for (const way of ways) {
  const [rate, cpuUs] = [middleMean(ratesOf(way)).toFixed(0), middleMean(timesOf(way)).toFixed(2)];
  console.log(
    `${way.padEnd(8)}${rate} records/s, ${cpuUs} µs of processor time each; at rest ${restMs.get(way)?.toFixed(1)} ms of it a second`,
  );
}
if (values.without !== undefined) {
  tell('rate, no viewer beside no inspection', ratesOf('idle'), ratesOf('without'), '≥ 0.99');
  tell('processor time of a record, likewise', timesOf('idle'), timesOf('without'), '≤ 1.01');
}
tell('rate, one viewer beside none        ', ratesOf('viewer'), ratesOf('idle'), '≥ 0.9');
tell('processor time of a record, likewise', timesOf('viewer'), timesOf('idle'), '≤ 1.11');
