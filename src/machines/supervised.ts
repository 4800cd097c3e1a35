/**
 * The chart of an actor of the embedding application that the broker looks after: begun again when it fails, within a
 * budget, and told to leave with the broker.
 *
 * Invariants
 *   R1  No more than `restarts` restarts in any `withinMs`; one failure more is the end, reported as `child.failed`.
 *   R2  A restart waits: at least half of a window that doubles from `minMs` with each failure, at most `maxMs`.
 *   R3  What was told to leave is never begun again. Its end is its answer; without one by the deadline it is stopped
 *       and reported as `child.abandoned`.
 *   R4  Every end is reported once, and every failure told, by `failed` or `gaveUp`.
 */
import { type AnyActorRef, assign, fromPromise, sendTo, setup } from 'xstate';
import type { GuestEvent } from './orders.ts';
import type { ChildReport } from './report.ts';

/** How often an actor may fail, and how long it waits before it is begun again. */
export interface RestartPolicy {
  /** Restarts within `withinMs`, at most. */
  readonly restarts: number;
  readonly withinMs: number;
  readonly backoff: { readonly minMs: number; readonly maxMs: number };
}

export interface SupervisedInput {
  readonly id: string;
  readonly parent: AnyActorRef;
  readonly policy: RestartPolicy;
  /** What the actor is given, each time it begins. */
  readonly input: unknown;
  /** Monotonic time, ms. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface SupervisedContext extends SupervisedInput {
  /** Monotonic times of the failures of the last `withinMs`, oldest first. */
  readonly failures: readonly number[];
  /** Since the beginning. */
  readonly restarts: number;
  /** Until the next restart, ms. */
  readonly pauseMs: number;
  readonly told: GuestEvent | null;
  readonly toldAt: number;
}

export const supervisedMachine = setup({
  types: {} as {
    context: SupervisedContext;
    events: GuestEvent;
    input: SupervisedInput;
    tags: 'alive';
    children: { actor: 'actor' };
  },
  actors: {
    /** The actor that is looked after. */
    actor: fromPromise<unknown, unknown>(async () => undefined),
  },
  actions: {
    report: sendTo(
      ({ context }) => context.parent,
      (_, report: ChildReport) => report,
    ),
    noteFailure: assign(({ context }) => {
      const failures = [...recent(context), context.now()];
      return { failures, restarts: context.restarts + 1, pauseMs: pauseOf(context, failures.length) };
    }),
    noteShutdown: assign(({ context }, { told }: { readonly told: GuestEvent }) => ({
      told,
      toldAt: context.told === null ? context.now() : context.toldAt,
    })),
    tellActor: sendTo('actor', (_, { told }: { readonly told: GuestEvent }) => told),
    /** It failed and will be begun again. */
    failed: (_, _params: { readonly error: unknown }) => {},
    /** It failed once too often, or on its way out. */
    gaveUp: (_, _params: { readonly error: unknown }) => {},
  },
  guards: {
    leaving: ({ context }) => context.told !== null,
    withinBudget: ({ context }) => recent(context).length < context.policy.restarts,
  },
  delays: {
    pause: ({ context }) => context.pauseMs,
    toDeadline: ({ context }) =>
      context.told === null ? 0 : Math.min(Math.max(context.told.deadline - context.now(), 0), TIMER_MAX_MS),
  },
}).createMachine({
  id: 'supervised',
  initial: 'alive',
  options: { maxIterations: 100 },
  context: ({ input }) => ({ ...input, failures: [], restarts: 0, pauseMs: 0, told: null, toldAt: 0 }),
  states: {
    alive: {
      tags: ['alive'],
      invoke: {
        id: 'actor',
        src: 'actor',
        input: ({ context }: { readonly context: SupervisedContext }) => context.input,
        onDone: [{ guard: 'leaving', target: 'left' }, { target: 'done' }],
        onError: [
          { guard: 'leaving', target: 'givenUp', actions: { type: 'gaveUp', params: errorOf } },
          {
            guard: 'withinBudget',
            target: 'pausing',
            actions: ['noteFailure', { type: 'failed', params: errorOf }],
          },
          { target: 'givenUp', actions: { type: 'gaveUp', params: errorOf } },
        ],
      },
      initial: 'running',
      states: {
        running: {
          on: { shutdown: { target: 'leaving', actions: [noteShutdown(), tellActor()] } },
        },
        leaving: {
          // Told again, with a nearer deadline.
          on: { shutdown: { target: 'leaving', reenter: true, actions: [noteShutdown(), tellActor()] } },
          after: { toDeadline: '#supervised.abandoned' },
        },
      },
    },
    pausing: {
      after: { pause: 'alive' },
      on: { shutdown: 'left' },
    },
    done: { type: 'final', entry: released() },
    left: { type: 'final', entry: released() },
    givenUp: {
      type: 'final',
      entry: {
        type: 'report',
        params: ({ context, event }) => ({
          type: 'child.failed',
          id: context.id,
          during: context.told === null ? `its ${context.restarts + 1}. run` : 'shutdown',
          detail: textOf((event as { readonly error?: unknown }).error),
        }),
      },
    },
    abandoned: {
      type: 'final',
      entry: {
        type: 'report',
        params: ({ context }) => ({
          type: 'child.abandoned',
          id: context.id,
          operation: 'shutdown',
          ageMs: Math.round(context.now() - context.toldAt),
        }),
      },
    },
  },
});

/** Longest delay that a timer takes, ms. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Failures that still count, before the present one. */
function recent({ failures, policy, now }: SupervisedContext): number[] {
  return failures.filter((at) => at > now() - policy.withinMs);
}

function pauseOf({ policy: { backoff }, random }: SupervisedContext, failures: number): number {
  const windowMs = Math.min(backoff.minMs * 2 ** Math.min(failures - 1, 30), backoff.maxMs);
  return Math.round(windowMs * (0.5 + random() / 2));
}

function noteShutdown() {
  return { type: 'noteShutdown' as const, params: told };
}

function tellActor() {
  return { type: 'tellActor' as const, params: told };
}

function told({ event }: { readonly event: GuestEvent }): { readonly told: GuestEvent } {
  return { told: event };
}

function released() {
  return {
    type: 'report' as const,
    params: ({ context }: { readonly context: SupervisedContext }) => ({
      type: 'child.released' as const,
      id: context.id,
    }),
  };
}

function errorOf({ event }: { readonly event: { readonly error: unknown } }): { readonly error: unknown } {
  return { error: event.error };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
