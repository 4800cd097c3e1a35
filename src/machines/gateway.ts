/**
 * The chart of the WebSocket endpoint: it listens, turns the new away while the broker drains, and closes what is open
 * at an even pace.
 *
 * Invariants
 *   G1  New connections are served in `accepting` and `announcing` alone.
 *   G2  `child.released` is reported only behind the close of every session and of the listener.
 *   G3  Every non-final state handles `shutdown.close`; one that comes while the port is being bound is acted on then.
 *   G4  What does not close is reported as `child.abandoned` before the supervisor would count it as missing.
 */
import { assign, cancel, fromPromise, raise, sendTo, setup } from 'xstate';
import { childDeadline } from './budget.ts';
import type { EndpointEvent, EndpointInput } from './endpoint.ts';
import { type ChildCounts, type ChildReport, noCounts } from './report.ts';

export interface GatewayContext extends EndpointInput {
  /** The last word of the supervisor. */
  readonly told: EndpointEvent | null;
  /** Monotonic ms at which closing began. */
  readonly closingSince: number;
}

/** `gateway.late`: from the chart to itself, when it has to report. */
export type GatewayEvent = EndpointEvent | { readonly type: 'gateway.late' };

type Told = { readonly told: EndpointEvent | null };

const step = fromPromise<void, Told>(async () => {});

/** How the clients were closed. */
export type ClosedCounts = Pick<ChildCounts, 'closedGraceful' | 'closedForced'>;

export const gatewayMachine = setup({
  types: {} as { context: GatewayContext; events: GatewayEvent; input: EndpointInput; tags: 'accepting' },
  actors: {
    bind: step,
    /** Resolves when no consumer is expected to commit any more. */
    commitsSettled: step,
    /** Closes every session at an even pace, then the listener. */
    close: fromPromise<ClosedCounts, Told>(async () => noCounts),
  },
  actions: {
    report: sendTo(
      ({ context }) => context.parent,
      (_, report: ChildReport) => report,
    ),
    noteClosing: assign({ closingSince: ({ context }) => context.now() }),
    note: assign((_, params: { readonly told: EndpointEvent }) => ({ told: params.told })),
    announce: (_, _params: { readonly told: EndpointEvent }) => {},
    refuse: (_, _params: { readonly told: EndpointEvent }) => {},
    accept: () => {},
    /** Pressed harder while it closes: what is still open is closed at once, or cut when the mode is `immediate`. */
    hurry: (_, _params: { readonly told: EndpointEvent }) => {},
  },
  delays: {
    // Only ever run once a close was told, whose plan this is.
    toReport: ({ context }) => {
      const { plan } = context.told as EndpointEvent;
      return Math.max(childDeadline(plan, plan.releaseUntil) - context.now(), 0);
    },
  },
  guards: {
    closeAsked: ({ context }) => context.told?.type === 'shutdown.close',
    drainAsked: ({ context }) => context.told?.type === 'shutdown.drain',
  },
}).createMachine({
  id: 'gateway',
  initial: 'binding',
  options: { maxIterations: 100 },
  context: ({ input }) => ({ ...input, told: null, closingSince: 0 }),
  on: {
    'shutdown.*': { actions: { type: 'note', params: ({ event }) => ({ told: event }) } },
    'shutdown.close': { target: '.closing', actions: { type: 'note', params: ({ event }) => ({ told: event }) } },
  },
  states: {
    binding: {
      invoke: {
        src: 'bind',
        input: ({ context }) => context,
        onDone: [
          { guard: 'closeAsked', target: 'closing' },
          { guard: 'drainAsked', target: 'draining' },
          { target: 'accepting' },
        ],
        onError: {
          target: 'failed',
          actions: {
            type: 'report',
            params: ({ event }) => ({
              type: 'child.failed',
              id: 'gateway',
              during: 'bind',
              detail: textOf(event.error),
            }),
          },
        },
      },
      // Never left half bound: noted, and acted on when the port is.
      on: { 'shutdown.close': { actions: { type: 'note', params: ({ event }) => ({ told: event }) } } },
    },
    accepting: {
      tags: ['accepting'],
      entry: ['accept', { type: 'report', params: { type: 'child.ready', id: 'gateway' } }],
      on: {
        'shutdown.announced': {
          target: 'announcing',
          actions: [
            { type: 'note', params: ({ event }) => ({ told: event }) },
            { type: 'announce', params: ({ event }) => ({ told: event }) },
          ],
        },
        'shutdown.drain': {
          target: 'draining',
          actions: { type: 'note', params: ({ event }) => ({ told: event }) },
        },
      },
    },
    announcing: {
      tags: ['accepting'],
      on: {
        'shutdown.drain': {
          target: 'draining',
          actions: { type: 'note', params: ({ event }) => ({ told: event }) },
        },
      },
    },
    draining: {
      initial: 'settling',
      states: {
        settling: {
          entry: { type: 'refuse', params: ({ context }) => ({ told: context.told as EndpointEvent }) },
          invoke: {
            src: 'commitsSettled',
            input: ({ context }) => context,
            onDone: 'settled',
            // What a consumer did not commit comes again: no reason to hold the shutdown.
            onError: 'settled',
          },
        },
        settled: {
          entry: { type: 'report', params: { type: 'child.drained', id: 'gateway' } },
        },
      },
      on: {
        'shutdown.drain': {
          target: 'draining',
          reenter: true,
          actions: { type: 'note', params: ({ event }) => ({ told: event }) },
        },
        'shutdown.cancelled': { target: 'accepting' },
      },
    },
    closing: {
      entry: ['noteClosing', raise({ type: 'gateway.late' }, { id: 'late', delay: 'toReport' })],
      invoke: {
        src: 'close',
        input: ({ context }) => context,
        onDone: {
          target: 'closed',
          actions: {
            type: 'report',
            params: ({ event }) => ({
              type: 'child.released',
              id: 'gateway',
              counts: { ...noCounts, ...event.output },
            }),
          },
        },
        onError: {
          target: 'failed',
          actions: {
            type: 'report',
            params: ({ event }) => ({
              type: 'child.failed',
              id: 'gateway',
              during: 'close',
              detail: textOf(event.error),
            }),
          },
        },
      },
      on: {
        'shutdown.close': {
          actions: [
            { type: 'note', params: ({ event }) => ({ told: event }) },
            { type: 'hurry', params: ({ event }) => ({ told: event }) },
            cancel('late'),
            raise({ type: 'gateway.late' }, { id: 'late', delay: 'toReport' }),
          ],
        },
        'gateway.late': {
          target: 'abandoned',
          actions: {
            type: 'report',
            params: ({ context }) => ({
              type: 'child.abandoned',
              id: 'gateway',
              operation: 'close',
              ageMs: Math.round(context.now() - context.closingSince),
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
