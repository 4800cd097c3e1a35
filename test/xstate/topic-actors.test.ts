/** Topics for state machines, against a whole broker in memory and its client in the same process. */
import { afterEach, describe, expect, it } from 'vitest';
import { assign, createActor, sendTo, setup } from 'xstate';
import { z } from 'zod';
import type { Client } from '../../src/client/index.ts';
import { createTestBroker } from '../../src/testing/index.ts';
import { ack, type EventOf, type RecordEvent, topicActors } from '../../src/xstate/index.ts';
import { Rig, turns } from '../broker/rig.ts';

let rig: Rig;
let client: Client;

async function begin(): Promise<void> {
  rig = new Rig({ listen: false });
  await rig.broker.start();
  client = await rig.until(rig.broker.client());
  await rig.until(client.createTopic('orders', { partitions: 1 }));
}

async function publish(...values: unknown[]): Promise<void> {
  for (const value of values) await rig.until(client.publish('orders', { value }));
}

/** The offset that a group would begin at. */
async function placeOf(group: string): Promise<number | undefined> {
  const subscription = client.subscribe('orders', { group });
  const [position] = await rig.until(subscription.ready);
  await subscription.return();
  return position?.offset;
}

afterEach(async () => {
  await rig?.stop();
});

/** Keeps what it gets, while `open`; `shut` and `open` change that. */
function collector(options: { group?: string; ack?: 'delivered' | 'manual' | 'none'; inFlight?: number } = {}) {
  const { fromTopic } = topicActors(client);
  const orders = fromTopic({ topic: 'orders', from: options.group === undefined ? 'earliest' : undefined, ...options });
  return setup({
    types: {} as {
      context: { got: unknown[]; records: RecordEvent['record'][] };
      events:
        | EventOf<typeof orders>
        | { type: 'shut' }
        | { type: 'open' }
        | { type: 'done'; at: number }
        | { type: 'end' };
    },
    actors: { orders },
    actions: {
      keep: assign(({ context, event }) =>
        event.type === 'record.orders'
          ? { got: [...context.got, event.record.value], records: [...context.records, event.record] }
          : {},
      ),
    },
  }).createMachine({
    context: { got: [], records: [] },
    invoke: { id: 'orders', src: 'orders' },
    initial: 'open',
    on: { end: '.ended' },
    states: {
      open: {
        on: {
          'record.orders': { actions: 'keep' },
          shut: 'shut',
          done: {
            actions: sendTo('orders', ({ context, event }) => ack(context.records[event.at] as RecordEvent['record'])),
          },
        },
      },
      shut: { on: { open: 'open' } },
      ended: { type: 'final' },
    },
  });
}

describe('fromTopic', () => {
  it('brings records to its parent in order, as typed events', async () => {
    await begin();
    await publish(1, 2, 3);
    const actor = createActor(collector()).start();
    await rig.pass(50);
    expect(actor.getSnapshot().context.got).toEqual([1, 2, 3]);
    await publish(4);
    await rig.pass(50);
    expect(actor.getSnapshot().context.got).toEqual([1, 2, 3, 4]);
    actor.stop();
  });

  it('holds a record while the parent’s state has no transition for it, and takes no credit meanwhile', async () => {
    await begin();
    await publish(1, 2);
    const actor = createActor(collector()).start();
    actor.send({ type: 'shut' });
    await rig.pass(100);
    expect(actor.getSnapshot().context.got).toEqual([]);
    expect(actor.getSnapshot().children.orders?.getSnapshot().progress).toMatchObject({ delivered: 0, held: true });
    actor.send({ type: 'open' });
    await rig.pass(50);
    expect(actor.getSnapshot().context.got).toEqual([1, 2]);
    expect(actor.getSnapshot().children.orders?.getSnapshot().progress).toMatchObject({ delivered: 2, held: false });
    actor.stop();
  });

  it('with `delivered` commits what the parent took, keeps the place when it stops, and goes on from there', async () => {
    await begin();
    await publish(1, 2, 3);
    const first = createActor(collector({ group: 'g' })).start();
    await rig.pass(50);
    first.send({ type: 'end' });
    await rig.pass(50);
    expect(await placeOf('g')).toBe(3);
    await publish(4);
    const second = createActor(collector({ group: 'g' })).start();
    await rig.pass(50);
    expect(second.getSnapshot().context.got).toEqual([4]);
    second.stop();
  });

  it('commits the record whose event ended its parent', async () => {
    await begin();
    await publish(1, 2);
    const { fromTopic } = topicActors(client);
    const orders = fromTopic({ topic: 'orders', group: 'once' });
    const once = setup({
      types: {} as { context: object; events: EventOf<typeof orders> },
      actors: { orders },
    }).createMachine({
      context: {},
      invoke: { src: 'orders' },
      initial: 'waiting',
      states: { waiting: { on: { 'record.orders': 'over' } }, over: { type: 'final' } },
    });
    const actor = createActor(once).start();
    await rig.pass(50);
    expect(actor.getSnapshot().status).toBe('done');
    expect(await placeOf('once')).toBe(1);
  });

  it('does not commit a record on which its parent broke: it comes again', async () => {
    await begin();
    await publish('poison', 'good');
    const { fromTopic } = topicActors(client);
    const orders = fromTopic({ topic: 'orders', group: 'g' });
    const fragile = setup({
      types: {} as { context: object; events: EventOf<typeof orders> },
      actors: { orders },
      actions: {
        fail: () => {
          throw new Error('can’t digest it');
        },
      },
    }).createMachine({ context: {}, invoke: { src: 'orders' }, on: { 'record.orders': { actions: 'fail' } } });
    const actor = createActor(fragile);
    const errors: unknown[] = [];
    actor.subscribe({ error: (error) => errors.push(error) });
    actor.start();
    await rig.pass(50);
    expect(errors).toEqual([expect.objectContaining({ message: 'can’t digest it' })]);
    expect(await placeOf('g')).toBe(0);
  });

  it('with `manual` lets no more than `inFlight` be open, and commits what is done with all before it', async () => {
    await begin();
    await publish(1, 2, 3, 4, 5);
    const actor = createActor(collector({ group: 'g', ack: 'manual', inFlight: 3 })).start();
    await rig.pass(50);
    expect(actor.getSnapshot().context.got).toEqual([1, 2, 3]);
    actor.send({ type: 'done', at: 2 });
    actor.send({ type: 'done', at: 1 });
    await rig.pass(50);
    expect(actor.getSnapshot().context.got).toEqual([1, 2, 3, 4, 5]);
    expect(await placeOf('g')).toBe(0);
    actor.send({ type: 'done', at: 0 });
    await rig.pass(50);
    expect(await placeOf('g')).toBe(3);
    actor.send({ type: 'done', at: 0 });
    actor.stop();
    await rig.pass(50);
    expect(await placeOf('g')).toBe(3);
  });

  it('with `none` commits nothing', async () => {
    await begin();
    await publish(1);
    const actor = createActor(collector({ group: 'g', ack: 'none' })).start();
    await rig.pass(50);
    expect(actor.getSnapshot().context.got).toEqual([1]);
    actor.stop();
    await rig.pass(50);
    expect(await placeOf('g')).toBe(0);
  });

  it('unsubscribes when it is stopped', async () => {
    await begin();
    const actor = createActor(collector()).start();
    await rig.pass(50);
    actor.stop();
    await publish(1);
    await rig.pass(50);
    expect(actor.getSnapshot().context.got).toEqual([]);
  });

  it('ends in the error of a subscription that is refused, of options that do not fit, of a value that does not', async () => {
    await begin();
    await publish('not a number');
    const { fromTopic } = topicActors(client);
    const cases = [
      [fromTopic({ topic: 'no/such name' }), 'INVALID_TOPIC'],
      [fromTopic({ topic: 'orders', ack: 'manual' }), 'BAD_REQUEST'],
      [fromTopic({ topic: 'orders', group: 'g', inFlight: 0 }), 'BAD_REQUEST'],
      [fromTopic({ topic: 'orders', from: 'earliest', schema: z.number() }), 'INVALID_RECORD'],
    ] as const;
    for (const [logic, code] of cases) {
      const parent = setup({
        types: {} as { context: { code: unknown } },
        actors: { topic: logic as (typeof cases)[0][0] },
        actions: { note: assign((_, { error }: { error: unknown }) => ({ code: (error as { code?: unknown }).code })) },
      }).createMachine({
        context: { code: null },
        invoke: {
          src: 'topic',
          onError: { actions: { type: 'note', params: ({ event }) => ({ error: event.error }) } },
        },
      });
      const actor = createActor(parent).start();
      await rig.pass(50);
      expect(actor.getSnapshot().context.code).toBe(code);
      actor.stop();
    }
  });

  it('makes the parent’s own error of it when the parent handles none', async () => {
    await begin();
    const { fromTopic } = topicActors(client);
    const parent = setup({ actors: { topic: fromTopic({ topic: 'orders', ack: 'manual' }) } }).createMachine({
      invoke: { src: 'topic' },
    });
    const errors: unknown[] = [];
    const actor = createActor(parent);
    actor.subscribe({ error: (error) => errors.push(error) });
    actor.start();
    await turns();
    expect(errors).toEqual([expect.objectContaining({ code: 'BAD_REQUEST' })]);
  });

  it('is done when the client is closed, with what it delivered', async () => {
    await begin();
    await publish(1, 2);
    const { fromTopic } = topicActors(client);
    const orders = fromTopic({ topic: 'orders', group: 'g' });
    const parent = setup({
      types: {} as { context: { output: unknown }; events: EventOf<typeof orders> },
      actors: { orders },
      actions: { note: assign((_, { output }: { output: unknown }) => ({ output })) },
    }).createMachine({
      context: { output: null },
      invoke: {
        src: 'orders',
        onDone: { actions: { type: 'note', params: ({ event }) => ({ output: event.output }) } },
      },
      on: { 'record.orders': { actions: () => {} } },
    });
    const actor = createActor(parent).start();
    await rig.pass(50);
    await rig.stop();
    expect(actor.getSnapshot().context.output).toEqual({ delivered: 2, committed: 2 });
    await rig.again();
  });

  it('takes what it subscribes to from its input', async () => {
    await begin();
    await publish('hello');
    const { fromTopic } = topicActors(client);
    const room = fromTopic((input: { room: string }) => ({ topic: input.room, from: 'earliest', event: 'said' }));
    const parent = setup({
      types: {} as { context: { said: unknown[] }; events: EventOf<typeof room> },
      actors: { room },
      actions: { keep: assign(({ context }, { value }: { value: unknown }) => ({ said: [...context.said, value] })) },
    }).createMachine({
      context: { said: [] },
      invoke: { src: 'room', input: { room: 'orders' } },
      on: { said: { actions: { type: 'keep', params: ({ event }) => ({ value: event.record.value }) } } },
    });
    const actor = createActor(parent).start();
    await rig.pass(50);
    expect(actor.getSnapshot().context.said).toEqual(['hello']);
    actor.stop();
  });

  it('bounds what waits in memory by its credit, however slow the parent', async () => {
    await begin();
    await publish(...Array.from({ length: 60 }, (_, n) => n));
    const { fromTopic } = topicActors(client);
    const orders = fromTopic({ topic: 'orders', group: 'g', ack: 'manual', inFlight: 1, credit: 10 });
    let sent = 0;
    const slow = setup({
      types: {} as { context: object; events: EventOf<typeof orders> },
      actors: { orders },
      actions: {
        count: () => {
          sent += 1;
        },
      },
    }).createMachine({ context: {}, invoke: { src: 'orders' }, on: { 'record.orders': { actions: 'count' } } });
    const actor = createActor(slow).start();
    await rig.pass(200);
    expect(sent).toBe(1);
    const status = rig.broker.status as { sessions: number };
    expect(status.sessions).toBe(1);
    actor.stop();
  });
});

describe('publishTo and fromPublish', () => {
  it('publish what the context and the event say; the ack ends the actor', async () => {
    await begin();
    const { publishTo, fromPublish } = topicActors(client);
    const machine = setup({
      types: {} as { context: { total: number; offset: number | null }; events: { type: 'order'; item: string } },
      actions: {
        tell: publishTo('orders', ({ context, event }) => ({ key: event.item, value: { total: context.total } })),
        note: assign((_, offset: number) => ({ offset })),
      },
      actors: { place: fromPublish<string>('orders') },
    }).createMachine({
      context: { total: 7, offset: null },
      initial: 'open',
      states: {
        open: { on: { order: { target: 'placing', actions: 'tell' } } },
        placing: {
          invoke: {
            src: 'place',
            input: { value: 'by hand' },
            onDone: { target: 'placed', actions: { type: 'note', params: ({ event }) => event.output.offset } },
          },
        },
        placed: {},
      },
    });
    const actor = createActor(machine).start();
    actor.send({ type: 'order', item: 'book' });
    await rig.pass(50);
    expect(actor.getSnapshot().value).toBe('placed');
    expect(actor.getSnapshot().context.offset).toBe(1);
    const read = client.subscribe('orders', { from: 'earliest' });
    const { value: record } = await rig.until(read.next());
    expect([record?.key, record?.value]).toEqual(['book', { total: 7 }]);
    await read.return();
  });

  it('a publish that fails is the machine’s error, or the event that was asked for', async () => {
    await begin();
    const { publishTo } = topicActors(client);
    const machine = (failed: boolean) =>
      setup({
        types: {} as { events: { type: 'go' } | { type: 'lost'; code: string } },
        actions: {
          tell: publishTo(
            'no/such name',
            { value: 1 },
            failed ? { failed: ({ code }) => ({ type: 'lost', code }) } : {},
          ),
        },
      }).createMachine({
        initial: 'here',
        states: { here: { on: { go: { actions: 'tell' }, lost: 'sorry' } }, sorry: {} },
      });
    const deaf = createActor(machine(false));
    const errors: unknown[] = [];
    deaf.subscribe({ error: (error) => errors.push(error) });
    deaf.start();
    deaf.send({ type: 'go' });
    const hearing = createActor(machine(true)).start();
    hearing.send({ type: 'go' });
    await rig.pass(100);
    expect(errors).toEqual([expect.objectContaining({ code: 'INVALID_TOPIC' })]);
    expect(deaf.getSnapshot().status).toBe('error');
    expect(hearing.getSnapshot().value).toBe('sorry');
  });

  it('a publish that fails behind its actor’s end is told to onUnheard', async () => {
    await begin();
    const unheard: string[] = [];
    const { publishTo } = topicActors(() => client, {
      onUnheard: ({ code }, topic) => unheard.push(`${topic} ${code}`),
    });
    const machine = setup({ actions: { tell: publishTo('no/such name', { value: 1 }) } }).createMachine({
      initial: 'here',
      states: { here: { entry: 'tell', always: 'gone' }, gone: { type: 'final' } },
    });
    createActor(machine).start();
    await rig.pass(100);
    expect(unheard).toEqual(['no/such name INVALID_TOPIC']);
  });

  it('an actor that is stopped before its record was sent stores nothing', async () => {
    await begin();
    const { fromPublish } = topicActors(client);
    const machine = setup({ actors: { place: fromPublish('orders') } }).createMachine({
      initial: 'placing',
      states: { placing: { invoke: { src: 'place', input: { value: 1 } }, on: { stop: 'here' } }, here: {} },
    });
    const actor = createActor(machine).start();
    actor.send({ type: 'stop' });
    await rig.pass(50);
    expect((await rig.until(client.describe('orders'))).state).toMatchObject([{ highWatermark: 0 }]);
  });
});

it('fromTopic tells its parent of records that a crash cost, and goes on behind them', async () => {
  const test = await createTestBroker();
  const outside = await test.connect();
  await test.until(outside.createTopic('ticks', { partitions: 1, durability: 'async' }));
  await test.until(outside.publish('ticks', { value: 'kept' }));
  await test.advance(5000);
  const ticks = topicActors(outside).fromTopic({ topic: 'ticks', from: 'earliest' });
  const machine = setup({
    types: {} as { context: { got: unknown[] }; events: EventOf<typeof ticks> },
    actors: { ticks },
    actions: {
      keep: assign(({ context, event }) => ({
        got: [...context.got, event.type === 'gap' ? `gap: ${event.reason}` : event.record.value],
      })),
    },
  }).createMachine({
    context: { got: [] },
    invoke: { src: 'ticks' },
    on: { 'record.ticks': { actions: 'keep' }, gap: { actions: 'keep' } },
  });
  const actor = createActor(machine, { clock: test.clock }).start();
  await test.advance(100);
  test.faults.holdWrites();
  await test.until(outside.publish('ticks', { value: 'lost' }));
  await test.advance(100);
  await test.crash();
  await test.until(outside.publish('ticks', { value: 'after' }));
  await test.advance(5000);
  expect(actor.getSnapshot().context.got).toEqual(['kept', 'lost', 'gap: lost', 'after']);
  actor.stop();
  await test.until(outside.close());
  await test.stop();
});
