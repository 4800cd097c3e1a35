/** Redis Streams through ioredis over TCP: `XADD`, and `XREAD BLOCK` on a connection of its own. */
import { Redis } from 'ioredis';
import type { BenchClient, Target } from './client.ts';

const READ_COUNT = 1000;

export async function connectRedis({ url }: Target): Promise<BenchClient> {
  // Commands of one turn in one write, as the other clients do it: without it Redis would look slower than it is.
  const open = () => new Redis(url, { enableAutoPipelining: true, lazyConnect: true, retryStrategy: () => null });
  const redis = open();
  await redis.connect();
  const readers: Redis[] = [];
  return {
    prepare: async () => {},
    publish: (topic, value) => redis.xadd(topic, '*', 'v', value),
    subscribe: async (topic, receive) => {
      const reader = open();
      readers.push(reader);
      await reader.connect();
      const last = (await redis.xrevrange(topic, '+', '-', 'COUNT', 1))[0]?.[0] ?? '0';
      void readAll(reader, topic, last, receive);
    },
    close: async () => {
      for (const connection of [redis, ...readers]) connection.disconnect();
    },
  };
}

type Entries = readonly (readonly [id: Buffer, fields: readonly Buffer[]])[];

async function readAll(
  reader: Redis,
  topic: string,
  from: string,
  receive: (value: Uint8Array) => void,
): Promise<void> {
  let last: string | Buffer = from;
  while (reader.status === 'ready') {
    try {
      const streams = (await reader.xreadBuffer('COUNT', READ_COUNT, 'BLOCK', 1000, 'STREAMS', topic, last)) as
        | readonly (readonly [name: Buffer, entries: Entries])[]
        | null;
      for (const [id, fields] of streams?.[0]?.[1] ?? []) {
        last = id;
        receive(fields[1] as Buffer);
      }
    } catch (error) {
      // `close` ends a read that waits; anything else is a fault of the run.
      if (reader.status === 'ready') throw error;
    }
  }
}
