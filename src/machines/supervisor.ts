/**
 * The chart of the whole broker: it starts its children, and it is what a signal reaches. A shutdown is broadcast to
 * every child; the supervisor is final only when each has reported its end, or a deadline fires, and then names those
 * that have not.
 *
 * Invariants
 *   V1  `stopped` is reached only when every child has reported its end, or at the global deadline.
 *   V2  The outcome is `clean` only when every shard and the gateway reported `released` and nobody forced anything.
 *   V3  The mode only escalates: graceful → fast → immediate.
 *   V4  A drain can be cancelled until the first shard was told to flush, and not after.
 *   V5  The admin endpoint starts first and stops last.
 *   V6  One failed shard does not stop its siblings; when none can serve, the start fails.
 *   V7  Every non-final state handles `shutdown`.
 */

import { type AnyActorRef, assign, cancel, enqueueActions, raise, setup } from 'xstate';
import { adminMachine } from './admin.ts';
import { replan } from './budget.ts';
import { ended, guestRecords, othersAre, readyAgain, shardsOf, withChild, withReport } from './children.ts';
import type { EndpointEvent } from './endpoint.ts';
import { gatewayMachine } from './gateway.ts';
import { endpointEvent, guestEvent, newPlan, type ShardCommand, shardCommand, until } from './orders.ts';
import type { ChildReport, Phase, SupervisorReport } from './report.ts';
import { shardId, shardMachine } from './shard.ts';
import { escalate, type ShutdownMode } from './shutdown-mode.ts';
import { beginPhase, closedPhases, reportOf } from './shutdown-report.ts';
import type { SupervisorContext, SupervisorInput } from './supervisor-context.ts';

export type SupervisorEvent =
  | ChildReport
  /** Stop. Again: counted, and escalates when its mode is harder. */
  | { readonly type: 'shutdown'; readonly mode: ShutdownMode; readonly reason: string; readonly fatal?: boolean }
  /** Stop serving and stay; cancellable. */
  | { readonly type: 'drain'; readonly reason: string }
  | { readonly type: 'drain.cancel' }
  | { readonly type: 'budget.over' };

/** Notes a request for shutdown: counts it, hardens the mode, plans. */
const noteRequest = {
  type: 'noteRequest' as const,
  params: ({
    event,
  }: {
    readonly event: { readonly mode: ShutdownMode; readonly reason: string; readonly fatal?: boolean };
  }) => ({
    mode: event.mode,
    reason: event.reason,
    fatal: event.fatal === true,
  }),
};

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
    noteRequest: assign(
      ({ context }, params: { readonly mode: ShutdownMode; readonly reason: string; readonly fatal: boolean }) => {
        const mode = escalate(context.mode, params.mode);
        const plan =
          context.plan === null || !context.stopping ? newPlan(context, mode) : replan(context.plan, context.load());
        return {
          mode,
          plan,
          reason: context.stopping ? context.reason : params.reason,
          requests: context.requests + 1,
          fatal: context.fatal || params.fatal,
          stopping: true,
        };
      },
    ),
    noteDrainOnly: assign(({ context }, params: { readonly reason: string }) => ({
      reason: params.reason,
      plan: newPlan(context, 'fast'),
    })),
    planAgain: assign(({ context }) => ({
      plan: context.plan === null ? null : replan(context.plan, context.load()),
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
      enqueue.spawnChild('admin', { id: 'admin', systemId: 'admin', input: { parent: self } });
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
      enqueue.spawnChild('gateway', { id: 'gateway', systemId: 'gateway', input: { parent: self } });
    }),
    toShards: enqueueActions(({ context, enqueue, system }, params: { readonly what: ShardCommand }) => {
      for (const { id, state } of shardsOf(context)) {
        const ref = system.get(id) as AnyActorRef | undefined;
        if (ref !== undefined && !ended.includes(state)) enqueue.sendTo(ref, shardCommand(context, params.what));
      }
    }),
    toGateway: enqueueActions(({ context, enqueue, system }, params: { readonly what: EndpointEvent['type'] }) => {
      const ref = system.get('gateway') as AnyActorRef | undefined;
      if (ref !== undefined) enqueue.sendTo(ref, endpointEvent(context, params.what));
    }),
    /** Once, when the process is to end; a drain without exit is no concern of theirs. */
    toGuests: enqueueActions(({ context, enqueue }) => {
      if (!context.stopping) return;
      for (const { id, ref } of context.guests) {
        if (!ended.includes(context.children[id]?.state ?? 'released')) enqueue.sendTo(ref, guestEvent(context));
      }
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
    immediate: ({ context }) => context.mode === 'immediate',
    flushed: ({ context }) => shardsOf(context).every(({ state }) => ended.includes(state)),
    closed: ({ context }) => othersAre(context, []),
    adminClosed: ({ context }) => !context.admin || ended.includes(context.children['admin']?.state ?? 'released'),
  },
}).createMachine({
  id: 'supervisor',
  initial: 'starting',
  context: ({ input }) => ({
    ...input,
    children: guestRecords(input),
    mode: 'graceful',
    reason: '',
    fatal: false,
    startFailed: false,
    requests: 0,
    stopping: false,
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
    'budget.over': { target: '.stopped' },
    drain: {},
    'drain.cancel': {},
  },
  states: {
    starting: {
      tags: ['live'],
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
      ],
      after: { toAnnounce: 'draining' },
      on: { shutdown: { target: 'draining', actions: [noteRequest, 'armBudget'] } },
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
        shutdown: { target: 'draining', reenter: true, actions: [noteRequest, 'armBudget'] },
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
      after: { toFlush: 'releasing' },
      on: {
        shutdown: [
          {
            guard: ({ event }) => event.mode === 'immediate',
            actions: [noteRequest, { type: 'toShards', params: { what: 'abandon' } }],
          },
          { actions: [noteRequest] },
        ],
      },
    },
    releasing: {
      tags: ['live', 'stopping'],
      entry: { type: 'beginPhase', params: { phase: 'releasing' } },
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
    stopped: {
      type: 'final',
      entry: { type: 'endPhase' },
    },
  },
});
