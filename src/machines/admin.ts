/**
 * The chart of the admin endpoint: health, status, stop. First up, so that a start can be watched, and last down.
 *
 * Invariants
 *   A1  `child.released` is reported only behind the close of the listener; a failure to bind is `child.failed`.
 *   A2  Nothing but `shutdown.close` ends it.
 */
import { type AnyActorRef, assign, fromPromise, sendTo, setup } from 'xstate';
import type { EndpointEvent, EndpointInput } from './endpoint.ts';
import type { ChildReport } from './report.ts';

const step = fromPromise<void, void>(async () => {});

export const adminMachine = setup({
  types: {} as {
    context: { readonly parent: AnyActorRef; readonly closeAsked: boolean };
    events: EndpointEvent;
    input: EndpointInput;
  },
  actors: { bind: step, close: step },
  actions: {
    report: sendTo(
      ({ context }) => context.parent,
      (_, report: ChildReport) => report,
    ),
  },
}).createMachine({
  id: 'admin',
  initial: 'binding',
  options: { maxIterations: 100 },
  context: ({ input }) => ({ parent: input.parent, closeAsked: false }),
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
      on: { 'shutdown.close': { actions: assign({ closeAsked: true }) } },
    },
    serving: {
      entry: { type: 'report', params: { type: 'child.ready', id: 'admin' } },
      on: { 'shutdown.close': 'closing' },
    },
    closing: {
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
  },
});

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
