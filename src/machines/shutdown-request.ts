/** What a request for shutdown changes: it is counted, hardens the mode, and plans, or brings the end nearer. */
import { type BudgetPlan, hasten } from './budget.ts';
import { newPlan } from './orders.ts';
import { escalate, isHarder, type ShutdownMode } from './shutdown-mode.ts';
import type { ShutdownRequest, SupervisorContext } from './supervisor-context.ts';

/** The reason stays that of the first request. */
export function withRequest(context: SupervisorContext, request: ShutdownRequest): Partial<SupervisorContext> {
  const mode = escalate(context.mode, request.mode);
  const { plan, stopping, reason, fatal, requests } = context;
  return {
    mode,
    plan: plan === null || !stopping ? newPlan(context, mode, request.deadline) : nearer(context, plan, mode, request),
    reason: stopping ? reason : request.reason,
    requests: requests + 1,
    fatal: fatal || request.fatal === true,
    returning: context.returning && request.returning !== false,
    stopping: true,
  };
}

function nearer(
  context: SupervisorContext,
  plan: BudgetPlan,
  mode: ShutdownMode,
  { deadline }: ShutdownRequest,
): BudgetPlan {
  const asked = { ...context.load(), now: context.now(), mode };
  return hasten(plan, deadline === undefined ? asked : { ...asked, deadline });
}

/** True when a request asks for more than is under way: the first one, a harder mode, an earlier end. */
export function pressesHarder({ mode, plan, stopping }: SupervisorContext, request: ShutdownRequest): boolean {
  if (!stopping || isHarder(request.mode, mode)) return true;
  return plan !== null && (request.deadline ?? Number.POSITIVE_INFINITY) < plan.reportUntil;
}
