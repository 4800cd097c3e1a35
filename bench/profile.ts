/**
 * Where the time goes: `npx tsx bench/profile.ts WORKLOAD [FOLDER]` runs a workload's generator against a broker, both
 * under `--cpu-prof`, and prints the parts and the functions of each that took the time while it was measured. The
 * profiles stay in FOLDER, to be opened as flame graphs in the developer tools of a browser.
 */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { type Child, Children } from './child.ts';
import type { Target } from './clients/client.ts';
import type { Job } from './jobs/main.ts';

const root = resolve(import.meta.dirname, '..');
const window = { warmUpMs: 2000, measureMs: 8000 };
const SHOWN = 30;
const TOPIC = 'bench';
const REPLAY_BYTES = 2_000_000_000;

const jobs: Readonly<Record<string, (target: Target) => Job>> = {
  publish: (target) => ({ job: 'closed-loop', target, connections: 1, inFlight: 1024, bytes: 1024, ...window }),
  'publish-100': (target) => ({ job: 'closed-loop', target, connections: 100, inFlight: 16, bytes: 1024, ...window }),
  batches: (target) => ({
    job: 'batches',
    target,
    by: 'frames',
    producers: 8,
    records: 1000,
    bytes: 1000,
    ...window,
  }),
  // From a log that is filled beforehand, by a broker that is not profiled.
  replay: (target) => ({ job: 'replay', target, topic: TOPIC, bytes: REPLAY_BYTES }),
  // The broker makes the topics as they are published to for the first time, during the warm-up.
  topics: (target) => ({ job: 'spread', target, topics: 20_000, inFlight: 1024, bytes: 1024, ...window }),
  'topics-one': (target) => ({ job: 'spread', target, topics: 1, inFlight: 1024, bytes: 1024, ...window }),
  'fan-out': (target) => ({ job: 'fan-out', target, subscribers: 1000, window: 256, bytes: 128, ...window }),
};

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Microseconds, as are those below. */
  readonly timeDeltas: readonly number[];
  readonly startTime: number;
  readonly endTime: number;
}

/** The profile of a process's main thread: those of others, such as the watchdog's, are smaller. */
function readProfile(folder: string): Profile {
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const largest = texts.sort((a, b) => b.length - a.length)[0];
  if (largest === undefined) throw new Error(`there is no profile in ${folder}`);
  return JSON.parse(largest) as Profile;
}

/** Milliseconds by key in the last part of a profile; the start is not what is asked about, and idle time is left out. */
function selfTimes(profile: Profile, lastMs: number, keyOf: (node: ProfileNode) => string): Map<string, number> {
  const from = profile.endTime - lastMs * 1000;
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const times = new Map<string, number>();
  let at = profile.startTime;
  profile.samples.forEach((id, index) => {
    at += profile.timeDeltas[index] ?? 0;
    if (at < from) return;
    const node = nodes.get(id);
    if (node === undefined || node.callFrame.functionName === '(idle)') return;
    const key = keyOf(node);
    times.set(key, (times.get(key) ?? 0) + (profile.timeDeltas[index] ?? 0) / 1000);
  });
  return times;
}

function placeOf({ callFrame: { url } }: ProfileNode): string {
  if (!url.startsWith('file://')) return url;
  // What the bench compiled for its children is the client's own source.
  return relative(root, new URL(url).pathname).replace(/^node_modules\/\.cache\/sluice-bench-\w+\//, '');
}

function functionOf(node: ProfileNode): string {
  const { functionName, lineNumber } = node.callFrame;
  return `${functionName || '(anonymous)'}  ${placeOf(node)}${placeOf(node) === '' ? '' : `:${lineNumber + 1}`}`;
}

/** A function's package, or its folder of ours. */
function partOf(node: ProfileNode): string {
  const place = placeOf(node);
  if (place === '') return node.callFrame.functionName;
  if (place.startsWith('node:')) return 'node';
  const [first = '', second = ''] = place.split('/');
  return first === 'node_modules' ? second : `${first}/${second}`;
}

function print(title: string, lastMs: number, times: ReadonlyMap<string, number>): void {
  const total = [...times.values()].reduce((sum, ms) => sum + ms, 0);
  console.log(`\n${title} (${Math.round(total)} of ${Math.round(lastMs)} ms)`);
  for (const [key, ms] of [...times].sort(([, a], [, b]) => b - a).slice(0, SHOWN)) {
    console.log(`${((100 * ms) / total).toFixed(1).padStart(6)} %  ${key}`);
  }
}

/** Each thread of a process leaves a profile, so each process gets a folder. */
function flags(folder: string, process: string): string[] {
  return ['--cpu-prof', '--cpu-prof-interval', '500', '--cpu-prof-dir', join(folder, process)];
}

async function start(
  children: Children,
  data: string,
  execArgv: readonly string[],
): Promise<{ readonly broker: Child; readonly target: Target }> {
  const serve = [join(root, 'dist/cli/sluice.cjs'), 'serve', '--data', data, '--port', '0', '--admin-port', '0'];
  const broker = children.spawn(process.execPath, [...execArgv, ...serve]);
  const port = await broker.until((output) =>
    /"msg":"running"/.test(output) ? /"port":(\d+)[^\n]*"msg":"listening"/.exec(output)?.[1] : undefined,
  );
  return { broker, target: { client: 'sluice', url: `ws://127.0.0.1:${port}/v1` } };
}

async function main(name: string, folder: string): Promise<void> {
  const job = jobs[name];
  if (job === undefined) throw new Error(`usage: npx tsx bench/profile.ts ${Object.keys(jobs).join('|')} [FOLDER]`);
  const children = new Children();
  const data = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  try {
    if (name === 'replay') {
      const filling = await start(children, data, []);
      await children.run({ job: 'fill', target: filling.target, topic: TOPIC, partitions: 1, bytes: REPLAY_BYTES });
      await filling.broker.kill('SIGTERM');
    }
    const { broker, target } = await start(children, data, flags(folder, 'broker'));
    const generator = children.begin(job(target), flags(folder, 'generator'));
    const begun = performance.now();
    const [answer] = await once(generator, 'message');
    const lastMs = name === 'replay' ? performance.now() - begun : window.measureMs;
    console.log(name, JSON.stringify(answer));
    generator.disconnect();
    await once(generator, 'exit');
    await broker.kill('SIGTERM');
    for (const process of ['broker', 'generator']) {
      const profile = readProfile(join(folder, process));
      print(`${process}, by part`, lastMs, selfTimes(profile, lastMs, partOf));
      print(`${process}, by function`, lastMs, selfTimes(profile, lastMs, functionOf));
    }
    console.log(`\nprofiles: ${folder}`);
  } finally {
    children.close();
    rmSync(data, { recursive: true, force: true });
  }
}

const [name = '', folder = mkdtempSync(join(tmpdir(), 'sluice-profile-'))] = process.argv.slice(2);
main(name, folder).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
