/** The pure charts of Sluice: `sluice/machines`. No effects: provide your own, or draw them. */
export { adminMachine } from './admin.ts';
export {
  type BudgetConfig,
  type BudgetPlan,
  budgetFault,
  budgetOf,
  type FlushMeasure,
  flushEtaMs,
  planBudget,
  replan,
} from './budget.ts';
export type { EndpointEvent, EndpointInput } from './endpoint.ts';
export { gatewayMachine } from './gateway.ts';
export {
  type ChildCounts,
  type ChildKind,
  type ChildRecord,
  type ChildReport,
  type ChildState,
  exitCodes,
  type Outcome,
  type Phase,
  type PhaseRecord,
  type SupervisorReport,
} from './report.ts';
export { SessionChart, type SessionEvent, type SessionState, sessionMachine } from './session.ts';
export { type ShardEvent, type ShardInput, type ShardOutcome, shardId, shardMachine } from './shard.ts';
export { escalate, type ShutdownMode } from './shutdown-mode.ts';
export { type SupervisorEvent, supervisorMachine } from './supervisor.ts';
export type { SupervisorContext, SupervisorInput } from './supervisor-context.ts';
