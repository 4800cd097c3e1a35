/**
 * The chart of the whole broker: it starts its children, and it is what a signal reaches. A shutdown is broadcast to
 * every child; the supervisor is final only when each has reported its end, or a deadline fires, and then names those
 * that have not.
 *
 * Invariants
 *   V1  `stopped` is reached only when every child has reported its end, or at the global deadline.
 *   V2  The outcome is `clean` when every child reported `released`, and only then; a fatal error is never clean.
 *   V3  The mode only escalates: graceful → fast → immediate. A request that is no harder is counted, no more.
 *   V4  A drain can be cancelled until the first shard was told to flush, and not after.
 *   V5  The admin endpoint starts first and stops last.
 *   V6  One failed shard does not stop its siblings; when none can serve, the start fails.
 *   V7  Every non-final state handles `shutdown`.
 *   V8  A child whose own chart broke is `failed`, and its siblings go on.
 *   V9  Before it is final, every shard that has not reported its end is told to give up, which fences it.
 */

import { type AnyActorRef, assign, cancel, enqueueActions, raise, setup } from 'xstate';
import { adminMachine } from './admin.ts';
import { type BudgetPlan, replan } from './budget.ts';
import {
  brokenReport,
  ended,
  guestRecords,
  hasEnded,
  othersAre,
  readyAgain,
  shardsOf,
  withChild,
  withReport,
} from './children.ts';
import type { EndpointEvent } from './endpoint.ts';
import { gatewayMachine } from './gateway.ts';
import { announces, endpointEvent, guestEvent, newPlan, type ShardCommand, shardCommand, until } from './orders.ts';
import type { ChildReport, Phase, SupervisorReport } from './report.ts';
import { shardId, shardMachine } from './shard.ts';
import { beginPhase, closedPhases, reportOf } from './shutdown-report.ts';
import { pressesHarder, withRequest } from './shutdown-request.ts';
import type { SupervisedInput, supervisedMachine } from './supervised.ts';
import type { ShutdownRequest, SupervisorContext, SupervisorEvent, SupervisorInput } from './supervisor-context.ts';

export type { ShutdownRequest, SupervisorEvent } from './supervisor-context.ts';

/** Notes a request for shutdown: counts it, hardens the mode, plans. */
const noteRequest = {
  type: 'noteRequest' as const,
  params: ({ event }: { readonly event: ShutdownRequest }) => ({ request: event }),
};

/** Children are named by whoever asks for them, which the chart's types do not foresee. */
type Spawn = (logic: typeof supervisedMachine, options: { id: string; input: SupervisedInput }) => AnyActorRef;

/** Steps of one event; no chain of states is nearly as long, and XState sets no bound of its own. */
const MICROSTEPS_MAX = 100;

const ifHarder = { type: 'harder' as const, params: noteRequest.params };
const ifHarderStill = { type: 'harderStill' as const, params: noteRequest.params };
const giveUp = { type: 'toShards' as const, params: { what: 'abandon' as const } };
const flushBy = { type: 'toShards' as const, params: { what: 'flush' as const } };
/** Said again to a gateway that is closing: spend no time on its pace any more. */
const closeNow = { type: 'toGateway' as const, params: { what: 'shutdown.close' as const } };

export const supervisorMachine = setup({
  types: {} as {
    context: SupervisorContext;
    events: SupervisorEvent;
    input: SupervisorInput;
    output: SupervisorReport;
    tags: 'live' | 'ready' | 'stopping';
    children: { admin: 'admin'; gateway: 'gateway' };
  },
  actors: {
    shard: shardMachine,
    gateway: gatewayMachine,
    admin: adminMachine,
  },
  actions: {
    childReported: (_, _params: { readonly report: ChildReport }) => {},
    recordChild: assign(({ context }, params: { readonly report: ChildReport }) => ({
      children: withReport(context, params.report),
    })),
    beginPhase: assign(({ context }, params: { readonly phase: Phase }) => beginPhase(context, params.phase)),
    noteRequest: assign(({ context }, { request }: { readonly request: ShutdownRequest }) =>
      withRequest(context, request),
    ),
    /** A child's chart broke: what it held outside its chart is to be fenced here. */
    childBroke: (_, _params: { readonly id: string; readonly error: unknown }) => {},
    noteDrainOnly: assign(({ context }, params: { readonly reason: string }) => ({
      reason: params.reason,
      plan: newPlan(context, 'fast'),
      drainAsked: null,
    })),
    /** Asked for while it starts: acted on when it runs. */
    noteDrainAsked: assign((_, params: { readonly reason: string | null }) => ({ drainAsked: params.reason })),
    planAgain: assign(({ context }) => ({
      // There is one: what leads to the flush is a request for shutdown, which makes it, or a failed start, which does.
      plan: replan(context.plan as BudgetPlan, context.load()),
    })),
    noteCancel: assign({ plan: null, children: ({ context }) => readyAgain(context) }),
    noteStartFailed: assign(({ context }) => ({
      startFailed: true,
      stopping: true,
      mode: 'fast' as const,
      reason: 'the start failed',
      plan: newPlan(context, 'fast'),
    })),
    endPhase: assign(({ context }) => ({ phases: closedPhases(context) })),
    spawnAdmin: enqueueActions(({ context, enqueue, self }) => {
      if (!context.admin) return;
      enqueue.assign(({ context: now }) => withChild(now, 'admin', 'admin'));
      enqueue.spawnChild('admin', { id: 'admin', systemId: 'admin', input: { parent: self, now: context.now } });
    }),
    spawnShards: enqueueActions(({ context, enqueue, self }) => {
      for (let shard = 0; shard < context.shards; shard += 1) {
        const id = shardId(shard);
        // Recorded first: a child may report while it is being spawned.
        enqueue.assign(({ context: now }) => withChild(now, id, 'shard'));
        enqueue.spawnChild('shard', {
          id,
          systemId: id,
          input: { shard, now: context.now, parent: self, counts: () => context.shardCounts(shard) },
        });
      }
    }),
    spawnGateway: enqueueActions(({ context, enqueue, self }) => {
      if (!context.gateway) return;
      enqueue.assign(({ context: now }) => withChild(now, 'gateway', 'gateway'));
      enqueue.spawnChild('gateway', { id: 'gateway', systemId: 'gateway', input: { parent: self, now: context.now } });
    }),
    toShards: enqueueActions(({ context, enqueue, system }, params: { readonly what: ShardCommand }) => {
      if (params.what === 'prepare' && !announces(context)) return;
      for (const { id, state } of shardsOf(context)) {
        const ref = system.get(id) as AnyActorRef | undefined;
        if (ref !== undefined && !ended.includes(state)) enqueue.sendTo(ref, shardCommand(context, params.what));
      }
    }),
    toGateway: enqueueActions(({ context, enqueue, system }, params: { readonly what: EndpointEvent['type'] }) => {
      if (params.what === 'shutdown.announced' && !announces(context)) return;
      const ref = system.get('gateway') as AnyActorRef | undefined;
      if (ref !== undefined) enqueue.sendTo(ref, endpointEvent(context, params.what));
    }),
    /** Once, when the process is to end; a drain without exit is no concern of theirs. */
    toGuests: enqueueActions(({ context, enqueue }) => {
      if (!context.stopping) return;
      for (const { id, ref } of context.guests) {
        if (!hasEnded(context, id)) enqueue.sendTo(ref, guestEvent(context));
      }
    }),
    guestJoined: enqueueActions(({ context, enqueue, event }) => {
      if (event.type !== 'guest.joined' || context.stopping) return;
      const { id, logic, input } = event;
      enqueue.assign(({ context: now, spawn }) => ({
        ...withChild(now, id, 'guest', 'ready'),
        guests: [...now.guests.filter((guest) => guest.id !== id), { id, ref: (spawn as Spawn)(logic, { id, input }) }],
      }));
    }),
    toAdmin: enqueueActions(({ context, enqueue, system }) => {
      const ref = system.get('admin') as AnyActorRef | undefined;
      if (ref !== undefined) enqueue.sendTo(ref, endpointEvent(context, 'shutdown.close'));
    }),
    armBudget: enqueueActions(({ enqueue }) => {
      enqueue(cancel('budget'));
      enqueue(raise({ type: 'budget.over' }, { id: 'budget', delay: 'toReport' }));
    }),
  },
  delays: {
    toAnnounce: ({ context }) => until(context, context.plan?.announceUntil),
    toDrain: ({ context }) => until(context, context.plan?.drainUntil),
    toFlush: ({ context }) => until(context, context.plan?.flushUntil),
    toRelease: ({ context }) => until(context, context.plan?.releaseUntil),
    toReport: ({ context }) => until(context, context.plan?.reportUntil),
  },
  guards: {
    adminSettled: ({ context }) => !context.admin || context.children['admin']?.state !== 'starting',
    adminFailed: ({ context }) => context.children['admin']?.state === 'failed',
    stopping: ({ context }) => context.stopping,
    shardsSettled: ({ context }) => shardsOf(context).every(({ state }) => state !== 'starting'),
    noShardServes: ({ context }) => shardsOf(context).every(({ state }) => ended.includes(state)),
    gatewayReady: ({ context }) => !context.gateway || context.children['gateway']?.state === 'ready',
    gatewayFailed: ({ context }) => context.children['gateway']?.state === 'failed',
    drained: ({ context }) =>
      context.stopping &&
      shardsOf(context).every(({ state }) => state === 'drained' || ended.includes(state)) &&
      (context.mode !== 'graceful' || othersAre(context, ['drained'])),
    drainOnly: ({ context }) => !context.stopping,
    drainAsked: ({ context }) => context.drainAsked !== null,
    harder: ({ context }, { request }: { readonly request: ShutdownRequest }) => pressesHarder(context, request),
    harderStill: ({ context }, { request }: { readonly request: ShutdownRequest }) =>
      request.mode === 'immediate' && context.mode !== 'immediate',
    immediate: ({ context }) => context.mode === 'immediate',
    flushed: ({ context }) => shardsOf(context).every(({ state }) => ended.includes(state)),
    /** All but the admin endpoint, which goes last. */
    closed: ({ context }) => shardsOf(context).every(({ state }) => ended.includes(state)) && othersAre(context, []),
    adminClosed: ({ context }) => !context.admin || hasEnded(context, 'admin'),
  },
}).createMachine({
  id: 'supervisor',
  initial: 'starting',
  options: { maxIterations: MICROSTEPS_MAX },
  context: ({ input }) => ({
    ...input,
    children: guestRecords(input),
    mode: 'graceful',
    reason: '',
    fatal: false,
    startFailed: false,
    requests: 0,
    stopping: false,
    returning: true,
    drainAsked: null,
    plan: null,
    phases: [],
    phase: 'starting',
    phaseSince: input.now(),
  }),
  output: ({ context }) => reportOf(context),
  on: {
    'child.*': {
      actions: [
        { type: 'recordChild', params: ({ event }) => ({ report: event }) },
        { type: 'childReported', params: ({ event }) => ({ report: event }) },
      ],
    },
    shutdown: { actions: [noteRequest, 'armBudget'] },
    'xstate.error.actor.*': {
      actions: [
        { type: 'recordChild', params: ({ event }) => ({ report: brokenReport(event) }) },
        { type: 'childReported', params: ({ event }) => ({ report: brokenReport(event) }) },
        { type: 'childBroke', params: ({ event }) => ({ id: event.actorId, error: event.error }) },
      ],
    },
    'budget.over': { target: '.overdue' },
    'guest.joined': { actions: 'guestJoined' },
    drain: {},
    'drain.cancel': {},
  },
  states: {
    starting: {
      tags: ['live'],
      on: {
        drain: { actions: { type: 'noteDrainAsked', params: ({ event }) => ({ reason: event.reason }) } },
        'drain.cancel': { guard: 'drainAsked', actions: { type: 'noteDrainAsked', params: { reason: null } } },
      },
      initial: 'admin',
      states: {
        admin: {
          entry: 'spawnAdmin',
          always: [
            { guard: 'stopping', target: '#supervisor.draining' },
            { guard: 'adminFailed', target: '#supervisor.draining', actions: 'noteStartFailed' },
            { guard: 'adminSettled', target: 'shards' },
          ],
        },
        shards: {
          entry: 'spawnShards',
          always: [
            // Noted by each shard, which acts on it when what it is opening is open.
            { guard: 'stopping', target: '#supervisor.draining' },
            { guard: 'noShardServes', target: '#supervisor.draining', actions: 'noteStartFailed' },
            { guard: 'shardsSettled', target: 'gateway' },
          ],
        },
        gateway: {
          entry: 'spawnGateway',
          always: [
            { guard: 'stopping', target: '#supervisor.draining' },
            { guard: 'gatewayFailed', target: '#supervisor.draining', actions: 'noteStartFailed' },
            { guard: 'gatewayReady', target: '#supervisor.running' },
          ],
        },
      },
    },
    running: {
      tags: ['live', 'ready'],
      entry: { type: 'beginPhase', params: { phase: 'running' } },
      always: {
        guard: 'drainAsked',
        target: 'draining',
        actions: { type: 'noteDrainOnly', params: ({ context }) => ({ reason: context.drainAsked as string }) },
      },
      on: {
        shutdown: { target: 'announcing', actions: [noteRequest, 'armBudget'] },
        drain: {
          target: 'draining',
          actions: { type: 'noteDrainOnly', params: ({ event }) => ({ reason: event.reason }) },
        },
      },
    },
    announcing: {
      tags: ['live', 'stopping'],
      entry: [
        { type: 'beginPhase', params: { phase: 'announcing' } },
        { type: 'toGateway', params: { what: 'shutdown.announced' } },
        { type: 'toShards', params: { what: 'prepare' } },
      ],
      after: { toAnnounce: 'draining' },
      on: {
        shutdown: [
          { guard: ifHarder, target: 'draining', actions: [noteRequest, 'armBudget'] },
          { actions: [noteRequest, 'armBudget'] },
        ],
      },
    },
    draining: {
      tags: ['live', 'stopping'],
      entry: [
        { type: 'beginPhase', params: { phase: 'draining' } },
        // The barrier first: nothing is admitted from here on.
        { type: 'toShards', params: { what: 'drain' } },
        { type: 'toGateway', params: { what: 'shutdown.drain' } },
        'toGuests',
      ],
      initial: 'settling',
      states: {
        settling: {
          after: { toDrain: { guard: 'stopping', target: '#supervisor.flushing' } },
          always: [
            { guard: 'immediate', target: '#supervisor.flushing' },
            { guard: 'drained', target: '#supervisor.flushing' },
          ],
        },
      },
      on: {
        // Told again, with what is left: a drain without exit becomes a shutdown, or a shutdown a faster one.
        shutdown: [
          { guard: ifHarder, target: 'draining', reenter: true, actions: [noteRequest, 'armBudget'] },
          { actions: [noteRequest, 'armBudget'] },
        ],
        'drain.cancel': {
          guard: 'drainOnly',
          target: 'running',
          actions: [
            'noteCancel',
            { type: 'toShards', params: { what: 'resume' } },
            { type: 'toGateway', params: { what: 'shutdown.cancelled' } },
          ],
        },
      },
    },
    flushing: {
      tags: ['live', 'stopping'],
      entry: [
        'planAgain',
        { type: 'beginPhase', params: { phase: 'flushing' } },
        { type: 'toShards', params: ({ context }) => ({ what: context.mode === 'immediate' ? 'abandon' : 'flush' }) },
        { type: 'toGateway', params: { what: 'shutdown.close' } },
      ],
      always: { guard: 'flushed', target: 'releasing' },
      // The shards' own deadline lies before this one: what has not reported by now never will.
      after: { toFlush: { target: 'releasing', actions: giveUp } },
      on: {
        shutdown: [
          { guard: ifHarderStill, actions: [noteRequest, 'armBudget', giveUp, closeNow] },
          // Told again, so that their deadline moves.
          { guard: ifHarder, actions: [noteRequest, 'armBudget', flushBy, closeNow] },
          { actions: [noteRequest, 'armBudget'] },
        ],
      },
    },
    releasing: {
      tags: ['live', 'stopping'],
      entry: { type: 'beginPhase', params: { phase: 'releasing' } },
      on: {
        shutdown: [
          { guard: ifHarder, actions: [noteRequest, 'armBudget', closeNow] },
          { actions: [noteRequest, 'armBudget'] },
        ],
      },
      initial: 'gateway',
      states: {
        gateway: {
          always: { guard: 'closed', target: 'admin' },
          after: { toRelease: 'admin' },
        },
        admin: {
          entry: 'toAdmin',
          always: { guard: 'adminClosed', target: '#supervisor.stopped' },
          after: { toReport: '#supervisor.stopped' },
        },
      },
    },
    /** The budget is over. An order leaves behind the step that gives it, so the end waits for the shards to be fenced. */
    overdue: {
      tags: ['live', 'stopping'],
      entry: giveUp,
      always: { guard: 'flushed', target: 'stopped' },
      after: { 0: 'stopped' },
    },
    stopped: {
      type: 'final',
      entry: { type: 'endPhase' },
    },
  },
});
