/**
 * Taken from the definitions alone: every state of every chart, entered as it is, and every event that any state of the
 * chart knows, those that XState makes included. None may throw, and none may leave an error: a throw in a guard or an
 * action ends an actor for good, with its children running.
 */
import { describe, expect, it } from 'vitest';
import { type AnyMachineSnapshot, type AnyStateMachine, type AnyStateNode, type StateValue, transition } from 'xstate';
import { newGroup, restoreGroup } from '../../src/domain/group.ts';
import { adminMachine } from '../../src/machines/admin.ts';
import { planBudget } from '../../src/machines/budget.ts';
import { gatewayMachine } from '../../src/machines/gateway.ts';
import { groupMachine } from '../../src/machines/group.ts';
import { noCounts } from '../../src/machines/report.ts';
import { sessionMachine } from '../../src/machines/session.ts';
import { shardMachine } from '../../src/machines/shard.ts';
import { supervisorMachine } from '../../src/machines/supervisor.ts';

const grace = { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 0 };
const load = { pendingBytes: 0, flushBytesPerSecond: null };
const plan = planBudget({ ...grace, ...load, now: 0, mode: 'graceful' });

/** An event of each type with every field that any of them has. */
const fields = {
  id: 'shard-00',
  actorId: 'shard-00',
  during: 'write',
  detail: 'EIO',
  operation: 'write',
  ageMs: 1,
  counts: noCounts,
  mode: 'graceful',
  reason: 'test',
  leaving: true,
  returning: true,
  plan,
  deadline: 1000,
  retryAfterMs: 1,
  error: new Error('EIO'),
  code: 1000,
  member: 'm-1',
  topics: ['orders'],
  keys: ['orders/0'],
  partitions: new Map([['orders', 1]]),
};

const child = { id: 'shard-00', kind: 'shard', state: 'ready', detail: null, counts: noCounts, since: 0 };
const charts: readonly (readonly [string, AnyStateMachine, object])[] = [
  ['admin', adminMachine, { parent: undefined, now: () => 0, closeAsked: false, closeIn: 0, closingSince: 0 }],
  ['gateway', gatewayMachine, { parent: undefined, now: () => 0, told: null, closingSince: 0 }],
  ['session', sessionMachine, {}],
  ['group', groupMachine, restoreGroup({ ...newGroup, members: new Map([['m-2', ['orders']]]) }, new Map())],
  [
    'shard',
    shardMachine,
    {
      shard: 0,
      id: 'shard-00',
      parent: undefined,
      now: () => 0,
      counts: () => noCounts,
      deadline: 1000,
      drainAsked: false,
      flushAsked: false,
      retryAfterMs: 1,
      operation: 'open',
      operationSince: 0,
      outcome: 'failed',
      fault: '',
    },
  ],
  [
    'supervisor',
    supervisorMachine,
    {
      shards: 1,
      grace,
      now: () => 0,
      load: () => load,
      shardCounts: () => noCounts,
      gateway: true,
      admin: true,
      guests: [],
      children: { 'shard-00': child },
      mode: 'graceful',
      reason: '',
      fatal: false,
      startFailed: false,
      returning: true,
      drainAsked: null,
      requests: 0,
      stopping: false,
      plan: null,
      phases: [],
      phase: 'running',
      phaseSince: 0,
    },
  ],
];

function nodesOf(node: AnyStateNode): AnyStateNode[] {
  return [node, ...Object.values(node.states).flatMap(nodesOf)];
}

function stateValueOf(path: readonly string[]): StateValue {
  const [first, ...rest] = path;
  if (first === undefined) return {};
  return rest.length === 0 ? first : { [first]: stateValueOf(rest) };
}

/** Types without wildcards: a pattern stands for what it was written for. */
function eventTypesOf(machine: AnyStateMachine): string[] {
  const known = nodesOf(machine.root).flatMap((node) => [...node.transitions.keys()]);
  const named = known.filter((type) => type !== '').map((type) => type.replace(/\*$/, 'shard-00'));
  const reports = ['ready', 'drained', 'released', 'failed', 'abandoned'].map((report) => `child.${report}`);
  const words = ['announced', 'drain', 'close', 'cancelled'].map((word) => `shutdown.${word}`);
  const patterns = { 'child.*': reports, 'shutdown.*': words };
  const more = Object.entries(patterns).flatMap(([pattern, types]) => (known.includes(pattern) ? types : []));
  return [...new Set([...named, ...more])];
}

/** A completion comes only while what completes is invoked: XState takes none of an actor that was stopped. */
function mayCome(type: string, leaf: AnyStateNode): boolean {
  const invoked = /^xstate\.(?:done|error)\.actor\.(\d.*)$/.exec(type)?.[1];
  if (invoked === undefined) return true;
  return [leaf, ...ancestorsOf(leaf)].some((node) => node.invoke.some(({ id }) => id === invoked));
}

describe.each(charts)('the chart of the %s', (_name, machine, context) => {
  const nodes = nodesOf(machine.root);
  const leaves = nodes.filter((node) => node.type === 'atomic');
  const types = eventTypesOf(machine);

  it('takes every event in every state without an error', () => {
    expect(leaves.length * types.length).toBeGreaterThan(5);
    for (const leaf of leaves) {
      for (const type of types) {
        if (!mayCome(type, leaf)) continue;
        const entered = machine.resolveState({ value: stateValueOf(leaf.path), context });
        const [next] = transition(machine, entered, { type, ...fields });
        expect((next as AnyMachineSnapshot).status, `${leaf.path.join('.')} ← ${type}`).not.toBe('error');
      }
    }
  });

  it('gives every invoke an error of its own meaning', () => {
    for (const node of nodes) {
      for (const { id } of node.invoke) {
        const onError = nodes.flatMap((any) => any.transitions.get(`xstate.error.actor.${id}`) ?? []);
        const onDone = nodes.flatMap((any) => any.transitions.get(`xstate.done.actor.${id}`) ?? []);
        expect(onError.length, `${node.path.join('.')}: onError`).toBeGreaterThan(0);
        const targets = (of: typeof onDone): string[] => of.flatMap(({ target }) => target?.map((to) => to.id) ?? []);
        const same = targets(onError).every((target) => targets(onDone).includes(target));
        // Where a failure and a success lead to one state, the state must not claim the success.
        if (same)
          expect(['shard.failing', 'gateway.draining.settling']).toContain(`${machine.id}.${node.path.join('.')}`);
      }
    }
  });

  it('bounds the steps of one event', () => {
    if (machine.id === 'session') return;
    expect(machine.options.maxIterations).toBeLessThanOrEqual(100);
  });

  it('ends in final states alone, each reached from every state', () => {
    // A group has no end: it becomes empty, and its generation is kept.
    expect(nodes.some(({ type }) => type === 'final')).toBe(machine !== groupMachine);
    if (machine === groupMachine) return;
    for (const leaf of leaves) {
      const own = [leaf, ...ancestorsOf(leaf)].flatMap((node) => [...node.transitions.values()].flat());
      const leaving = own.filter(({ target }) => target !== undefined && target.length > 0);
      expect(leaving.length, leaf.path.join('.')).toBeGreaterThan(0);
    }
  });
});

function ancestorsOf(node: AnyStateNode): AnyStateNode[] {
  return node.parent === undefined ? [] : [node.parent, ...ancestorsOf(node.parent)];
}
