/** A supervisor with less or more than its usual children, and what it says and asks along the way. */
import { describe, expect, it } from 'vitest';
import { type AnyActorRef, createActor, fromCallback } from 'xstate';
import type { EndpointEvent, EndpointInput } from '../../src/machines/endpoint.ts';
import { type ChildReport, noCounts } from '../../src/machines/report.ts';
import { type ShardEvent, type ShardInput, shardId } from '../../src/machines/shard.ts';
import { type SupervisorEvent, supervisorMachine } from '../../src/machines/supervisor.ts';
import type { SupervisorInput } from '../../src/machines/supervisor-context.ts';
import { SimulatedClock } from '../../src/testing/simulated-clock.ts';

type Told = { readonly id: string; readonly event: { readonly type: string } };

/** A supervisor whose children do nothing but note what they are given and told. */
function supervisor(given: Partial<SupervisorInput> = {}, guests: readonly string[] = []) {
  const clock = new SimulatedClock();
  const told: Told[] = [];
  const inputs: Record<string, ShardInput | EndpointInput> = {};
  const reported: ChildReport[] = [];
  const broke: unknown[] = [];
  const endpoint = (id: string) =>
    fromCallback<EndpointEvent, EndpointInput>(({ receive, input }) => {
      inputs[id] = input;
      receive((event) => told.push({ id, event }));
    });
  const shard = fromCallback<ShardEvent, ShardInput>(({ receive, input }) => {
    const id = shardId(input.shard);
    inputs[id] = input;
    receive((event) => told.push({ id, event }));
  });
  const guest = (id: string): { id: string; ref: AnyActorRef } => ({
    id,
    ref: createActor(
      fromCallback<EndpointEvent>(({ receive }) => receive((event) => told.push({ id, event }))),
    ).start(),
  });
  const actor = createActor(
    supervisorMachine.provide({
      actors: { shard: shard as never, gateway: endpoint('gateway') as never, admin: endpoint('admin') as never },
      actions: {
        childReported: (_, { report }) => reported.push(report),
        childBroke: (_, given) => broke.push(given),
      },
    }),
    {
      clock,
      input: {
        shards: 1,
        grace: { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 0 },
        now: () => clock.monotonic(),
        load: () => ({ pendingBytes: 0, flushBytesPerSecond: null }),
        shardCounts: (number) => ({ ...noCounts, lost: number + 1 }),
        gateway: true,
        admin: true,
        guests: guests.map(guest),
        ...given,
      },
    },
  );
  actor.start();
  const send = (...events: SupervisorEvent[]): void => {
    for (const event of events) if (actor.getSnapshot().status === 'active') actor.send(event);
  };
  const report = (type: 'ready' | 'drained' | 'released', ...ids: string[]): void => {
    for (const id of ids) send({ type: `child.${type}`, id } as ChildReport);
  };
  return {
    actor,
    clock,
    told,
    inputs,
    reported,
    broke,
    send,
    report,
    get words() {
      return told.map(({ id, event }) => `${id} ${event.type}`);
    },
    get context() {
      return actor.getSnapshot().context;
    },
    get value() {
      return actor.getSnapshot().value;
    },
  };
}

type Supervisor = ReturnType<typeof supervisor>;
const stop: SupervisorEvent = { type: 'shutdown', mode: 'graceful', reason: 'SIGTERM' };

function running(given: Partial<SupervisorInput> = {}, guests: readonly string[] = []): Supervisor {
  const broker = supervisor(given, guests);
  const shards = Array.from({ length: given.shards ?? 1 }, (_, shard) => shardId(shard));
  broker.report('ready', 'admin', ...shards, 'gateway');
  expect(broker.value).toBe('running');
  return broker;
}

describe('a supervisor without a gateway and an admin endpoint', () => {
  it('runs once its shards do, and ends with them, clean', async () => {
    const broker = supervisor({ gateway: false, admin: false });
    expect(broker.value).toEqual({ starting: 'shards' });
    broker.report('ready', 'shard-00');
    expect(broker.value).toBe('running');
    broker.send(stop);
    await broker.clock.advance(0);
    broker.report('drained', 'shard-00');
    broker.report('released', 'shard-00');
    expect(broker.actor.getSnapshot().output).toMatchObject({ outcome: 'clean', children: [{ id: 'shard-00' }] });
    expect(broker.words).toEqual(['shard-00 shard.drain', 'shard-00 shard.flush']);
  });
});

describe('a child', () => {
  it('is given its number, the time, its parent, and what its report accounts for', () => {
    const broker = supervisor({ shards: 2 });
    broker.report('ready', 'admin', 'shard-00', 'shard-01');
    const { counts, ...shard } = broker.inputs['shard-01'] as ShardInput;
    expect(shard).toEqual({ shard: 1, now: broker.context.now, parent: broker.actor });
    expect(counts()).toEqual({ ...noCounts, lost: 2 });
    for (const id of ['admin', 'gateway']) {
      expect(broker.inputs[id]).toEqual({ now: broker.context.now, parent: broker.actor });
      expect(broker.actor.system.get(id)).toBeDefined();
    }
    expect(broker.actor.system.get('shard-01')).toBeDefined();
  });

  it('is recorded as starting, and its reports are passed on', () => {
    const broker = supervisor();
    expect(broker.context.children).toEqual({
      admin: { id: 'admin', kind: 'admin', state: 'starting', detail: null, counts: noCounts, since: 0 },
    });
    broker.report('ready', 'admin');
    expect(broker.context.children['shard-00']).toMatchObject({ kind: 'shard', state: 'starting' });
    broker.report('ready', 'shard-00');
    expect(broker.context.children['gateway']).toMatchObject({ kind: 'gateway', state: 'starting' });
    expect(broker.reported).toEqual([
      { type: 'child.ready', id: 'admin' },
      { type: 'child.ready', id: 'shard-00' },
    ]);
  });

  it('whose chart broke is reported as failed, and named to whoever has to fence it', () => {
    const broker = running();
    const error = new Error('no state');
    broker.send({ type: 'xstate.error.actor.shard-00', actorId: 'shard-00', error });
    expect(broker.broke).toEqual([{ id: 'shard-00', error }]);
    expect(broker.reported.at(-1)).toEqual({
      type: 'child.failed',
      id: 'shard-00',
      during: 'its own chart',
      detail: 'no state',
    });
    expect(broker.context.children['shard-00']).toMatchObject({ state: 'failed' });
  });
});

describe('a guest', () => {
  it('is told to end once, with the deadline of the flush, by a shutdown and not by a drain without exit', async () => {
    const broker = running({}, ['worker']);
    expect(broker.context.children['worker']).toMatchObject({ kind: 'guest', state: 'ready', since: 0 });
    broker.send({ type: 'drain', reason: 'SIGUSR2' });
    expect(broker.words).not.toContain('worker shutdown');
    broker.send(stop);
    await broker.clock.advance(0);
    expect(broker.told.filter(({ id }) => id === 'worker')).toEqual([
      { id: 'worker', event: { type: 'shutdown', reason: 'SIGTERM', mode: 'graceful', deadline: 25_000 } },
    ]);
  });

  it('that has ended already is told nothing, and is not waited for', async () => {
    const broker = running({}, ['worker', 'other']);
    broker.report('released', 'worker');
    broker.send(stop);
    await broker.clock.advance(0);
    expect(broker.words.filter((word) => word.endsWith('shutdown'))).toEqual(['other shutdown']);
    broker.report('drained', 'shard-00', 'gateway', 'other');
    expect(broker.value).toBe('flushing');
  });

  it('is not waited for when a shutdown is fast', async () => {
    const broker = running({}, ['worker']);
    broker.send({ ...stop, mode: 'fast' } as SupervisorEvent);
    await broker.clock.advance(0);
    broker.report('drained', 'shard-00');
    expect(broker.value).toBe('flushing');
  });
});

describe('a drain asked for while it starts', () => {
  it('is acted on when it runs, for the reason given', () => {
    const broker = supervisor();
    broker.send({ type: 'drain', reason: 'the operator' });
    expect(broker.value).toEqual({ starting: 'admin' });
    broker.report('ready', 'admin', 'shard-00', 'gateway');
    expect(broker.value).toEqual({ draining: 'settling' });
    expect(broker.context).toMatchObject({ reason: 'the operator', drainAsked: null, stopping: false });
    expect(broker.words).toEqual(['shard-00 shard.drain', 'gateway shutdown.drain']);
    broker.send({ type: 'drain.cancel' });
    expect(broker.value).toBe('running');
  });

  it('is forgotten when it is cancelled before', () => {
    const broker = supervisor();
    broker.send({ type: 'drain.cancel' }, { type: 'drain', reason: 'the operator' }, { type: 'drain.cancel' });
    broker.report('ready', 'admin', 'shard-00', 'gateway');
    expect(broker.value).toBe('running');
    expect(broker.words).toEqual([]);
  });
});

describe('a drain without exit', () => {
  it('has no end of its own, plans as a fast shutdown would, and leaves no plan when it is cancelled', async () => {
    const broker = running({ grace: { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 5000 } });
    broker.send({ type: 'drain', reason: 'SIGUSR2' });
    expect(broker.context).toMatchObject({ reason: 'SIGUSR2', plan: { startedAt: 0, announceMs: 0 } });
    expect(broker.told.find(({ id }) => id === 'gateway')?.event).toMatchObject({
      type: 'shutdown.drain',
      reason: 'SIGUSR2',
      leaving: false,
      returning: true,
    });
    await broker.clock.advance(100_000);
    expect(broker.value).toEqual({ draining: 'settling' });
    broker.send({ type: 'drain', reason: 'again' });
    expect(broker.context.reason).toBe('SIGUSR2');
    broker.send({ type: 'drain.cancel' });
    expect(broker.context.plan).toBeNull();
    broker.send({ type: 'drain.cancel' });
    expect(broker.value).toBe('running');
  });
});

describe('the announcement', () => {
  const grace = { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 5000 };

  it('is made to the gateway and prepared for by the shards when there is time for one', async () => {
    const broker = running({ grace });
    broker.send({ ...stop, returning: false } as SupervisorEvent);
    expect(broker.words).toEqual(['gateway shutdown.announced', 'shard-00 shard.prepare']);
    expect(broker.told[0]?.event).toMatchObject({ reason: 'SIGTERM', leaving: true, returning: false });
    expect(broker.actor.getSnapshot().hasTag('stopping')).toBe(true);
    await broker.clock.advance(4999);
    expect(broker.value).toBe('announcing');
    broker.send(stop);
    expect([broker.value, broker.context.requests]).toEqual(['announcing', 2]);
    await broker.clock.advance(1);
    expect(broker.value).toEqual({ draining: 'settling' });
  });

  it('is none when there is no time for one', () => {
    const broker = running();
    broker.send(stop);
    expect(broker.words).toEqual([]);
  });
});

describe('the flush', () => {
  it('begins at its time, whoever has not drained, by the newest measure of what is pending', async () => {
    const load = { pendingBytes: 0, flushBytesPerSecond: 100e6 };
    const broker = running({ load: () => ({ ...load }) });
    broker.send(stop);
    await broker.clock.advance(22_999);
    expect(broker.value).toEqual({ draining: 'settling' });
    load.pendingBytes = 400e6;
    await broker.clock.advance(1);
    expect(broker.value).toBe('flushing');
    expect(broker.context.plan).toMatchObject({ drainUntil: 19_000, flushUntil: 25_000 });
    expect(broker.words.slice(-2)).toEqual(['shard-00 shard.flush', 'gateway shutdown.close']);
  });

  it('is given up at its end: what has not reported is told so, and the release begins', async () => {
    const broker = running();
    broker.send(stop);
    await broker.clock.advance(24_999);
    expect(broker.value).toBe('flushing');
    await broker.clock.advance(1);
    expect(broker.value).toEqual({ releasing: 'gateway' });
    expect(broker.told.at(-1)).toEqual({
      id: 'shard-00',
      event: { type: 'shard.abandon', reason: 'its time is up' },
    });
  });

  it('is given up when an immediate end is asked for while it goes on', async () => {
    const broker = running();
    broker.send(stop);
    await broker.clock.advance(0);
    broker.report('drained', 'shard-00', 'gateway');
    expect(broker.value).toBe('flushing');
    broker.told.length = 0;
    broker.send({ type: 'shutdown', mode: 'immediate', reason: 'SIGQUIT' });
    expect(broker.words).toEqual(['shard-00 shard.abandon', 'gateway shutdown.close']);
    broker.told.length = 0;
    broker.send({ type: 'shutdown', mode: 'immediate', reason: 'SIGQUIT' });
    expect(broker.words).toEqual([]);
  });

  it('changes nothing but the count when it is asked for again', async () => {
    const broker = running();
    broker.send(stop);
    await broker.clock.advance(0);
    broker.report('drained', 'shard-00', 'gateway');
    broker.told.length = 0;
    broker.send(stop);
    expect([broker.words, broker.context.requests]).toEqual([[], 2]);
  });
});

describe('the release', () => {
  async function releasing(): Promise<Supervisor> {
    const broker = running();
    broker.send(stop);
    await broker.clock.advance(0);
    broker.report('drained', 'shard-00', 'gateway');
    broker.report('released', 'shard-00');
    expect(broker.value).toEqual({ releasing: 'gateway' });
    return broker;
  }

  it('waits for the gateway until its time, then closes the admin endpoint all the same', async () => {
    const broker = await releasing();
    await broker.clock.advance(26_499);
    expect(broker.words).not.toContain('admin shutdown.close');
    await broker.clock.advance(1);
    expect(broker.words.at(-1)).toBe('admin shutdown.close');
    await broker.clock.advance(499);
    expect(broker.actor.getSnapshot().status).toBe('active');
    await broker.clock.advance(1);
    expect(broker.actor.getSnapshot().output).toMatchObject({
      outcome: 'abandoned',
      durationMs: 27_000,
      unaccounted: ['admin', 'gateway'],
    });
  });

  it('counts what is asked of it, and presses the gateway only when that is harder', async () => {
    const broker = await releasing();
    broker.told.length = 0;
    broker.send(stop);
    expect(broker.words).toEqual([]);
    broker.send({ type: 'shutdown', mode: 'fast', reason: 'SIGINT' });
    expect(broker.words).toEqual(['gateway shutdown.close']);
    expect(broker.context).toMatchObject({ requests: 3, mode: 'fast', reason: 'SIGTERM' });
  });
});

describe('a start', () => {
  it('whose admin endpoint cannot listen fails, and spawns nothing more', async () => {
    const broker = supervisor();
    broker.send({ type: 'child.failed', id: 'admin', during: 'bind', detail: 'EADDRINUSE' });
    await broker.clock.advance(0);
    expect(broker.actor.getSnapshot().output).toMatchObject({
      outcome: 'start-failed',
      exitCode: 1,
      reason: 'the start failed',
      mode: 'fast',
    });
    expect(Object.keys(broker.inputs)).toEqual(['admin']);
  });

  it('that fails is not ended by its guests, which are told', async () => {
    const broker = supervisor({}, ['worker']);
    broker.report('ready', 'admin');
    broker.send({ type: 'child.failed', id: 'shard-00', during: 'open', detail: 'damaged' });
    expect(broker.words).toContain('worker shutdown');
  });

  it('is watched by its tags: live at once, ready when it runs', () => {
    const broker = supervisor();
    const tags = () => [...broker.actor.getSnapshot().tags].sort();
    expect(tags()).toEqual(['live']);
    broker.report('ready', 'admin', 'shard-00', 'gateway');
    expect(tags()).toEqual(['live', 'ready']);
    broker.send({ type: 'drain', reason: 'test' });
    expect(tags()).toEqual(['live', 'stopping']);
    broker.send({ type: 'shutdown', mode: 'immediate', reason: 'test' });
    expect([broker.value, tags()]).toEqual(['flushing', ['live', 'stopping']]);
    broker.report('released', 'shard-00');
    expect([broker.value, tags()]).toEqual([{ releasing: 'gateway' }, ['live', 'stopping']]);
  });
});

describe('the end of the budget', () => {
  it('has one timer beside that of the phase, however often a stop is asked for', async () => {
    const broker = running();
    broker.send(stop);
    await broker.clock.advance(0);
    expect(broker.clock.pending).toBe(2);
    broker.send(stop, stop, { type: 'shutdown', mode: 'graceful', reason: 'stop', deadline: 20_000 });
    expect(broker.clock.pending).toBe(2);
    broker.send({ type: 'drain.cancel' });
    expect([broker.value, broker.clock.pending]).toEqual([{ draining: 'settling' }, 2]);
  });

  it('tells every shard that has not ended to give up, and ends when they have', async () => {
    const broker = running({ shards: 2 });
    broker.send(stop);
    await broker.clock.advance(0);
    broker.report('released', 'shard-00');
    broker.told.length = 0;
    broker.send({ type: 'budget.over' });
    expect(broker.value).toBe('overdue');
    expect(broker.words).toEqual(['shard-01 shard.abandon']);
    broker.send({ type: 'child.abandoned', id: 'shard-01', operation: 'write', ageMs: 5 });
    expect(broker.actor.getSnapshot().output).toMatchObject({ outcome: 'abandoned' });
    expect(broker.clock.pending).toBe(0);
  });
});
