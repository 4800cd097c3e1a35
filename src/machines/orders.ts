/** What the supervisor tells its children, and by when: each order carries the plan's deadlines. */
import { type BudgetPlan, planBudget } from './budget.ts';
import type { EndpointEvent } from './endpoint.ts';
import type { ShardEvent } from './shard.ts';
import type { ShutdownMode } from './shutdown-mode.ts';
import type { SupervisorContext } from './supervisor-context.ts';

export type ShardCommand = 'prepare' | 'drain' | 'resume' | 'flush' | 'abandon';

export function until(context: SupervisorContext, deadline: number | undefined): number {
  return deadline === undefined ? TIMER_MAX_MS : Math.min(Math.max(deadline - context.now(), 0), TIMER_MAX_MS);
}

/** Longest delay that a timer takes, ms. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** There is time between the word and the drain; without, what is said next says it all. */
export function announces(context: SupervisorContext): boolean {
  return until(context, context.plan?.announceUntil) > 0;
}

export function newPlan(context: SupervisorContext, mode: ShutdownMode, deadline?: number): BudgetPlan {
  const request = { ...context.grace, ...context.load(), now: context.now(), mode };
  return planBudget(deadline === undefined ? request : { ...request, deadline });
}

export function shardCommand(context: SupervisorContext, what: ShardCommand): ShardEvent {
  const { plan } = context;
  const now = context.now();
  switch (what) {
    case 'prepare':
      return { type: 'shard.prepare' };
    case 'drain':
      return {
        type: 'shard.drain',
        retryAfterMs: Math.round(Math.max((plan?.reportUntil ?? now) - now, 0) / 10) + 500,
      };
    case 'resume':
      return { type: 'shard.resume' };
    case 'flush':
      return { type: 'shard.flush', deadline: plan?.flushUntil ?? now };
    case 'abandon':
      return {
        type: 'shard.abandon',
        reason: context.mode === 'immediate' ? 'forced by the operator' : 'its time is up',
      };
  }
}

export function endpointEvent(context: SupervisorContext, type: EndpointEvent['type']): EndpointEvent {
  const { reason, mode, stopping, returning } = context;
  return {
    type,
    reason,
    mode,
    leaving: stopping,
    returning,
    plan: context.plan ?? newPlan(context, mode),
  };
}

/** What an actor of the embedding application is told: end, before `deadline` (monotonic ms). Its end is its answer. */
export interface GuestEvent {
  readonly type: 'shutdown';
  readonly reason: string;
  readonly mode: ShutdownMode;
  readonly deadline: number;
}

export function guestEvent({ plan, reason, mode, now }: SupervisorContext): GuestEvent {
  return { type: 'shutdown', reason, mode, deadline: plan?.flushUntil ?? now() };
}
