/** The pure charts of Sluice: `sluice/machines`. No effects: provide your own, or draw them. */
export { adminMachine } from './admin.ts';
export {
  type BudgetConfig,
  type BudgetPlan,
  budgetFault,
  budgetOf,
  type FlushMeasure,
  flushEtaMs,
  hasten,
  planBudget,
  replan,
} from './budget.ts';
export type { EndpointEvent, EndpointInput } from './endpoint.ts';
export { gatewayMachine } from './gateway.ts';
export {
  GroupChart,
  type GroupEvent,
  type GroupInput,
  type GroupSnapshot,
  type GroupState,
  groupMachine,
} from './group.ts';
export {
  type ChildCounts,
  type ChildKind,
  type ChildRecord,
  type ChildReport,
  type ChildState,
  exitCodes,
  noCounts,
  type Outcome,
  type Phase,
  type PhaseRecord,
  type SupervisorReport,
} from './report.ts';
export {
  SessionChart,
  type SessionEvent,
  type SessionSnapshot,
  type SessionState,
  sessionMachine,
  sessionStep,
} from './session.ts';
export { type ShardEvent, type ShardInput, type ShardOutcome, shardId, shardMachine } from './shard.ts';
export { escalate, isHarder, type ShutdownMode } from './shutdown-mode.ts';
export {
  type RestartPolicy,
  type SupervisedContext,
  type SupervisedInput,
  supervisedMachine,
} from './supervised.ts';
export { type ShutdownRequest, type SupervisorEvent, supervisorMachine } from './supervisor.ts';
export type { SupervisorContext, SupervisorInput } from './supervisor-context.ts';
