/**
 * The chart of the admin endpoint: health, status, stop. First up, so that a start can be watched, and last down.
 *
 * Invariants
 *   A1  `child.released` is reported only behind the close of the listener; a failure to bind is `child.failed`.
 *   A2  Nothing but `shutdown.close` ends it.
 *   A3  What does not close is reported as `child.abandoned` before the supervisor would count it as missing.
 */
import { assign, fromPromise, sendTo, setup } from 'xstate';
import { childDeadline } from './budget.ts';
import type { EndpointEvent, EndpointInput } from './endpoint.ts';
import type { ChildReport } from './report.ts';

const step = fromPromise<void, void>(async () => {});

export const adminMachine = setup({
  types: {} as {
    context: EndpointInput & { readonly closeAsked: boolean; readonly closeIn: number; readonly closingSince: number };
    events: EndpointEvent;
    input: EndpointInput;
  },
  actors: { bind: step, close: step },
  actions: {
    report: sendTo(
      ({ context }) => context.parent,
      (_, report: ChildReport) => report,
    ),
    noteClose: assign(({ context: { now } }, { told: { plan } }: { readonly told: EndpointEvent }) => ({
      closeAsked: true,
      closeIn: Math.max(childDeadline(plan, plan.reportUntil) - now(), 0),
      closingSince: now(),
    })),
  },
  delays: { toReport: ({ context }) => context.closeIn },
}).createMachine({
  id: 'admin',
  initial: 'binding',
  options: { maxIterations: 100 },
  context: ({ input }) => ({ ...input, closeAsked: false, closeIn: 0, closingSince: 0 }),
  on: { 'shutdown.*': {} },
  states: {
    binding: {
      invoke: {
        src: 'bind',
        onDone: [{ guard: ({ context }) => context.closeAsked, target: 'closing' }, { target: 'serving' }],
        onError: {
          target: 'failed',
          actions: {
            type: 'report',
            params: ({ event }) => ({ type: 'child.failed', id: 'admin', during: 'bind', detail: textOf(event.error) }),
          },
        },
      },
      on: {
        'shutdown.close': { actions: { type: 'noteClose', params: ({ event }) => ({ told: event }) } },
      },
    },
    serving: {
      entry: { type: 'report', params: { type: 'child.ready', id: 'admin' } },
      on: {
        'shutdown.close': {
          target: 'closing',
          actions: { type: 'noteClose', params: ({ event }) => ({ told: event }) },
        },
      },
    },
    closing: {
      after: {
        toReport: {
          target: 'abandoned',
          actions: {
            type: 'report',
            params: ({ context }) => ({
              type: 'child.abandoned',
              id: 'admin',
              operation: 'close',
              ageMs: Math.round(context.now() - context.closingSince),
            }),
          },
        },
      },
      invoke: {
        src: 'close',
        onDone: { target: 'closed', actions: { type: 'report', params: { type: 'child.released', id: 'admin' } } },
        onError: {
          target: 'failed',
          actions: {
            type: 'report',
            params: ({ event }) => ({
              type: 'child.failed',
              id: 'admin',
              during: 'close',
              detail: textOf(event.error),
            }),
          },
        },
      },
    },
    closed: { type: 'final' },
    failed: { type: 'final' },
    abandoned: { type: 'final' },
  },
});

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
