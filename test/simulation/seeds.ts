/**
 * Runs seeds and plans and puts what came of them into numbers and lines: what a worker does for the command. A sample
 * of the seeds runs twice, and a run that does not repeat itself is a failure of its own.
 */
import type { Violation } from './checkers/index.ts';
import type { HistoryEvent } from './history.ts';
import type { FaultClass, Plan } from './plan.ts';
import { makePlan } from './plan-maker.ts';
import { run } from './simulate.ts';

export interface SeedResult {
  readonly seed: number;
  readonly hash: string;
  readonly violations: readonly Pick<Violation, 'invariant' | 'text'>[];
  /** Its second run had another history. */
  readonly unrepeatable: boolean;
  readonly twice: boolean;
  readonly simulatedMs: number;
  readonly faults: readonly FaultClass[];
  readonly counts: RunCounts;
}

/** How much went on: a simulation in which nothing happens proves nothing. */
export interface RunCounts {
  readonly events: number;
  readonly brokers: number;
  readonly kills: number;
  readonly powerCuts: number;
  readonly watchdogs: number;
  readonly cleanEnds: number;
  readonly dirtyEnds: number;
  readonly failedStarts: number;
  readonly acked: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly unknown: number;
  readonly given: number;
  readonly gaps: number;
  readonly commits: number;
  readonly failedShards: number;
  readonly abandonedShards: number;
  readonly faultedCalls: number;
}

/** Every how many seeds one runs twice. */
const TWICE_EVERY = 50;

export async function runSeed(seed: number): Promise<SeedResult> {
  return runPlan(makePlan(seed), seed, seed % TWICE_EVERY === 0);
}

export async function runPlan(plan: Plan, seed: number, twice: boolean): Promise<SeedResult> {
  const first = await run(plan);
  const again = twice ? await run(plan) : first;
  return {
    seed,
    hash: first.hash,
    violations: first.violations.map(({ invariant, text }) => ({ invariant, text })),
    unrepeatable: again.hash !== first.hash,
    twice,
    simulatedMs: first.simulatedMs,
    faults: plan.faults,
    counts: countsOf(first.history, first.events, first.faulted),
  };
}

export const noCounts: RunCounts = countsOf([], 0, 0);

function countsOf(history: readonly HistoryEvent[], events: number, faultedCalls: number): RunCounts {
  const counts = {
    ...{ events, faultedCalls, brokers: 0, kills: 0, powerCuts: 0, watchdogs: 0, cleanEnds: 0, dirtyEnds: 0 },
    ...{ failedStarts: 0, acked: 0, duplicates: 0, refused: 0, unknown: 0, given: 0, gaps: 0, commits: 0 },
    ...{ failedShards: 0, abandonedShards: 0 },
  };
  for (const event of history) {
    if (event.e === 'start') counts.brokers += 1;
    else if (event.e === 'killed') {
      if (event.how === 'kill') counts.kills += 1;
      else if (event.how === 'power-cut') counts.powerCuts += 1;
      else counts.watchdogs += 1;
    } else if (event.e === 'ended') {
      if (event.report.outcome === 'clean') counts.cleanEnds += 1;
      else counts.dirtyEnds += 1;
    } else if (event.e === 'start-failed') counts.failedStarts += 1;
    else if (event.e === 'stored') {
      counts.acked += event.places.length;
      if (event.duplicate) counts.duplicates += 1;
    } else if (event.e === 'refused') {
      if (event.code === 'OUTCOME_UNKNOWN') counts.unknown += 1;
      else counts.refused += 1;
    } else if (event.e === 'given') counts.given += 1;
    else if (event.e === 'gap') counts.gaps += 1;
    else if (event.e === 'committed') counts.commits += 1;
    else if (event.e === 'child' && event.child.startsWith('shard')) {
      if (event.state === 'failed') counts.failedShards += 1;
      else if (event.state === 'abandoned') counts.abandonedShards += 1;
    }
  }
  return counts;
}

export function addCounts(a: RunCounts, b: RunCounts): RunCounts {
  const sum: Record<string, number> = {};
  for (const [name, value] of Object.entries(a)) sum[name] = value + (b[name as keyof RunCounts] ?? 0);
  return sum as unknown as RunCounts;
}

/** True for the failure of a run, whatever kind it is. */
export function isFailure({ violations, unrepeatable }: SeedResult): boolean {
  return violations.length > 0 || unrepeatable;
}
