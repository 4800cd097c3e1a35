/** What children tell the supervisor, and what the supervisor says at the end. Types alone; shared by all charts. */
import type { ShutdownMode } from './shutdown-mode.ts';

/** What a child had done and had left when it ended. */
export interface ChildCounts {
  /** Made durable since the drain began. */
  readonly flushedRecords: number;
  readonly flushedBytes: number;
  /** Acknowledged records that are known not to be durable: of async topics, when their shard failed or was given up. */
  readonly lost: number;
  /** Records whose publishers were told OUTCOME_UNKNOWN. */
  readonly unknown: number;
  /** Connections that answered their close. */
  readonly closedGraceful: number;
  /** Connections that were cut. */
  readonly closedForced: number;
}

export const noCounts: ChildCounts = {
  flushedRecords: 0,
  flushedBytes: 0,
  lost: 0,
  unknown: 0,
  closedGraceful: 0,
  closedForced: 0,
};

/** A child's report. `id` names it: `shard-00`, `gateway`, `admin`, or a guest's own name. */
export type ChildReport =
  | { readonly type: 'child.ready'; readonly id: string }
  | { readonly type: 'child.drained'; readonly id: string }
  | { readonly type: 'child.released'; readonly id: string; readonly counts?: ChildCounts }
  | {
      readonly type: 'child.failed';
      readonly id: string;
      readonly detail: string;
      readonly during: string;
      readonly counts?: ChildCounts;
    }
  | {
      readonly type: 'child.abandoned';
      readonly id: string;
      readonly operation: string;
      readonly ageMs: number;
      readonly counts?: ChildCounts;
    };

export type ChildKind = 'shard' | 'gateway' | 'admin' | 'guest';
export type ChildState = 'starting' | 'ready' | 'drained' | 'released' | 'failed' | 'abandoned';

export interface ChildRecord {
  readonly id: string;
  readonly kind: ChildKind;
  readonly state: ChildState;
  /** What went wrong, or what it hung in. */
  readonly detail: string | null;
  readonly counts: ChildCounts;
  /** Monotonic time of the last report, ms. */
  readonly since: number;
}

export type Phase = 'starting' | 'running' | 'announcing' | 'draining' | 'flushing' | 'releasing';

export interface PhaseRecord {
  readonly phase: Phase;
  /** Monotonic, ms. */
  readonly startedAt: number;
  readonly durationMs: number;
  /** What it had, ms; null for phases without a deadline. */
  readonly budgetMs: number | null;
}

export type Outcome = 'clean' | 'start-failed' | 'abandoned' | 'failed' | 'forced' | 'fatal';

export const exitCodes: Readonly<Record<Outcome, number>> = {
  clean: 0,
  'start-failed': 1,
  abandoned: 20,
  failed: 21,
  forced: 22,
  fatal: 23,
};

export interface SupervisorReport {
  readonly outcome: Outcome;
  readonly exitCode: number;
  readonly reason: string;
  readonly mode: ShutdownMode;
  /** Shutdown requests, the first one included. */
  readonly requests: number;
  /** From the first request to the end, ms. */
  readonly durationMs: number;
  readonly budgetMs: number;
  /** Sums over all children. */
  readonly flushedRecords: number;
  readonly flushedBytes: number;
  readonly lost: number;
  readonly unknown: number;
  readonly closedGraceful: number;
  readonly closedForced: number;
  readonly phases: readonly PhaseRecord[];
  readonly children: readonly ChildRecord[];
  /** Ids of children that had not reported their end when the supervisor ended. */
  readonly unaccounted: readonly string[];
}
