/** Actors that the broker looks after: begun again, given up, and taken along by the shutdown. */
import { describe, expect, it } from 'vitest';
import { assign, fromCallback, fromPromise, setup } from 'xstate';
import type { GivenUp } from '../../src/index.ts';
import { expectNothingLeft, Rig } from '../broker/rig.ts';

const counter = setup({
  types: {} as {
    context: { n: number };
    events: { type: 'add' } | { type: 'break' } | { type: 'shutdown' };
    input: number;
  },
  actions: {
    fail: () => {
      throw new Error('broken on purpose');
    },
  },
}).createMachine({
  context: ({ input }) => ({ n: input }),
  initial: 'counting',
  states: {
    counting: {
      on: {
        add: { actions: assign({ n: ({ context }) => context.n + 1 }) },
        break: { actions: 'fail' },
        shutdown: 'gone',
      },
    },
    gone: { type: 'final' },
  },
});

describe('broker.supervise', () => {
  it('runs an actor, begins it again when it fails, and lets it go with the broker', async () => {
    const rig = await Rig.start();
    const own = rig.broker.supervise('counter', counter, { input: 5 });
    expect(own.send({ type: 'add' })).toBe(true);
    expect(own.getSnapshot()?.context.n).toBe(6);
    own.send({ type: 'break' });
    expect(own.state).toBe('pausing');
    expect(own.send({ type: 'add' })).toBe(false);
    await rig.pass(200);
    expect(own.state).toBe('running');
    expect(own.getSnapshot()?.context.n).toBe(5);
    expect(own.restarts).toBe(1);
    expect(rig.logger.messages('warn')).toContain('counter failed, and is begun again');
    const report = await rig.stop();
    await own.ended;
    expect(own.state).toBe('left');
    expect(report).toMatchObject({ outcome: 'clean' });
    expect(report.children).toContainEqual(
      expect.objectContaining({ id: 'counter', kind: 'guest', state: 'released' }),
    );
    await expectNothingLeft(rig);
  });

  it('gives an actor up that fails too often, says so once, and its siblings go on', async () => {
    const rig = await Rig.start();
    const given: GivenUp[] = [];
    const failing = fromPromise(async () => {
      throw new Error('never works');
    });
    const bad = rig.broker.supervise('bad', failing, {
      restarts: 2,
      onGiveUp: (what) => {
        given.push(what);
        throw new Error('and the listener neither');
      },
    });
    const good = rig.broker.supervise('good', counter, { input: 0 });
    await rig.pass(5000);
    expect(bad.state).toBe('givenUp');
    await bad.ended;
    expect(given).toEqual([{ id: 'bad', restarts: 2, error: expect.objectContaining({ message: 'never works' }) }]);
    expect(rig.logger.messages('error')).toContain('onGiveUp of bad threw');
    expect(good.state).toBe('running');
    expect(rig.broker.shutdownState.children).toContainEqual({
      id: 'bad',
      kind: 'guest',
      state: 'failed',
      detail: 'its 3. run: never works',
    });
    // A failure that nobody mended is no clean end, as for every child.
    expect(await rig.stop()).toMatchObject({ outcome: 'failed' });
    await expectNothingLeft(rig);
  });

  it('names an actor that does not answer, and stops it at the deadline', async () => {
    const rig = await Rig.start({ gracePeriodMs: 10_000 });
    let cleaned = false;
    rig.broker.supervise(
      'deaf',
      fromCallback(() => () => {
        cleaned = true;
      }),
    );
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'abandoned', unaccounted: [] });
    expect(report.children).toContainEqual(
      expect.objectContaining({
        id: 'deaf',
        state: 'abandoned',
        detail: expect.stringMatching(/^shutdown, for \d+ ms$/),
      }),
    );
    expect(report.durationMs).toBeLessThanOrEqual(report.budgetMs);
    expect(cleaned).toBe(true);
    await expectNothingLeft(rig);
  });

  it('takes actors before the start, refuses a second of one id, and one that comes too late', async () => {
    const rig = new Rig();
    const early = rig.broker.supervise('early', counter, { input: 1 });
    expect(early.state).toBe('waiting');
    for (const id of ['early', 'gateway', 'shard-01', 'admin', 'supervisor', '']) {
      expect(() => rig.broker.supervise(id, counter)).toThrow('an id of its own');
    }
    await rig.broker.start();
    expect(early.state).toBe('running');
    expect(() => rig.broker.supervise('gateway', counter)).toThrow('an id of its own');
    expect(() => rig.broker.supervise('early', counter)).toThrow('an id of its own');
    expect(() => rig.broker.supervise('x', counter, { restarts: -1 })).toThrow('restarts: got -1');
    expect(() => rig.broker.supervise('x', counter, { withinMs: Number.POSITIVE_INFINITY })).toThrow('withinMs');
    expect(() => rig.broker.supervise('x', counter, { backoff: { minMs: 500, maxMs: 100 } })).toThrow('backoff.minMs');
    const stopped = rig.broker.stop();
    expect(() => rig.broker.supervise('late', counter)).toThrow('shutting down');
    await rig.until(stopped);
  });

  it('is told nothing of a drain without exit, and leaves when a stop follows', async () => {
    const rig = await Rig.start();
    const own = rig.broker.supervise('counter', counter, { input: 0 });
    rig.broker.drain();
    await rig.pass(100);
    expect(own.state).toBe('running');
    expect(await rig.stop()).toMatchObject({ outcome: 'clean' });
    expect(own.state).toBe('left');
  });

  it.each(['fast', 'immediate'] as const)('is told of a stop that is %s, too', async (mode) => {
    const rig = await Rig.start();
    const own = rig.broker.supervise('counter', counter, { input: 0 });
    const client = await rig.until(rig.broker.client());
    const report = await rig.stop({ mode });
    expect(own.state).toBe('left');
    expect(client.state).toBe('closed');
    expect(report.children).toContainEqual(expect.objectContaining({ id: 'counter', state: 'released' }));
    await expectNothingLeft(rig);
  });

  it('lets one actor go alone, and its id be taken again', async () => {
    const rig = await Rig.start();
    const first = rig.broker.supervise('counter', counter, { input: 1 });
    await rig.until(first.stop());
    expect(first.state).toBe('left');
    const second = rig.broker.supervise('counter', counter, { input: 2 });
    expect(second.getSnapshot()?.context.n).toBe(2);
    expect(await rig.stop()).toMatchObject({ outcome: 'clean' });
    await expectNothingLeft(rig);
  });

  it('is there in the inspection like the broker’s own actors, down to the actor itself', async () => {
    const seen = new Set<string>();
    const rig = await Rig.start(
      {},
      {
        inspect: (event) => {
          if (event.type === '@xstate.actor' && 'id' in event.actorRef) seen.add(String(event.actorRef.id));
        },
      },
    );
    rig.broker.supervise('counter', counter, { input: 0 });
    expect([...seen]).toEqual(expect.arrayContaining(['supervisor', 'gateway', 'shard-00', 'counter', 'actor']));
    await rig.stop();
  });

  it('leaves nothing waiting behind a broker that never starts', async () => {
    const rig = new Rig();
    const own = rig.broker.supervise('counter', counter, { input: 0 });
    await rig.broker.stop();
    await own.ended;
  });
});
