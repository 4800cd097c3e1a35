/**
 * NATS over WebSocket: `jetstream` stores what is published and acknowledges it, `nats` passes it on and acknowledges
 * nothing. Both subscribe with core NATS, the fastest way that NATS has; it promises a consumer less than Sluice does.
 */
import { jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { wsconnect } from '@nats-io/nats-core';
import { WebSocket } from 'ws';
import type { BenchClient, Target } from './client.ts';

export async function connectNats({ url, client }: Target): Promise<BenchClient> {
  // The library takes the WebSocket of the platform, and Node 20 has none.
  Object.assign(globalThis, { WebSocket });
  const connection = await wsconnect({ servers: url, reconnect: false });
  const stored = client === 'jetstream' ? jetstream(connection) : null;
  return {
    prepare: async (topic) => {
      if (stored === null) return;
      const manager = await jetstreamManager(connection);
      await manager.streams.add({ name: topic, subjects: [topic], storage: StorageType.File });
    },
    publish: (topic, value) => {
      if (stored !== null) return stored.publish(topic, value, { timeout: 60_000 });
      connection.publish(topic, value);
      return Promise.resolve();
    },
    subscribe: async (topic, receive) => {
      connection.subscribe(topic, {
        callback: (error, message) => {
          if (error !== null) throw error;
          receive(message.data);
        },
      });
      await connection.flush();
    },
    close: () => connection.close(),
  };
}
