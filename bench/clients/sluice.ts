/** Sluice through its own client. */
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import type { BenchClient, Target } from './client.ts';

/** Records on their way to one subscriber: never what limits it. */
const CREDIT = 100_000;

export async function connectSluice({ url, durability = 'sync' }: Target): Promise<BenchClient> {
  const client = await connect(url, { WebSocket, name: 'bench' });
  return {
    prepare: async (topic, partitions = 1) => {
      await client.createTopic(topic, { partitions, durability });
    },
    publish: (topic, value) => client.publish(topic, { value }),
    subscribe: async (topic, receive) => {
      const subscription = client.subscribe(topic, { from: 'latest', credit: CREDIT });
      void receiveAll(subscription.batches(), receive);
      await subscription.ready;
    },
    close: () => client.close(),
  };
}

async function receiveAll(
  batches: AsyncIterable<readonly { bytes(): Uint8Array }[]>,
  receive: (value: Uint8Array) => void,
): Promise<void> {
  for await (const batch of batches) {
    for (const record of batch) receive(record.bytes());
  }
}
