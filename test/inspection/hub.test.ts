/** The hub looks at any XState system, costs nothing while nobody looks, and never disturbs what it looks at. */
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type AnyActorRef, assign, createActor, fromCallback, fromPromise, fromTransition, setup } from 'xstate';
import type { Frame } from '../../src/inspection/frames.ts';
import { InspectionHub } from '../../src/inspection/hub.ts';
import { ACTORS_MAX } from '../../src/inspection/roster.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { MemoryViewer } from './memory-viewer.ts';

const lamp = setup({
  actors: { warmUp: fromPromise(() => pause(1)) },
  guards: { powered: () => true },
  delays: { untilTired: 60_000 },
  actions: {
    ring: () => {},
    burn: () => {
      throw new Error('burnt out');
    },
  },
}).createMachine({
  id: 'lamp',
  initial: 'off',
  context: { password: 'swordfish', turns: 0, nested: { apiKey: 'k', ok: true } },
  on: { burn: { actions: 'burn' } },
  states: {
    off: {
      on: { turn: { guard: 'powered', target: 'on', actions: 'ring' }, count: { actions: assign({ turns: 1 }) } },
    },
    on: {
      initial: 'warming',
      states: {
        warming: { invoke: { src: 'warmUp', onDone: 'bright' } },
        bright: { entry: 'ring', after: { untilTired: '#lamp.off' } },
      },
      on: { turn: 'off' },
    },
    broken: { type: 'final' },
  },
});

const room = setup({
  actors: {
    lamp,
    bell: fromCallback(() => {}),
    counter: fromTransition((state: { readonly n: number }) => state, { n: 0 }),
    errand: fromPromise(() => pause(1)),
    mishap: fromPromise(async () => {
      throw new TypeError('no <b>milk</b>');
    }),
  },
}).createMachine({
  id: 'room',
  initial: 'there',
  states: {
    there: {
      on: {
        add: { actions: ({ event, self: _ }) => void event },
        lamp: { actions: assign(({ spawn }) => ({ lamp: spawn('lamp', { id: 'lamp-1' }) })) },
        bell: { actions: assign(({ spawn }) => ({ bell: spawn('bell', { id: 'bell-1' }) })) },
        counter: { actions: assign(({ spawn }) => ({ counter: spawn('counter', { id: 'counter-1' }) })) },
        errand: { actions: assign(({ spawn }) => ({ errand: spawn('errand', { id: 'errand-1' }) })) },
        mishap: 'troubled',
      },
    },
    troubled: { invoke: { src: 'mishap', id: 'mishap-1', onError: 'there' } },
  },
});

interface Rig {
  readonly hub: InspectionHub;
  readonly clock: SimulatedClock;
  readonly faults: unknown[];
  readonly view: () => MemoryViewer;
  /** Lets batches go. */
  readonly flush: () => void;
}

function rigOf(
  actor: AnyActorRef | null,
  more: { readonly send?: boolean; readonly later?: () => AnyActorRef | null } = {},
): Rig {
  const clock = new SimulatedClock();
  const faults: unknown[] = [];
  const hub = new InspectionHub({
    source: { name: 'toy', version: '1', pid: 1, startedAt: 0, host: 'here' },
    actor: more.later ?? (() => actor),
    may: { send: more.send ?? false, act: false },
    clock,
    facts: null,
    crowd: null,
    failed: (error) => faults.push(error),
  });
  onTestFinished(() => expect(faults).toEqual([]));
  return { hub, clock, faults, view: () => new MemoryViewer(hub), flush: () => advance(clock, 60) };
}

function advance(clock: SimulatedClock, ms: number): void {
  const until = clock.monotonic() + ms;
  while (clock.fireNext(until));
}

function named(frames: readonly Frame[], name: string): Extract<Frame, { readonly type: 'actor' }> {
  const found = frames.find((frame) => frame.type === 'actor' && frame.name === name);
  if (found?.type !== 'actor') throw new Error(`no actor ${name} among ${JSON.stringify(frames)}`);
  return found;
}

describe('the hub', () => {
  it('says hello first, then each machine once and the tree, parents before children', () => {
    const actor = createActor(room, { id: 'the-room' }).start();
    actor.send({ type: 'lamp' });
    actor.send({ type: 'bell' });
    const { view, flush } = rigOf(actor);
    const viewer = view();
    flush();
    const types = viewer.frames.map(({ type }) => type);
    expect(types.slice(0, 6)).toEqual(['hello', 'machine', 'actor', 'machine', 'actor', 'actor']);
    const root = named(viewer.frames, 'the-room');
    expect(root).toMatchObject({ parent: null, kind: 'machine', status: 'active', value: 'there' });
    expect(named(viewer.frames, 'lamp-1')).toMatchObject({ parent: root.id, kind: 'machine', value: 'off' });
    expect(named(viewer.frames, 'bell-1')).toMatchObject({
      parent: root.id,
      kind: 'callback',
      machine: null,
      value: null,
    });
  });

  it.each([
    ['lamp', 'machine'],
    ['bell', 'callback'],
    ['counter', 'transition'],
    ['errand', 'promise'],
  ] as const)('tells a spawned %s as a %s', (type, kind) => {
    const actor = createActor(room).start();
    const { view, flush } = rigOf(actor);
    const viewer = view();
    actor.send({ type });
    flush();
    expect(named(viewer.frames, `${type}-1`).kind).toBe(kind);
  });

  it('shows the edges that a step took, by their numbers in the definition', () => {
    const actor = createActor(lamp).start();
    const { view, flush } = rigOf(actor);
    const viewer = view();
    actor.send({ type: 'turn' });
    flush();
    const [machine] = viewer.of('machine');
    const [step] = viewer.of('step');
    const edges = step?.edges.map((number) => machine?.definition.edges[number]);
    expect(edges).toMatchObject([{ source: 'off', target: 'on', event: 'turn', guard: 'powered', actions: ['ring'] }]);
    expect(step?.value).toEqual({ on: 'warming' });
    const delayed = machine?.definition.edges.find(({ delay }) => delay !== undefined);
    expect(delayed).toMatchObject({ source: 'on.bright', target: 'off', delay: 'untilTired' });
  });

  it('tells a promise child from its start to its going, and where its result leads', async () => {
    const actor = createActor(lamp).start();
    const { view, flush } = rigOf(actor);
    const viewer = view();
    actor.send({ type: 'turn' });
    await pause(20);
    flush();
    const child = viewer.of('actor').find(({ kind }) => kind === 'promise');
    expect(child).toMatchObject({ parent: actor.sessionId, name: 'warmUp' });
    expect(viewer.of('state').find(({ id }) => id === child?.id)).toMatchObject({ status: 'done' });
    expect(viewer.of('gone').map(({ id }) => id)).toEqual([child?.id]);
    expect(viewer.of('step').at(-1)?.value).toEqual({ on: 'bright' });
    // Its own end is told behind its going, and brings it back to nobody.
    expect(viewer.of('actor').filter(({ id }) => id === child?.id)).toHaveLength(1);
    const late = view();
    flush();
    expect(late.of('actor').map(({ kind }) => kind)).toEqual(['machine']);
  });

  it('tells a child that fails, with its error as a text', async () => {
    const actor = createActor(room).start();
    const { view, flush } = rigOf(actor);
    const viewer = view();
    actor.send({ type: 'mishap' });
    await pause(20);
    flush();
    expect(viewer.of('state')).toMatchObject([{ status: 'error', error: 'TypeError: no <b>milk</b>' }]);
  });

  it('tells a machine whose own action throws, and the machine fails as it would have', async () => {
    const actor = createActor(lamp);
    const errors: unknown[] = [];
    actor.subscribe({ error: (error) => errors.push(error) });
    actor.start();
    const { view, flush } = rigOf(actor);
    const viewer = view();
    actor.send({ type: 'burn' });
    await pause(1);
    flush();
    expect(errors).toHaveLength(1);
    expect(viewer.of('state').at(-1)).toMatchObject({
      id: actor.sessionId,
      status: 'error',
      error: 'Error: burnt out',
    });
  });

  it('tells what is stopped as gone, with all that is below it', () => {
    const actor = createActor(room).start();
    actor.send({ type: 'lamp' });
    const { view, flush } = rigOf(actor);
    const viewer = view();
    actor.stop();
    flush();
    const told = viewer.of('actor').map(({ id }) => id);
    expect(
      viewer
        .of('gone')
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...told].sort());
  });

  it('tells a late viewer the tree as it is, not as it was', () => {
    const actor = createActor(room).start();
    const { view, flush } = rigOf(actor);
    const early = view();
    actor.send({ type: 'lamp' });
    flush();
    const late = view();
    flush();
    expect(named(late.frames, 'lamp-1').id).toBe(named(early.frames, 'lamp-1').id);
    expect(late.of('hello')).toHaveLength(1);
    expect(late.of('machine').filter(({ picture }) => picture === '').length).toBeLessThanOrEqual(2);
    expect(late.of('event')).toEqual([]);
  });

  it('tells two viewers the same, and each numbers its own batches without a gap', () => {
    const actor = createActor(lamp).start();
    const { view, flush } = rigOf(actor);
    const viewers = [view(), view()];
    for (let turn = 0; turn < 5; turn += 1) {
      actor.send({ type: 'count' });
      flush();
    }
    const [first, second] = viewers.map((viewer) => viewer.of('event'));
    expect(first?.length).toBe(5);
    expect(second).toEqual(first);
    for (const viewer of viewers) expect(viewer.batches.map(({ seq }) => seq)).toEqual(viewer.batches.map((_, n) => n));
  });

  it('gathers what happens within 50 ms into one batch', () => {
    const actor = createActor(lamp).start();
    const { view, flush, clock } = rigOf(actor);
    const viewer = view();
    flush();
    const before = viewer.batches.length;
    for (let n = 0; n < 100; n += 1) actor.send({ type: 'count' });
    expect(viewer.batches.length).toBe(before);
    advance(clock, 50);
    expect(viewer.batches.length).toBe(before + 1);
    expect(viewer.batches.at(-1)?.frames.filter(({ type }) => type === 'event')).toHaveLength(100);
  });

  it('leaves out and counts what a viewer does not read, and tells it the tree anew when it reads again', () => {
    const actor = createActor(room).start();
    const { view, flush } = rigOf(actor);
    const [slow, quick] = [view(), view()];
    flush();
    slow.bufferedBytes = 5 * 1024 * 1024;
    const before = slow.batches.length;
    actor.send({ type: 'lamp' });
    for (let n = 0; n < 50; n += 1) actor.send({ type: 'add' });
    flush();
    expect(slow.batches.length).toBe(before);
    expect(quick.of('event').length).toBeGreaterThanOrEqual(51);
    slow.bufferedBytes = 0;
    flush();
    expect(slow.batches.at(-1)?.dropped).toBeGreaterThanOrEqual(51);
    expect(named(slow.frames, 'lamp-1').id).toBe(named(quick.frames, 'lamp-1').id);
    expect(quick.batches.at(-1)?.dropped).toBe(0);
  });

  it('tells a viewer that was behind what is gone meanwhile', () => {
    const actor = createActor(room).start();
    actor.send({ type: 'lamp' });
    const { view, flush } = rigOf(actor);
    const slow = view();
    flush();
    slow.bufferedBytes = 5 * 1024 * 1024;
    const id = named(slow.frames, 'lamp-1').id;
    actor.stop();
    flush();
    expect(slow.of('gone')).toEqual([]);
    slow.bufferedBytes = 0;
    flush();
    expect(slow.of('gone').map((frame) => frame.id)).toContain(id);
  });

  it('holds no more than a fixed amount for a viewer between two batches', () => {
    const actor = createActor(lamp).start();
    const { view, clock } = rigOf(actor);
    const viewer = view();
    for (let n = 0; n < 30_000; n += 1) actor.send({ type: 'count' });
    advance(clock, 120);
    const sizes = viewer.batches.map((batch) => JSON.stringify(batch).length);
    expect(Math.max(...sizes)).toBeLessThan(1.2 * 1024 * 1024);
    expect(viewer.batches.at(-1)?.dropped).toBeGreaterThan(1000);
  });

  it('shows only the events of those that a viewer follows', () => {
    const actor = createActor(room).start();
    actor.send({ type: 'lamp' });
    const { view, flush } = rigOf(actor);
    const viewer = view();
    flush();
    const id = named(viewer.frames, 'lamp-1').id;
    viewer.seat.take({ type: 'follow', ids: [id] });
    actor.send({ type: 'add' });
    actor.getSnapshot().children['lamp-1']?.send({ type: 'count' });
    flush();
    expect(viewer.of('event').map(({ to }) => to)).toEqual([id]);
  });

  it('shows a context only when asked, without what is secret', () => {
    const actor = createActor(lamp).start();
    const { view, flush } = rigOf(actor);
    const viewer = view();
    flush();
    expect(JSON.stringify(viewer.batches)).not.toContain('turns');
    viewer.seat.take({ type: 'context', id: actor.sessionId });
    viewer.seat.take({ type: 'context', id: 'nobody' });
    flush();
    expect(viewer.of('state').at(-1)?.context).toEqual({
      password: '[redacted]',
      turns: 0,
      nested: { apiKey: '[redacted]', ok: true },
    });
    expect(viewer.of('error')).toEqual([{ type: 'error', message: 'there is no actor nobody' }]);
    expect(JSON.stringify(viewer.batches)).not.toContain('swordfish');
  });

  it('sends an event only where that is allowed', () => {
    const actor = createActor(lamp).start();
    const shut = rigOf(actor);
    const viewer = shut.view();
    viewer.seat.take({ type: 'send', id: actor.sessionId, event: { type: 'turn' } });
    shut.flush();
    expect(actor.getSnapshot().value).toBe('off');
    expect(viewer.of('error')).toHaveLength(1);
    const open = rigOf(actor, { send: true });
    const other = open.view();
    other.seat.take({ type: 'send', id: actor.sessionId, event: { type: 'turn' } });
    expect(actor.getSnapshot().value).toEqual({ on: 'warming' });
  });

  it('takes names of 64 KiB and of markup, and events of whatever is in them', () => {
    const long = '<img src=x onerror=alert(1)>\u0000\ud800'.repeat(3000);
    const machine = setup({}).createMachine({ id: long, initial: long, states: { [long]: { on: { [long]: {} } } } });
    const actor = createActor(machine, { id: long }).start();
    const { view, flush } = rigOf(actor);
    const viewer = view();
    const loop: Record<string, unknown> = {};
    loop['loop'] = loop;
    const trap = {
      get broken(): never {
        throw new Error('read');
      },
    };
    actor.send({
      type: long,
      token: 'abc',
      loop,
      trap,
      big: 1n,
      bytes: new Uint8Array(9),
      list: Array(99).fill(1),
      actor,
    } as never);
    flush();
    expect(JSON.stringify(viewer.batches).length).toBeLessThan(20_000);
    const [event] = viewer.of('event');
    expect(event?.event).toMatchObject({
      token: '[redacted]',
      loop: { loop: '[object]' },
      trap: '[unreadable]',
      big: '1n',
      bytes: '[9 bytes]',
    });
    expect(String(event?.event['actor'])).toMatch(/^\[actor /);
  });

  it('attaches with the first viewer and leaves nothing behind with the last', () => {
    const actor = createActor(lamp).start();
    const { hub, clock, view, flush } = rigOf(actor);
    const observers = countObservers(actor);
    expect([hub.attached, observers()]).toEqual([false, 0]);
    const viewers = [view(), view()];
    expect(hub.attached).toBe(true);
    flush();
    viewers[0]?.seat.leave();
    expect([hub.attached, observers()]).toEqual([true, 1]);
    viewers[1]?.seat.leave();
    expect([hub.attached, observers()]).toEqual([false, 0]);
    const told = viewers.map((viewer) => viewer.batches.length);
    actor.send({ type: 'turn' });
    expect(clock.pending).toBe(0);
    expect(viewers.map((viewer) => viewer.batches.length)).toEqual(told);
    const again = view();
    flush();
    expect(named(again.frames, actor.id).value).toEqual({ on: 'warming' });
    again.seat.leave();
  });

  it('tells the end as the last frame, and how things stood before it', () => {
    const actor = createActor(lamp).start();
    const { view } = rigOf(actor);
    const viewer = view();
    viewer.seat.leave('the broker stopped');
    actor.send({ type: 'turn' });
    expect(viewer.frames.slice(-2)).toMatchObject([{ type: 'facts' }, { type: 'end', reason: 'the broker stopped' }]);
    expect(viewer.of('facts')).toHaveLength(2);
  });

  it('shows a system that starts only when a viewer waits for it already', () => {
    let actor: AnyActorRef | null = null;
    const { view, flush, clock } = rigOf(null, { later: () => actor });
    const viewer = view();
    flush();
    expect(viewer.of('actor')).toEqual([]);
    actor = createActor(lamp, { id: 'late' }).start();
    advance(clock, 1100);
    expect(named(viewer.frames, 'late').value).toBe('off');
  });

  it('shows the whole system of an actor that is not its root', () => {
    const actor = createActor(room, { id: 'the-room' }).start();
    actor.send({ type: 'lamp' });
    const { view, flush } = rigOf(actor.getSnapshot().children['lamp-1'] ?? null);
    const viewer = view();
    flush();
    expect(named(viewer.frames, 'the-room').parent).toBeNull();
  });

  it('counts the actors that it has no room for', () => {
    const idle = fromTransition((state: object) => state, {});
    const crowd = setup({ actors: { idle } }).createMachine({
      context: ({ spawn }) => {
        const many = Array.from({ length: ACTORS_MAX + 10 }, (_, n) => spawn('idle', { id: `idle-${n}` }));
        return { first: many[0] };
      },
    });
    const actor = createActor(crowd).start();
    const { view, flush } = rigOf(actor);
    const viewer = view();
    flush();
    expect(viewer.of('actor')).toHaveLength(ACTORS_MAX);
    expect(viewer.of('facts').at(-1)?.unlisted).toBe(11);
    expect(viewer.batches.at(-1)?.dropped).toBe(0);
  }, 60_000);

  it('gives its own errors to whoever made it, and the actors go on', () => {
    const actor = createActor(lamp).start();
    const clock = new SimulatedClock();
    const faults: unknown[] = [];
    const hub = new InspectionHub({
      source: { name: 'toy', version: '1', pid: 1, startedAt: 0, host: 'here' },
      actor: () => actor,
      may: { send: false, act: false },
      clock: {
        ...wrapped(clock),
        now: () => {
          throw new Error('no time');
        },
      },
      facts: null,
      crowd: null,
      failed: (error) => faults.push(error),
    });
    expect(() => hub.join({ send: () => {}, bufferedBytes: 0 })).toThrow('no time');
    actor.send({ type: 'turn' });
    expect(actor.getSnapshot().value).toEqual({ on: 'warming' });
  });
});

/** How many look at the actor's system. */
function countObservers(actor: AnyActorRef): () => number {
  const { system } = actor;
  const inspect = system.inspect.bind(system);
  let count = 0;
  system.inspect = (observer) => {
    const subscription = inspect(observer);
    count += 1;
    return {
      unsubscribe: () => {
        count -= 1;
        subscription.unsubscribe();
      },
    };
  };
  return () => count;
}

function wrapped(clock: SimulatedClock) {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    setTimeout: (callback: () => void, ms: number) => clock.setTimeout(callback, ms),
    clearTimeout: (handle: object | number) => clock.clearTimeout(handle),
    defer: (callback: () => void) => clock.defer(callback),
  };
}
