/** What is left of a look once it is over: no observer, no timer, no actor held, no memory. */
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { type AnyActorRef, createActor, createMachine, setup, stopChild } from 'xstate';
import { newHub } from '../../src/actors/broker-inspection.ts';
import { createBroker } from '../../src/broker.ts';
import { type HubOptions, InspectionHub } from '../../src/inspection/hub.ts';
import { CHARTS_MAX } from '../../src/inspection/roster.ts';
import { type Clock, systemClock, type TimerHandle } from '../../src/ports/clock.ts';
import { RecordingLogger, SimulatedClock } from '../../src/testing/index.ts';
import { temporaryFolder } from '../support/broker-process.ts';
import { InspectClient } from './inspect-client.ts';
import { MemoryViewer } from './memory-viewer.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const leaf = setup({}).createMachine({ id: 'leaf', initial: 'on', states: { on: { on: { go: 'on' } } } });

const tree = setup({ actors: { leaf } }).createMachine({
  id: 'tree',
  on: {
    shed: { actions: stopChild('leaf-1') },
  },
  invoke: { src: 'leaf', id: 'leaf-1' },
});

function hubOf(actor: () => AnyActorRef | null, clock: Clock): InspectionHub {
  return new InspectionHub({
    source: { name: 'toy', version: '1', pid: 1, startedAt: 0, host: 'here' },
    actor,
    may: { send: false, act: false },
    clock,
    facts: null,
    crowd: null,
    failed: (error) => {
      throw error;
    },
  });
}

function advance(clock: SimulatedClock, ms: number): void {
  const until = clock.monotonic() + ms;
  while (clock.fireNext(until));
}

/** The clock of the machine, and for how long each timer was set that has not fired. */
function countedClock(): { readonly clock: Clock; readonly pending: () => number[] } {
  const timers = new Map<TimerHandle, number>();
  const clock: Clock = {
    ...systemClock,
    setTimeout: (callback, ms) => {
      const timer = systemClock.setTimeout(() => {
        timers.delete(timer);
        callback();
      }, ms);
      timers.set(timer, ms);
      return timer;
    },
    clearTimeout: (timer) => {
      timers.delete(timer);
      systemClock.clearTimeout(timer);
    },
  };
  return { clock, pending: () => [...timers.values()].sort((a, b) => a - b) };
}

async function until(holds: () => boolean): Promise<void> {
  for (let n = 0; n < 200 && !holds(); n += 1) await pause(20);
}

describe('what a look leaves behind', () => {
  it('no actor that was stopped, also while somebody looks on', async () => {
    const clock = new SimulatedClock();
    const root = createActor(tree).start();
    const viewer = new MemoryViewer(hubOf(() => root, clock));
    advance(clock, 60);
    const child = new WeakRef(root.getSnapshot().children['leaf-1'] as AnyActorRef);
    child.deref()?.send({ type: 'go' });
    root.send({ type: 'shed' });
    advance(clock, 60);
    expect(viewer.of('gone')).toHaveLength(1);
    // XState's own microtasks hold it until they have run.
    await pause(0);
    collect();
    expect(child.deref()).toBeUndefined();
  });

  it('no system that ended, once the last viewer has gone', async () => {
    const clock = new SimulatedClock();
    let root: AnyActorRef | null = createActor(tree).start();
    const hub = hubOf(() => root, clock);
    const viewer = new MemoryViewer(hub);
    root.getSnapshot().children['leaf-1']?.send({ type: 'go' });
    advance(clock, 1100);
    viewer.seat.leave();
    const seen = new WeakRef(root);
    root.stop();
    root = null;
    expect([hub.attached, hub.viewers, clock.pending]).toEqual([false, 0, 0]);
    await pause(0);
    collect();
    expect(seen.deref()).toBeUndefined();
  });

  it('no memory, however often somebody looks', async () => {
    const clock = new SimulatedClock();
    const root = createActor(tree).start();
    const hub = hubOf(() => root, clock);
    const look = (): void => {
      const seat = hub.join({ send: () => {}, bufferedBytes: 0 });
      root.getSnapshot().children['leaf-1']?.send({ type: 'go' });
      advance(clock, 60);
      seat.leave();
    };
    const looks = async (times: number): Promise<number> => {
      for (let n = 0; n < times; n += 1) {
        look();
        if (n % 50 === 0) await pause(0);
      }
      collect();
      return process.memoryUsage().heapUsed;
    };
    // Until the pictures are drawn, every look waits for them.
    look();
    await pause(500);
    const before = await looks(500);
    expect((await looks(3000)) - before).toBeLessThan(1_000_000);
  });

  it('nothing of a viewer whose first look failed, and the next one sees all', () => {
    const clock = new SimulatedClock();
    const root = createActor(tree).start();
    let broken = true;
    const hub = hubOf(() => {
      if (broken) throw new Error('not there');
      return root;
    }, clock);
    expect(() => hub.join({ send: () => {}, bufferedBytes: 0 })).toThrow('not there');
    expect([hub.attached, hub.viewers, clock.pending]).toEqual([false, 0, 0]);
    broken = false;
    const viewer = new MemoryViewer(hub);
    advance(clock, 60);
    expect(viewer.of('actor').map(({ name }) => name)).toContain('leaf-1');
  });

  it('no chart without end of a program that makes machines without end', () => {
    const clock = new SimulatedClock();
    const make = (n: number) =>
      setup({}).createMachine({ id: `made-${n}`, initial: `s${n}`, states: { [`s${n}`]: {} } });
    const maker = createMachine({
      context: ({ spawn }) => {
        return { made: Array.from({ length: CHARTS_MAX + 20 }, (_, n) => spawn(make(n), { id: `${n}` })) };
      },
    });
    const root = createActor(maker, { id: 'maker' }).start();
    const viewer = new MemoryViewer(hubOf(() => root, clock));
    advance(clock, 60);
    expect(viewer.of('machine')).toHaveLength(CHARTS_MAX);
    expect(viewer.of('actor')).toHaveLength(CHARTS_MAX + 21);
    expect(viewer.of('actor').filter(({ machine }) => machine === null)).toHaveLength(21);
    expect(new Set(viewer.of('actor').map(({ kind }) => kind))).toEqual(new Set(['machine']));
    viewer.seat.leave();
  });

  it('no session watched and no timer in a broker', async () => {
    const folder = await temporaryFolder();
    onTestFinished(() => folder.remove());
    const { clock, pending } = countedClock();
    const made: { hub: InspectionHub; options: HubOptions }[] = [];
    const broker = createBroker(
      { data: folder.path, port: 0, adminPort: 0, shards: 2, reserveBytes: 0 },
      {
        clock,
        logger: new RecordingLogger(),
        hub: (options) => {
          const hub = newHub(options);
          made.push({ hub, options });
          return hub;
        },
      },
    );
    onTestFinished(async () => void (await broker.stop({ mode: 'fast' })));
    await broker.start();
    const socket = new WebSocket(`ws://127.0.0.1:${broker.port}/v1`, 'sluice.v1');
    onTestFinished(() => socket.terminate());
    await new Promise((resolve) => socket.once('message', resolve));
    await pause(100);
    const before = pending();
    const [{ hub, options } = { hub: null, options: null }] = made;
    const viewers = await Promise.all([0, 1].map(() => InspectClient.connect(broker.adminPort ?? 0)));
    await Promise.all(viewers.map((viewer) => viewer.until((seen) => seen.of('facts').length > 1)));
    expect([hub?.attached, hub?.viewers, options?.crowd?.facts.shown]).toEqual([true, 2, 1]);
    expect(pending().length).toBeGreaterThan(before.length);
    await viewers[0]?.close();
    expect(hub?.attached).toBe(true);
    viewers[1]?.socket.terminate();
    await until(() => hub?.attached === false && pending().length === before.length);
    expect([hub?.attached, hub?.viewers, options?.crowd?.facts.shown]).toEqual([false, 0, 0]);
    expect(pending()).toEqual(before);
  });
});
