/** What a shard's chart is given, told and keeps. Types alone. */
import type { AnyActorRef } from 'xstate';
import type { ChildCounts } from './report.ts';

export interface ShardInput {
  readonly shard: number;
  /** Monotonic time, ms. */
  readonly now: () => number;
  /** Where reports go: the supervisor. */
  readonly parent: AnyActorRef;
  /** Read when a report is made, behind the fence where there is one. */
  readonly counts: () => ChildCounts;
}

export type ShardEvent =
  /** A shutdown was announced: begin with what can be written ahead of it. */
  | { readonly type: 'shard.prepare' }
  /** Refuse publishes from now on and finish those admitted; clients are told to come back after `retryAfterMs`. */
  | { readonly type: 'shard.drain'; readonly retryAfterMs: number }
  /** Take publishes again; only before the flush. */
  | { readonly type: 'shard.resume' }
  /** Write everything, save the state, let go, before `deadline` (absolute, monotonic ms). */
  | { readonly type: 'shard.flush'; readonly deadline: number }
  /** Stop at once, without flushing. */
  | { readonly type: 'shard.abandon'; readonly reason: string }
  /** The record path can't go on. */
  | { readonly type: 'shard.fault'; readonly error: unknown }
  /** The deadline came. */
  | { readonly type: 'shard.late' };

export type ShardOutcome = 'released' | 'failed' | 'abandoned';

export interface ShardEnd {
  readonly outcome: ShardOutcome;
  /** What went wrong, or what it was waiting for when it was given up; null when it was released. */
  readonly detail: string | null;
}

/** How a shard ends that does not release. */
export interface ShardFault {
  readonly outcome: Exclude<ShardOutcome, 'released'>;
  readonly fault: string;
}

export interface ShardContext extends ShardInput {
  readonly id: string;
  readonly outcome: ShardOutcome;
  /** What went wrong, or what it was given up in; empty while nothing did. */
  readonly fault: string;
  readonly deadline: number;
  readonly drainAsked: boolean;
  readonly flushAsked: boolean;
  readonly retryAfterMs: number;
  readonly operation: string;
  readonly operationSince: number;
}

/** What a step is given: which shard it is of. */
export interface ShardStep {
  readonly shard: number;
}
