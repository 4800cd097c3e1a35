/**
 * A client in the broker's process beside one over a socket, in the same process, on the same work: publishes of 1 KiB
 * to a sync topic, a window of them in flight, then a replay of them all. Run: npx tsx bench/embedded.ts
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { type Client, connect } from '../src/client/index.ts';
import { createBroker } from '../src/index.ts';

const RECORDS = Number(process.argv[2] ?? 40_000);
const value = new Uint8Array(1024).fill(7);

async function publishes(client: Client, topic: string, window: number, count: number): Promise<number> {
  const began = performance.now();
  let left = count;
  await Promise.all(
    Array.from({ length: window }, async () => {
      while (left > 0) {
        left -= 1;
        await client.publish(topic, { value });
      }
    }),
  );
  return (count / (performance.now() - began)) * 1000;
}

async function replay(client: Client, topic: string, count: number): Promise<number> {
  const began = performance.now();
  let read = 0;
  for await (const batch of client.subscribe(topic, { from: 'earliest', credit: 10_000 }).batches()) {
    read += batch.length;
    if (read >= count) break;
  }
  return (read / (performance.now() - began)) * 1000;
}

const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const broker = createBroker({ data: join(folder, 'data'), port: 0, admin: false, logLevel: 'error' });
await broker.start();
const clients = {
  'in process': () => broker.client(),
  'over a socket': () => connect(`ws://127.0.0.1:${broker.port}/v1`, { WebSocket }),
};
for (const round of [0, 1, 2]) {
  for (const [name, make] of Object.entries(clients)) {
    const client = await make();
    const topic = `t${round}-${name.replaceAll(' ', '-')}`;
    await client.createTopic(topic, { partitions: 4 });
    await publishes(client, topic, 64, 2000);
    const one = await publishes(client, topic, 1, 500);
    const many = await publishes(client, topic, 1024, RECORDS);
    const read = await replay(client, topic, RECORDS);
    await client.close();
    const line = { round, client: name, oneInFlight: one, window1024: many, replay: read };
    console.log(JSON.stringify(line, (_, field) => (typeof field === 'number' ? Math.round(field) : field)));
  }
}
await broker.stop();
await rm(folder, { recursive: true });
