/** What a shutdown says of itself at the end: phases, outcome, every child, and who is unaccounted for. */
import { budgetOf as granted } from './budget.ts';
import { ended } from './children.ts';
import {
  type ChildCounts,
  type ChildRecord,
  exitCodes,
  noCounts,
  type Outcome,
  type Phase,
  type PhaseRecord,
  type SupervisorReport,
} from './report.ts';
import type { SupervisorContext } from './supervisor-context.ts';

export function beginPhase(
  context: SupervisorContext,
  phase: Phase,
): Pick<SupervisorContext, 'phases' | 'phase' | 'phaseSince'> {
  return { phases: closedPhases(context), phase, phaseSince: context.now() };
}

export function closedPhases(context: SupervisorContext): readonly PhaseRecord[] {
  const { phase, phaseSince, phases } = context;
  const durationMs = context.now() - phaseSince;
  return [...phases, { phase, startedAt: phaseSince, durationMs, budgetMs: budgetOf(context, phase) }];
}

function budgetOf(context: SupervisorContext, phase: Phase): number | null {
  const { plan, phaseSince } = context;
  if (plan === null) return null;
  const ends: Partial<Record<Phase, number>> = {
    announcing: plan.announceUntil,
    draining: plan.drainUntil,
    flushing: plan.flushUntil,
    releasing: plan.releaseUntil,
  };
  const end = ends[phase];
  return end === undefined ? null : Math.max(Math.round(end - phaseSince), 0);
}

function outcomeOf(context: SupervisorContext, unaccounted: readonly string[]): Outcome {
  const states = Object.values(context.children).map(({ state }) => state);
  if (context.startFailed) return 'start-failed';
  if (context.fatal) return 'fatal';
  // Pressed when everything was released already, it cost nothing.
  if (context.mode === 'immediate' && states.some((state) => state !== 'released')) return 'forced';
  if (states.includes('failed')) return 'failed';
  if (states.includes('abandoned') || unaccounted.length > 0) return 'abandoned';
  return 'clean';
}

export function reportOf(context: SupervisorContext): SupervisorReport {
  const children = Object.values(context.children);
  const unaccounted = children.filter(({ state }) => !ended.includes(state)).map(({ id }) => id);
  const outcome = outcomeOf(context, unaccounted);
  const startedAt = context.plan?.startedAt ?? context.phaseSince;
  return {
    outcome,
    exitCode: exitCodes[outcome],
    reason: context.reason,
    mode: context.mode,
    requests: context.requests,
    durationMs: Math.round(context.now() - startedAt),
    budgetMs: Math.round(granted(context.grace)),
    ...sums(children),
    phases: context.phases,
    children,
    unaccounted,
  };
}

function sums(children: readonly ChildRecord[]): ChildCounts {
  const sum = { ...noCounts } as Record<keyof ChildCounts, number>;
  for (const { counts } of children) {
    for (const name of Object.keys(sum) as (keyof ChildCounts)[]) sum[name] += counts[name];
  }
  return sum;
}
