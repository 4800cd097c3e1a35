/** What the supervisor tells the gateway and the admin endpoint. Types alone. */
import type { AnyActorRef } from 'xstate';
import type { BudgetPlan } from './budget.ts';
import type { ShutdownMode } from './shutdown-mode.ts';

export interface EndpointInput {
  readonly parent: AnyActorRef;
  /** Monotonic time, ms. */
  readonly now: () => number;
}

/**
 * Told to the gateway and the admin endpoint; shards and guests have words of their own.
 * `announced`: a shutdown is coming. `drain`: refuse the new, stop deliveries, take commits, and report `child.drained`
 * when none is awaited. `close`: close what is open, report `child.released`. `cancelled`: serve again.
 */
export interface EndpointEvent {
  readonly type: 'shutdown.announced' | 'shutdown.drain' | 'shutdown.close' | 'shutdown.cancelled';
  readonly plan: BudgetPlan;
  readonly mode: ShutdownMode;
  readonly reason: string;
  /** The process ends behind it; false for a drain without exit. */
  readonly leaving: boolean;
  /** Another run is expected in its place. */
  readonly returning: boolean;
}
