/** The types of topic actors, as `setup` sees them. Checked by `npm run types`; nothing runs. */
import { describe, expectTypeOf, it } from 'vitest';
import { assign, type OutputFrom, sendTo, setup } from 'xstate';
import { z } from 'zod';
import type { Ack, PublishRecord, SluiceRecord } from '../../src/client/index.ts';
import {
  ack,
  type EventOf,
  type RecordEvent,
  type TopicClient,
  type TopicGapEvent,
  topicActors,
} from '../../src/xstate/index.ts';

const client = {} as TopicClient;
const { fromTopic, publishTo, fromPublish } = topicActors(client);
const orderSchema = z.object({ item: z.string(), count: z.number() });

describe('types', () => {
  it('the event of a topic is named after it, and carries the value that the schema makes', () => {
    const orders = fromTopic({ topic: 'orders', group: 'g', schema: orderSchema });
    type Event = EventOf<typeof orders>;
    expectTypeOf<Event>().toEqualTypeOf<
      RecordEvent<'record.orders', { item: string; count: number }> | TopicGapEvent
    >();
    const named = fromTopic({ topic: 'orders', event: 'order' });
    expectTypeOf<EventOf<typeof named>>().toEqualTypeOf<RecordEvent<'order', unknown> | TopicGapEvent>();
  });

  it('a machine that is set up with them sees records, acks and outputs typed', () => {
    const orders = fromTopic({ topic: 'orders', group: 'g', ack: 'manual', schema: orderSchema });
    setup({
      types: {} as { context: { count: number }; events: EventOf<typeof orders> | { type: 'go' } },
      actors: { orders, place: fromPublish<{ item: string }>('orders') },
      actions: {
        tell: publishTo('log', ({ context, event }) => {
          expectTypeOf(context).toEqualTypeOf<{ count: number }>();
          expectTypeOf(event.type).toEqualTypeOf<'record.orders' | 'gap' | 'go'>();
          return { value: context.count };
        }),
      },
    }).createMachine({
      context: { count: 0 },
      invoke: [
        { id: 'orders', src: 'orders' },
        {
          src: 'place',
          input: ({ context }) => ({ value: { item: String(context.count) } }),
          onDone: { actions: ({ event }) => expectTypeOf(event.output).toEqualTypeOf<Ack>() },
        },
      ],
      on: {
        'record.orders': {
          actions: [
            'tell',
            assign(({ event }) => {
              expectTypeOf(event.record).toEqualTypeOf<SluiceRecord<{ item: string; count: number }>>();
              return { count: event.record.value.count };
            }),
            sendTo('orders', ({ event }) => ack(event.record)),
          ],
        },
      },
    });
  });

  it('wrong options, inputs and records do not compile', () => {
    // @ts-expect-error there is no such mode
    fromTopic({ topic: 'orders', ack: 'sometimes' });
    // @ts-expect-error a topic is needed
    fromTopic({ group: 'g' });
    // @ts-expect-error a record is an object with a value, not the value
    publishTo('orders', 5);
    const room = fromTopic((input: { room: string }) => ({ topic: input.room, event: 'said' }));
    setup({ actors: { room } }).createMachine({
      // @ts-expect-error a room is text
      invoke: { src: 'room', input: { room: 5 } },
    });
    const place = fromPublish<{ item: string }>('orders');
    expectTypeOf<OutputFrom<typeof place>>().toEqualTypeOf<Ack>();
    setup({ actors: { place } }).createMachine({
      // @ts-expect-error the value has another type
      invoke: { src: 'place', input: { value: { item: 5 } } },
    });
    expectTypeOf<PublishRecord<string>['value']>().toEqualTypeOf<string | undefined>();
  });
});
