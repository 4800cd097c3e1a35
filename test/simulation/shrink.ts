/**
 * Makes a plan that breaks an invariant smaller: as long as a part can go and the same invariant still breaks, it goes.
 * Delta debugging over steps, then over clients and settings; bounded in runs.
 */
import type { Invariant } from './checkers/index.ts';
import type { Plan, Step } from './plan.ts';
import { run } from './simulate.ts';

export interface Shrunk {
  readonly plan: Plan;
  readonly runs: number;
}

const RUNS_MAX = 600;

export async function shrink(plan: Plan, invariant: Invariant, runsMax = RUNS_MAX): Promise<Shrunk> {
  let runs = 0;
  let best = plan;
  const breaks = async (candidate: Plan): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs += 1;
    const { violations } = await run(candidate);
    return violations.some((violation) => violation.invariant === invariant);
  };
  const keepIf = async (candidate: Plan): Promise<boolean> => {
    if (!(await breaks(candidate))) return false;
    best = candidate;
    return true;
  };

  for (let size = Math.ceil(best.steps.length / 2); size >= 1 && runs < runsMax; size = Math.floor(size / 2)) {
    for (let at = best.steps.length; at > 0; at -= size) {
      const from = Math.max(0, at - size);
      await keepIf({ ...best, steps: [...best.steps.slice(0, from), ...best.steps.slice(at)] });
    }
  }
  for (const candidate of smallerSettings(best)) await keepIf(candidate(best));
  for (let index = 0; index < best.steps.length; index += 1) {
    for (const smaller of smallerSteps(best.steps[index] as Step)) {
      await keepIf({ ...best, steps: best.steps.map((step, at) => (at === index ? smaller : step)) });
    }
  }
  return { plan: { ...best, faults: [] }, runs };
}

/** Each tried on what is left by then. */
function smallerSettings(plan: Plan): ((plan: Plan) => Plan)[] {
  const used = (now: Plan): ReadonlySet<string> =>
    new Set(now.steps.flatMap((step) => ('client' in step ? step.client : [])));
  const topics = (now: Plan): ReadonlySet<string> =>
    new Set(now.steps.flatMap((step) => ('topic' in step ? step.topic : [])));
  return [
    (now) => ({ ...now, clients: now.clients.filter(({ name }) => used(now).has(name)) }),
    (now) => ({ ...now, topics: now.topics.filter(({ name }) => topics(now).has(name)) }),
    (now) => ({ ...now, disk: { ...now.disk, callMs: [0, 0] } }),
    (now) => ({ ...now, disk: { ...now.disk, writeMs: [1, 1] } }),
    (now) => ({ ...now, network: { latencyMs: [0, 0] } }),
    (now) => ({ ...now, endMs: Math.ceil((now.steps.at(-1)?.at ?? 0) + 500) }),
    ...Object.keys(plan.config)
      .filter((name) => name !== 'shards')
      .map((name) => (now: Plan): Plan => {
        const { [name as keyof Plan['config']]: _, ...config } = now.config;
        return { ...now, config };
      }),
  ];
}

function smallerSteps(step: Step): Step[] {
  const rounded = { ...step, at: Math.round(step.at) };
  return step.do === 'publish' ? [{ ...step, count: 1 }, { ...step, bytes: 16 }, rounded] : [rounded];
}
