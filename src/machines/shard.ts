/**
 * The chart of one shard, from opening its log to letting go of it.
 *
 * Invariants
 *   H1  The gate is open in `running` alone, and is shut as the first thing on the way out of it.
 *   H2  `released` is reached only behind writing, checkpointing, marking and releasing, each done without an error; or,
 *       when the shard never took anything, behind releasing alone.
 *   H3  An error or a fault leads to `failed`, a deadline to `abandoned`; neither is ever reported as `released`. A
 *       recovery that the drain aborted is no error; one that failed while it was being aborted is.
 *   H4  The shard is fenced before it is reported failed or abandoned: what completes later changes nothing.
 *   H5  A drain or a flush that comes while the shard opens is noted and acted on when that is done.
 *   H6  Every state but the final ones handles `shard.drain`, `shard.flush`, `shard.abandon` and `shard.fault`.
 *   H7  A shard's end goes to the parent once, when its descriptors are let go or were given up.
 */
import { assign, cancel, fromPromise, raise, sendTo, setup } from 'xstate';
import type { ChildReport } from './report.ts';
import type { ShardContext, ShardEnd, ShardEvent, ShardFault, ShardInput, ShardStep } from './shard-context.ts';

export type { ShardEnd, ShardEvent, ShardInput, ShardOutcome, ShardStep } from './shard-context.ts';

const step = fromPromise<void, ShardStep>(async () => {});

/** Time that a failed shard has to let go of its descriptors, ms. */
const LET_GO_MS = 1000;
/** A child's deadline lies this far before its parent's, so that the child reports first. */
const CHILD_MARGIN_MS = 250;
/** Longest delay that a timer takes, ms; a longer one fires at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Aborted by the drain: nothing was taken yet, and the log keeps all that the check or the replay would have shown. */
const ifAborted = {
  guard: {
    type: 'abortedByDrain' as const,
    params: ({ event }: { readonly event: { readonly error: unknown } }) => ({ error: event.error }),
  },
};

const abortAndNote = {
  actions: [
    {
      type: 'noteDrain' as const,
      params: ({ event }: { readonly event: { readonly retryAfterMs: number } }) => ({
        retryAfterMs: event.retryAfterMs,
      }),
    },
    'abortRecovery' as const,
  ],
};

/** Notes a flush and its deadline. */
const noteFlushBy = {
  type: 'noteFlush' as const,
  params: ({ event }: { readonly event: { readonly deadline: number } }) => ({ deadline: event.deadline }),
};

export function shardId(shard: number): string {
  return `shard-${String(shard).padStart(2, '0')}`;
}

export const shardMachine = setup({
  types: {} as {
    context: ShardContext;
    events: ShardEvent;
    input: ShardInput;
    output: ShardEnd;
    tags: 'opening' | 'accepting' | 'stopping';
  },
  actors: {
    open: step,
    recover: step,
    settle: step,
    writeRemaining: step,
    checkpoint: step,
    mark: step,
    release: step,
  },
  actions: {
    openGate: () => {},
    /** The barrier; synchronous. */
    closeGate: (_, _params: { readonly retryAfterMs: number }) => {},
    abortRecovery: () => {},
    /** Writes ahead what the flush would have to: what waits of async topics, the state. Awaits nothing. */
    prepare: () => {},
    fence: (_, _params: { readonly reason: string }) => {},
    report: sendTo(
      ({ context }) => context.parent,
      (_, report: ChildReport) => report,
    ),
    begin: assign(({ context }, params: { readonly operation: string }) => ({
      operation: params.operation,
      operationSince: context.now(),
    })),
    noteDrain: assign((_, params: { readonly retryAfterMs: number }) => ({
      drainAsked: true,
      retryAfterMs: params.retryAfterMs,
    })),
    noteFlush: assign((_, params: { readonly deadline: number }) => ({
      drainAsked: true,
      flushAsked: true,
      deadline: params.deadline,
    })),
    noteResume: assign({ drainAsked: false }),
    noteReleased: assign({ outcome: 'released' }),
    noteFault: assign((_, params: ShardFault) => params),
  },
  delays: {
    untilDeadline: ({ context }) => untilDeadline(context),
    letGo: ({ context }) => Math.min(LET_GO_MS, untilDeadline(context)),
  },
  guards: {
    drainAsked: ({ context }) => context.drainAsked,
    abortedByDrain: ({ context }, params: { readonly error: unknown }) => context.drainAsked && isAbort(params.error),
    flushAsked: ({ context }) => context.flushAsked,
  },
}).createMachine({
  id: 'shard',
  initial: 'opening',
  options: { maxIterations: 100 },
  context: ({ input }) => ({
    ...input,
    id: shardId(input.shard),
    deadline: Number.MAX_SAFE_INTEGER,
    drainAsked: false,
    flushAsked: false,
    retryAfterMs: 1000,
    operation: 'open',
    operationSince: input.now(),
    outcome: 'failed',
    fault: '',
  }),
  output: ({ context }) => ({
    outcome: context.outcome,
    detail: context.outcome === 'released' ? null : context.fault,
  }),
  on: {
    // Noted in every state that has no better use for it (H5, H6).
    'shard.drain': { actions: { type: 'noteDrain', params: ({ event }) => ({ retryAfterMs: event.retryAfterMs }) } },
    'shard.flush': {
      actions: [
        noteFlushBy,
        cancel('deadline'),
        raise({ type: 'shard.late' }, { id: 'deadline', delay: 'untilDeadline' }),
      ],
    },
    'shard.fault': {
      target: '.failing',
      actions: { type: 'noteFault', params: ({ event }) => ({ outcome: 'failed', fault: textOf(event.error) }) },
    },
    'shard.late': {
      target: '.abandoned',
      actions: {
        type: 'noteFault',
        params: ({ context }) => ({
          outcome: 'abandoned',
          fault: `${context.operation}, for ${Math.round(context.now() - context.operationSince)} ms`,
        }),
      },
    },
    'shard.abandon': {
      target: '.abandoned',
      actions: { type: 'noteFault', params: ({ event }) => ({ outcome: 'abandoned', fault: event.reason }) },
    },
  },
  states: {
    opening: {
      tags: ['opening'],
      entry: { type: 'begin', params: { operation: 'open' } },
      invoke: {
        src: 'open',
        input: ({ context }) => context,
        onDone: [{ guard: 'drainAsked', target: 'flushing.releasing' }, { target: 'recovering' }],
        onError: [{ ...ifAborted, target: 'flushing.releasing' }, failWith('open')],
      },
      on: { 'shard.drain': abortAndNote },
    },
    recovering: {
      tags: ['opening'],
      entry: { type: 'begin', params: { operation: 'recover' } },
      invoke: {
        src: 'recover',
        input: ({ context }) => context,
        onDone: [
          { guard: 'flushAsked', target: 'flushing' },
          { guard: 'drainAsked', target: 'draining' },
          { target: 'running' },
        ],
        onError: [{ ...ifAborted, target: 'flushing.releasing' }, failWith('recover')],
      },
      on: { 'shard.drain': abortAndNote },
    },
    running: {
      tags: ['accepting'],
      entry: [
        'openGate',
        { type: 'begin', params: { operation: 'serve' } },
        { type: 'report', params: ({ context }) => ({ type: 'child.ready', id: context.id }) },
      ],
      exit: { type: 'closeGate', params: ({ context }) => ({ retryAfterMs: context.retryAfterMs }) },
      on: {
        'shard.prepare': { actions: 'prepare' },
        'shard.drain': {
          target: 'draining',
          actions: { type: 'noteDrain', params: ({ event }) => ({ retryAfterMs: event.retryAfterMs }) },
        },
        // Through `draining`, which goes on to the flush at once.
        'shard.flush': {
          target: 'draining',
          actions: [
            noteFlushBy,
            cancel('deadline'),
            raise({ type: 'shard.late' }, { id: 'deadline', delay: 'untilDeadline' }),
          ],
        },
      },
    },
    draining: {
      tags: ['stopping'],
      entry: [
        { type: 'begin', params: { operation: 'finish publishes' } },
        // Told again with the time that came with the drain.
        { type: 'closeGate', params: ({ context }) => ({ retryAfterMs: context.retryAfterMs }) },
      ],
      initial: 'settling',
      states: {
        settling: {
          invoke: {
            src: 'settle',
            input: ({ context }) => context,
            onDone: 'settled',
            onError: failWith('finish publishes'),
          },
        },
        settled: {
          entry: [
            { type: 'begin', params: { operation: 'wait for the flush' } },
            { type: 'report', params: ({ context }) => ({ type: 'child.drained', id: context.id }) },
          ],
        },
      },
      always: { guard: 'flushAsked', target: 'flushing' },
      on: { 'shard.resume': { target: 'running', actions: 'noteResume' } },
    },
    flushing: {
      tags: ['stopping'],
      initial: 'writing',
      states: {
        writing: {
          entry: { type: 'begin', params: { operation: 'write' } },
          invoke: {
            src: 'writeRemaining',
            input: ({ context }) => context,
            onDone: 'checkpointing',
            onError: failWith('write'),
          },
        },
        checkpointing: {
          entry: { type: 'begin', params: { operation: 'checkpoint' } },
          invoke: {
            src: 'checkpoint',
            input: ({ context }) => context,
            onDone: 'marking',
            onError: failWith('checkpoint'),
          },
        },
        marking: {
          entry: { type: 'begin', params: { operation: 'mark clean' } },
          invoke: {
            src: 'mark',
            input: ({ context }) => context,
            onDone: 'releasing',
            onError: failWith('mark clean'),
          },
        },
        releasing: {
          entry: { type: 'begin', params: { operation: 'release' } },
          invoke: {
            src: 'release',
            input: ({ context }) => context,
            onDone: {
              target: '#shard.released',
              actions: 'noteReleased',
            },
            onError: failWith('release'),
          },
        },
      },
    },
    failing: {
      tags: ['stopping'],
      entry: { type: 'fence', params: ({ context }) => ({ reason: context.fault }) },
      // What does not let go of its files either is no other end: the first fault is the one told.
      invoke: { src: 'release', input: ({ context }) => context, onDone: 'failed', onError: 'failed' },
      after: { letGo: 'failed' },
      // It failed already: no later event makes it anything else.
      on: {
        'shard.drain': {},
        'shard.flush': {},
        'shard.fault': {},
        'shard.late': {},
        'shard.abandon': {},
      },
    },
    released: {
      type: 'final',
      entry: {
        type: 'report',
        params: ({ context }) => ({ type: 'child.released', id: context.id, counts: context.counts() }),
      },
    },
    failed: {
      type: 'final',
      entry: {
        type: 'report',
        params: ({ context }) => ({
          type: 'child.failed',
          id: context.id,
          detail: context.fault,
          during: context.operation,
          counts: context.counts(),
        }),
      },
    },
    abandoned: {
      type: 'final',
      entry: [
        { type: 'fence', params: ({ context }) => ({ reason: context.fault }) },
        {
          type: 'report',
          params: ({ context }) => ({
            type: 'child.abandoned',
            id: context.id,
            operation: context.operation,
            ageMs: Math.round(context.now() - context.operationSince),
            counts: context.counts(),
          }),
        },
      ],
    },
  },
});

function failWith(operation: string) {
  return {
    target: '#shard.failing',
    actions: {
      type: 'noteFault' as const,
      params: ({ event }: { readonly event: { readonly error: unknown } }): ShardFault => ({
        outcome: 'failed',
        fault: `${operation}: ${textOf(event.error)}`,
      }),
    },
  };
}

function untilDeadline({ deadline, now }: ShardContext): number {
  return Math.min(Math.max(deadline - CHILD_MARGIN_MS - now(), 0), TIMER_MAX_MS);
}

/** The rejection of something that was told to stop. */
function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
