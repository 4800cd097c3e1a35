/** What the supervisor is given, told and keeps. Types alone. */
import type { AnyActorRef } from 'xstate';
import type { BudgetConfig, BudgetPlan, FlushMeasure } from './budget.ts';
import type { ChildCounts, ChildRecord, ChildReport, Phase, PhaseRecord } from './report.ts';
import type { ShutdownMode } from './shutdown-mode.ts';
import type { SupervisedInput, supervisedMachine } from './supervised.ts';

export interface SupervisorInput {
  readonly shards: number;
  readonly grace: BudgetConfig;
  /** Monotonic time, ms. */
  readonly now: () => number;
  /** Pending bytes and the measured flush rate, now. */
  readonly load: () => FlushMeasure;
  /** What a shard's report accounts for. */
  readonly shardCounts: (shard: number) => ChildCounts;
  /** Whether there is a socket to listen on; false for a broker that is only embedded. */
  readonly gateway: boolean;
  readonly admin: boolean;
  /** Actors of the embedding application, told `shutdown` with the rest; each is reported under its id when it ends. */
  readonly guests: readonly { readonly id: string; readonly ref: AnyActorRef }[];
}

export type SupervisorEvent =
  | ChildReport
  /** Stop. Again: counted, and escalates when its mode is harder. */
  | ShutdownRequest
  /** Stop serving and stay; cancellable. */
  | { readonly type: 'drain'; readonly reason: string }
  | { readonly type: 'drain.cancel' }
  | { readonly type: 'budget.over' }
  /** An actor of the embedding application to be looked after, below a chart of its own. Void once it stops. */
  | {
      readonly type: 'guest.joined';
      readonly id: string;
      readonly logic: typeof supervisedMachine;
      readonly input: SupervisedInput;
    }
  /** From XState: a child's chart broke. Nothing else than a report is needed of a child that works. */
  | { readonly type: `xstate.error.actor.${string}`; readonly actorId: string; readonly error: unknown };

export interface ShutdownRequest {
  readonly type: 'shutdown';
  readonly mode: ShutdownMode;
  readonly reason: string;
  /** It stops because of an error that nobody handled. */
  readonly fatal?: boolean;
  /** An earlier end than the budget's, monotonic ms. */
  readonly deadline?: number;
  /** False when no broker will come back in its place: clients are closed with 1001 in place of 1012. */
  readonly returning?: boolean;
}

export interface SupervisorContext extends SupervisorInput {
  readonly children: Readonly<Record<string, ChildRecord>>;
  readonly mode: ShutdownMode;
  readonly reason: string;
  readonly fatal: boolean;
  readonly startFailed: boolean;
  readonly requests: number;
  readonly stopping: boolean;
  /** Another run is expected behind this one; false once a request said otherwise. */
  readonly returning: boolean;
  /** Why it is to drain, without exit, as soon as it runs; null when it is not. */
  readonly drainAsked: string | null;
  readonly plan: BudgetPlan | null;
  readonly phases: readonly PhaseRecord[];
  readonly phase: Phase;
  readonly phaseSince: number;
}
