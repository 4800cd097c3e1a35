/**
 * `npm run sim`: runs seeds of the simulator, or one, or a plan.
 *
 *   --seeds N [--from S] [--jobs 2]   seeds S to S + N − 1, shared out among processes
 *   --seed S · --plan FILE            one, with all that it broke and the shortest history that shows it
 *   --record FILE                     of one: writes a recording of it, for `sluice replay FILE`
 *   --shrink no                       a failing plan is not made smaller
 *   --bug NAME                        with a planted bug (`bugs/index.ts`); ends at the first seed that finds it
 *   --out FOLDER                      where plans that fail are written; `sim-plans` by default
 *
 * Exits with 0 only when no invariant broke and every seed that ran twice repeated itself; with 1 otherwise, 2 for a
 * wrong argument.
 */
import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Bug, bugArguments, bugNamed } from './bugs/index.ts';
import type { Plan } from './plan.ts';
import { makePlan } from './plan-maker.ts';
import { Recording } from './recording.ts';
import { addCounts, isFailure, noCounts, type RunCounts, type SeedResult } from './seeds.ts';
import { shrink } from './shrink.ts';
import { run } from './simulate.ts';

const options = {
  seeds: { type: 'string' },
  from: { type: 'string', default: '1' },
  jobs: { type: 'string', default: '2' },
  seed: { type: 'string' },
  plan: { type: 'string' },
  record: { type: 'string' },
  shrink: { type: 'string', default: 'yes' },
  bug: { type: 'string' },
  out: { type: 'string', default: 'sim-plans' },
  quiet: { type: 'boolean', default: false },
} as const;

const EXCERPT_LINES = 12;
const FAILURES_SHOWN = 5;

async function main(): Promise<number> {
  const { values } = parseArgs({ options });
  const bug = values.bug === undefined ? null : bugNamed(values.bug);
  if (bug !== null && process.env['SLUICE_BUG'] === undefined && values.seeds === undefined) return again(bug);
  if (values.plan !== undefined) {
    const plan = JSON.parse(readFileSync(values.plan, 'utf8')) as Plan;
    return one(plan, values.plan, { ...values, shrink: 'no' });
  }
  if (values.seed !== undefined) return one(makePlan(whole('seed', values.seed)), values.seed, values);
  return many({
    from: whole('from', values.from),
    count: whole('seeds', values.seeds ?? '100'),
    jobs: Math.max(1, whole('jobs', values.jobs)),
    bug,
    shrinks: values.shrink !== 'no',
    out: values.out,
    quiet: values.quiet,
  });
}

function whole(name: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0) return number;
  throw new RangeError(`--${name} takes a whole number; got ${text}`);
}

/** The same command in a process in which the bug is planted. */
function again(bug: Bug): Promise<number> {
  const { execArgv, env } = bugArguments(bug);
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
    execArgv,
    env: { ...process.env, ...env },
  });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

interface OneOptions {
  readonly record?: string | undefined;
  readonly shrink: string;
  readonly out: string;
}

async function one(plan: Plan, name: string, { record, shrink: shrinks, out }: OneOptions): Promise<number> {
  const recording = record === undefined ? null : new Recording(name);
  const result = await run(plan, recording === null ? {} : { recording });
  if (record !== undefined) await recording?.write(record, { plan, ...result });
  const repeated = (await run(plan)).hash === result.hash;
  for (const { invariant, text, excerpt } of result.violations.slice(0, FAILURES_SHOWN)) {
    print(`${invariant}  ${text}`);
    for (const event of excerpt.slice(0, EXCERPT_LINES)) print(`      ${JSON.stringify(event)}`);
  }
  const { violations, hash, simulatedMs, events } = result;
  print(`${name} ${hash} ${violations.length} violations, ${Math.round(simulatedMs)} ms simulated, ${events} timers`);
  if (!repeated) print('its second run had another hash');
  const [first] = violations;
  if (first !== undefined && shrinks !== 'no') {
    const smaller = await shrink(plan, first.invariant);
    print(
      `${first.invariant} with ${smaller.plan.steps.length} steps, after ${smaller.runs} runs: ${save(out, name, smaller.plan)}`,
    );
  }
  return violations.length === 0 && repeated ? 0 : 1;
}

function save(folder: string, name: string, plan: Plan): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `plan-${name}.json`);
  writeFileSync(file, `${JSON.stringify(plan, null, 1)}\n`);
  return file;
}

interface ManyOptions {
  readonly from: number;
  readonly count: number;
  readonly jobs: number;
  readonly bug: Bug | null;
  readonly shrinks: boolean;
  readonly out: string;
  readonly quiet: boolean;
}

async function many(asked: ManyOptions): Promise<number> {
  const began = performance.now();
  const results = await share(asked);
  const failures = results.filter(isFailure);
  summarize(results, performance.now() - began);
  if (asked.bug !== null) {
    const [found] = failures;
    print(found === undefined ? `${asked.bug.name}: not found` : `${asked.bug.name}: found by seed ${found.seed}`);
    return failures.length === 0 ? 0 : 1;
  }
  for (const { seed, violations } of failures.slice(0, FAILURES_SHOWN)) {
    const [first] = violations;
    if (first === undefined || !asked.shrinks) continue;
    const smaller = await shrink(makePlan(seed), first.invariant);
    print(
      `seed ${seed}: ${first.invariant} with ${smaller.plan.steps.length} steps: ${save(asked.out, String(seed), smaller.plan)}`,
    );
  }
  return failures.length === 0 ? 0 : 1;
}

/** Seeds are handed out in small lots, so that all processes end together. */
const LOT = 25;

function share({ from, count, jobs, bug, quiet }: ManyOptions): Promise<SeedResult[]> {
  const { execArgv, env } = bugArguments(bug);
  const results: SeedResult[] = [];
  let next = from;
  let over = false;
  const worker = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const child = fork(new URL('./worker.ts', import.meta.url), { execArgv, env: { ...process.env, ...env } });
      let left = 0;
      const more = (): void => {
        if (over || next >= from + count) {
          child.disconnect();
          return;
        }
        const until = Math.min(next + LOT, from + count);
        left = until - next;
        child.send({ from: next, count: left });
        next = until;
      };
      child.on('message', (result: SeedResult) => {
        results.push(result);
        left -= 1;
        if (!quiet || isFailure(result)) print(lineOf(result));
        if (bug !== null && isFailure(result)) over = true;
        if (left === 0) more();
      });
      child.once('spawn', more);
      child.once('error', reject);
      child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))));
    });
  return Promise.all(Array.from({ length: jobs }, worker)).then(() => results.sort((a, b) => a.seed - b.seed));
}

function lineOf({ seed, hash, violations, unrepeatable, twice }: SeedResult): string {
  const broke = [...new Set(violations.map(({ invariant }) => invariant))].join(' ');
  const [first] = violations;
  const what = first === undefined ? '' : `  ${broke}: ${first.text.slice(0, 160)}`;
  return `${seed} ${hash}${twice ? ' twice' : ''}${unrepeatable ? ' DIFFERS' : ''}${what}`;
}

function summarize(results: readonly SeedResult[], wallMs: number): void {
  const counts = results.reduce((sum, result) => addCounts(sum, result.counts), noCounts);
  const hours = results.reduce((sum, { simulatedMs }) => sum + simulatedMs, 0) / 3_600_000;
  const failures = results.filter(isFailure).length;
  const seconds = wallMs / 1000;
  print('');
  print(
    `${results.length} seeds, ${hours.toFixed(2)} simulated hours in ${seconds.toFixed(0)} s (${(wallMs / Math.max(1, results.length)).toFixed(1)} ms a seed)`,
  );
  print(
    `${failures} failed; ${results.filter(({ twice }) => twice).length} ran twice, ${results.filter(({ unrepeatable }) => unrepeatable).length} of them differed`,
  );
  const on = new Map<string, number>();
  for (const { faults } of results) for (const fault of faults) on.set(fault, (on.get(fault) ?? 0) + 1);
  print(`faults on: ${[...on].map(([fault, times]) => `${fault} ${times}`).join(', ')}`);
  print(
    `it happened: ${Object.entries(counts)
      .map(([name, value]) => `${wordsOf(name)} ${value}`)
      .join(', ')}`,
  );
  const broken = new Map<string, number>();
  for (const { violations } of results) {
    for (const invariant of new Set(violations.map((each) => each.invariant)))
      broken.set(invariant, (broken.get(invariant) ?? 0) + 1);
  }
  if (broken.size > 0)
    print(`broken, in seeds: ${[...broken].map(([invariant, seeds]) => `${invariant} ${seeds}`).join(', ')}`);
}

function wordsOf(name: keyof RunCounts | string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode =
      error instanceof RangeError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') ? 2 : 1;
  },
);
