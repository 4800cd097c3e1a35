/**
 * Every state that the supervisor's chart can reach with two shards, and every step between them, walked by
 * `xstate/graph`: the events of children, requests, and the timers, given as the events that XState makes of them.
 * Children do not run here; what they may report is decided by what they reported before.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { assign, type SnapshotFrom } from 'xstate';
import { type AdjacencyMap, getAdjacencyMap } from 'xstate/graph';
import { withChild } from '../../src/machines/children.ts';
import { type ChildReport, type ChildState, noCounts } from '../../src/machines/report.ts';
import { isHarder } from '../../src/machines/shutdown-mode.ts';
import { type SupervisorEvent, supervisorMachine } from '../../src/machines/supervisor.ts';
import type { SupervisorContext, SupervisorInput } from '../../src/machines/supervisor-context.ts';

type Snapshot = SnapshotFrom<typeof supervisorMachine>;
interface Step {
  readonly from: Snapshot;
  readonly event: { readonly type: string };
  readonly to: Snapshot;
}

const recordOnly = (...ids: [string, 'admin' | 'shard' | 'gateway'][]) =>
  assign(({ context }: { context: SupervisorContext }) => {
    let { children } = context;
    for (const [id, kind] of ids) children = withChild({ ...context, children }, id, kind).children;
    return { children };
  });

/** Spawning is recorded and not done: a walk that takes each step many times would spawn each child as often. */
const machine = supervisorMachine.provide({
  actions: {
    spawnAdmin: recordOnly(['admin', 'admin']),
    spawnShards: recordOnly(['shard-00', 'shard'], ['shard-01', 'shard']),
    spawnGateway: recordOnly(['gateway', 'gateway']),
  },
} as never);

const input: SupervisorInput = {
  shards: 2,
  grace: { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 5000 },
  now: () => 0,
  load: () => ({ pendingBytes: 0, flushBytesPerSecond: null }),
  shardCounts: () => noCounts,
  gateway: true,
  admin: true,
  guests: [],
};

/** Some 3 s by itself; machines are shared. */
const WALK_MS_MAX = 120_000;

const ends: readonly ChildState[] = ['released', 'failed', 'abandoned'];

/** What a child in `state` may still say. An ended one says again that it was released: the late completion. */
function reportsOf(id: string, kind: string, state: ChildState): ChildReport[] {
  const failed: ChildReport = { type: 'child.failed', id, during: 'write', detail: 'EIO' };
  const released: ChildReport = { type: 'child.released', id };
  if (ends.includes(state)) return [released];
  const further: ChildReport[] = [released, failed];
  if (state === 'starting') further.push({ type: 'child.ready', id });
  if (state === 'ready' && kind !== 'admin') further.push({ type: 'child.drained', id });
  if (kind === 'shard') further.push({ type: 'child.abandoned', id, operation: 'write', ageMs: 1 });
  return further;
}

function timersOf(snapshot: Snapshot): { readonly type: string }[] {
  // biome-ignore lint/suspicious/noExplicitAny: the nodes of a snapshot are no public type
  const nodes = (snapshot as any)._nodes as { readonly after: readonly { readonly eventType: string }[] }[];
  const timers = nodes.flatMap(({ after }) => after.map(({ eventType }) => ({ type: eventType })));
  return snapshot.context.stopping ? [...timers, { type: 'budget.over' }] : timers;
}

function eventsOf(snapshot: Snapshot): SupervisorEvent[] {
  if (snapshot.status !== 'active') return [];
  const children = Object.values(snapshot.context.children)
    // The admin endpoint says nothing between its start and its end.
    .filter(({ kind }) => kind !== 'admin' || ['starting', 'releasing'].includes(phaseOf(snapshot)));
  const reports = children.flatMap(({ id, kind, state }) => reportsOf(id, kind, state));
  const requests = (['graceful', 'fast', 'immediate'] as const).map((mode) => ({
    type: 'shutdown' as const,
    mode,
    reason: 'test',
  }));
  const timers = timersOf(snapshot) as SupervisorEvent[];
  return [...reports, ...requests, { type: 'drain', reason: 'test' }, { type: 'drain.cancel' }, ...timers];
}

function keyOf({ value, status, context }: Snapshot): string {
  const { mode, stopping, startFailed, children } = context;
  // Shards are alike: which of the two it is makes no other state.
  const states = Object.values(children).map(({ kind, state }) => `${kind}:${state}`);
  return JSON.stringify([status, value, mode, stopping, startFailed, states.sort()]);
}

const isTimer = (event: { readonly type: string }): boolean => /^xstate\.after|^budget\.over/.test(event.type);
const phaseOf = ({ value }: Snapshot): string => (typeof value === 'string' ? value : (Object.keys(value)[0] ?? ''));
/** Every child but these has reported its end. */
const endedBut = ({ context }: Snapshot, ...but: string[]): boolean =>
  Object.values(context.children).every(({ id, state }) => ends.includes(state) || but.includes(id));
/** The admin endpoint has been told to close. */
const inLastWait = ({ value }: Snapshot): boolean => JSON.stringify(value) === '{"releasing":"admin"}';

describe('every state of the supervisor with two shards', () => {
  let states: Snapshot[] = [];
  let steps: Step[] = [];
  let map: AdjacencyMap<Snapshot, SupervisorEvent>;

  beforeAll(() => {
    map = getAdjacencyMap(machine, {
      input,
      events: eventsOf as never,
      serializeState: keyOf as never,
      limit: 200_000,
    }) as never;
    states = Object.values(map).map(({ state }) => state);
    steps = Object.values(map).flatMap(({ state: from, transitions }) =>
      (Object.values(transitions) as { event: { type: string }; state: Snapshot }[]).map(({ event, state: to }) => ({
        from,
        event,
        to,
      })),
    );
  }, WALK_MS_MAX);

  it('is walked whole: every phase is reached, by tens of thousands of steps, and none ends in an error', () => {
    expect([...new Set(states.map(phaseOf))].sort()).toEqual(Object.keys(supervisorMachine.states).sort());
    expect(steps.length).toBeGreaterThan(30_000);
    expect(states.filter(({ status }) => status === 'error')).toEqual([]);
  });

  it('V1, V5: is final only when every child has reported its end or its timer fired, the admin endpoint last', () => {
    // The last wait is for the admin endpoint: into it leads the end of all others, or a timer; out of it its own.
    const into = steps.filter(({ from, to }) => inLastWait(to) && !inLastWait(from));
    expect(into.filter(({ event, to }) => !isTimer(event) && !endedBut(to, 'admin'))).toEqual([]);
    const final = steps.filter(({ to, event }) => to.status === 'done' && !isTimer(event));
    expect(final.length).toBeGreaterThan(0);
    for (const { from, to } of final) {
      if (inLastWait(from)) expect(ends).toContain(to.context.children['admin']?.state);
      // A budget that is over waits for the shards alone, to fence them.
      else if (phaseOf(from) === 'overdue') expect(endedBut(to, 'admin', 'gateway')).toBe(true);
      else expect(endedBut(to)).toBe(true);
    }
  });

  it('V1: names whoever had not reported its end', () => {
    const final = states.filter(({ status }) => status === 'done');
    for (const { context, output } of final) {
      const silent = Object.values(context.children).filter(({ state }) => !ends.includes(state));
      expect(output?.unaccounted).toEqual(silent.map(({ id }) => id));
    }
    expect(final.some(({ output }) => output?.unaccounted.length === 4)).toBe(true);
  });

  it('V2 (I3): exit code 0 if and only if it is clean, if and only if every child reported its release', () => {
    for (const { output, status, context } of states) {
      if (status !== 'done') continue;
      const whole = Object.values(context.children).every(({ state }) => state === 'released') && !context.startFailed;
      expect([output?.exitCode === 0, output?.outcome === 'clean']).toEqual([whole, whole]);
    }
  });

  it('I11: a child that failed or was abandoned is never anything else', () => {
    const changed = steps.filter(({ from, to }) =>
      Object.values(from.context.children).some(
        ({ id, state }) => ends.includes(state) && to.context.children[id]?.state !== state,
      ),
    );
    expect(changed).toEqual([]);
  });

  it('V3: the mode only escalates', () => {
    const milder = steps.filter(({ from, to }) => isHarder(from.context.mode, to.context.mode));
    expect(milder).toEqual([]);
  });

  it('V4: goes back from a drain by its cancellation alone, and never once a flush has begun', () => {
    const order = ['starting', 'running', 'announcing', 'draining', 'flushing', 'releasing', 'overdue', 'stopped'];
    const back = steps.filter(({ from, to }) => order.indexOf(phaseOf(to)) < order.indexOf(phaseOf(from)));
    expect(back.length).toBeGreaterThan(0);
    for (const { from, event, to } of back) {
      expect([phaseOf(from), event.type, phaseOf(to), from.context.stopping]).toEqual([
        'draining',
        'drain.cancel',
        'running',
        false,
      ]);
    }
  });

  it('V6: one shard that failed keeps nothing from running while its sibling serves', () => {
    const degraded = states.filter(
      ({ value, context }) =>
        value === 'running' &&
        context.children['shard-00']?.state === 'failed' &&
        context.children['shard-01']?.state === 'ready',
    );
    expect(degraded.length).toBeGreaterThan(0);
  });

  it('V7: a shutdown is taken in every state, and from there timers alone lead to the end', () => {
    for (const { from, event, to } of steps) {
      if (event.type === 'shutdown') expect(to.context.stopping, JSON.stringify(from.value)).toBe(true);
    }
    // Each wait has a timer of its own; the one that ends the whole is not needed for it.
    const ending = new Set(states.filter(({ status }) => status === 'done').map(keyOf));
    for (let grown = true; grown; ) {
      grown = false;
      for (const { from, event, to } of steps) {
        if (!event.type.startsWith('xstate.after') || !ending.has(keyOf(to)) || ending.has(keyOf(from))) continue;
        ending.add(keyOf(from));
        grown = true;
      }
    }
    const stuck = states.filter((state) => state.context.stopping && !ending.has(keyOf(state)));
    expect(stuck.map(({ value }) => JSON.stringify(value))).toEqual([]);
  });
});
