/**
 * Orders as state machines. The desk reads orders from a topic and spawns a machine for each; payments come from another
 * topic; what is to be shipped is published to a third. An order is acknowledged when its machine is through with it, so
 * that one whose process died comes again.
 */
import { createBroker } from 'sluice';
import { ack, topicActors } from 'sluice/xstate';
import { assign, sendParent, sendTo, setup, stopChild } from 'xstate';

const PATIENCE_MS = 500;

const broker = createBroker({ data: process.argv[2] ?? './data', listen: false, admin: false, logLevel: 'silent' });
await broker.start();
const client = await broker.client({ name: 'order-workflow' });
for (const topic of ['orders', 'payments', 'shipments']) await client.createTopic(topic, { partitions: 2 });
const { fromTopic, fromPublish, publishTo } = topicActors(client);

/** One order: announced, paid within its time and shipped, or cancelled. */
const order = setup({
  actors: { requestPayment: fromPublish('payment-requests') },
  actions: {
    ship: publishTo('shipments', ({ context }) => ({ key: context.id, value: { item: context.item } })),
    finish: sendParent(({ context }, { outcome }) => ({ type: 'order.finished', id: context.id, outcome })),
  },
  delays: { patience: PATIENCE_MS },
}).createMachine({
  id: 'order',
  context: ({ input }) => input,
  initial: 'requesting',
  states: {
    requesting: {
      invoke: {
        src: 'requestPayment',
        input: ({ context }) => ({ key: context.id, value: { amount: context.amount } }),
        // The request is on disk: from here on the money may come.
        onDone: 'awaitingPayment',
      },
      on: { paid: 'shipped' },
    },
    awaitingPayment: { on: { paid: 'shipped' }, after: { patience: 'cancelled' } },
    shipped: { type: 'final', entry: ['ship', { type: 'finish', params: { outcome: 'shipped' } }] },
    cancelled: { type: 'final', entry: { type: 'finish', params: { outcome: 'cancelled' } } },
  },
});

const EXPECTED = 3;
let allFinished = () => {};
const finished = new Promise((resolve) => {
  allFinished = resolve;
});

const desk = setup({
  actors: {
    order,
    orders: fromTopic({ topic: 'orders', group: 'desk', ack: 'manual', inFlight: 100 }),
    payments: fromTopic({ topic: 'payments', group: 'desk' }),
  },
  actions: {
    take: assign(({ context, event, spawn }) => {
      const { record } = event;
      spawn('order', { id: record.key, input: { id: record.key, ...record.value } });
      return { records: { ...context.records, [record.key]: record } };
    }),
    tell: ({ event }) => console.log(`${event.id}: ${event.outcome}`),
    count: assign(({ context }) => ({ finished: context.finished + 1 })),
    end: ({ context }) => {
      if (context.finished === EXPECTED) allFinished();
    },
  },
}).createMachine({
  id: 'desk',
  context: { records: {}, finished: 0 },
  invoke: [
    { id: 'orders', src: 'orders' },
    { id: 'payments', src: 'payments' },
  ],
  initial: 'open',
  states: {
    open: {
      on: {
        'record.orders': { actions: 'take' },
        // A payment whose order is not here yet is held until it is: the two topics know no order between them.
        'record.payments': {
          guard: ({ context, event }) => event.record.key in context.records,
          actions: sendTo(({ event, self }) => self.getSnapshot().children[event.record.key] ?? self, { type: 'paid' }),
        },
        'order.finished': {
          actions: [
            'tell',
            sendTo('orders', ({ context, event }) => ack(context.records[event.id])),
            stopChild(({ event }) => event.id),
            'count',
            'end',
          ],
        },
        shutdown: 'closed',
      },
    },
    closed: { type: 'final' },
  },
});

broker.supervise('desk', desk);

await client.publish('payments', { key: 'order-1', value: { amount: 20 } });
await client.publish('orders', { key: 'order-1', value: { item: 'book', amount: 20 } });
await client.publish('orders', { key: 'order-2', value: { item: 'lamp', amount: 45 } });
await client.publish('orders', { key: 'order-3', value: { item: 'chair', amount: 80 } });
await client.publish('payments', { key: 'order-3', value: { amount: 80 } });
await finished;

const report = await broker.stop({ reason: 'the desk closes' });
console.log(`stopped: ${report.outcome}`);
process.exitCode = report.exitCode;
