// Makes test/golden/data-v1 anew, from the built broker: `node test/golden/make-golden.mjs`. Only for a new data format:
// every later version must open the directories of those before it, so an old one is never made again.
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { createBroker } from '../../dist/index.js';

const target = new URL('./data-v1/', import.meta.url);
const folder = await mkdtemp(join(tmpdir(), 'sluice-golden-'));
const data = join(folder, 'data');
const config = { data, port: 0, adminPort: 0, shards: 2, segmentBytes: 65_536, reserveBytes: 0, logLevel: 'silent' };
const broker = createBroker({ ...config, admin: false });
await broker.start();

const socket = new WebSocket(`ws://127.0.0.1:${broker.port}/v1`);
const waiting = new Map();
let id = 0;
socket.on('message', (text) => {
  const reply = JSON.parse(text);
  waiting.get(reply.id)?.(reply);
});
await new Promise((resolve) => socket.on('open', resolve));
const ask = (command) =>
  new Promise((resolve) => {
    id += 1;
    waiting.set(id, resolve);
    socket.send(JSON.stringify({ ...command, id }));
  });

await ask({ op: 'hello', producer: 'golden' });
await ask({ op: 'create', topic: 'orders', partitions: 2 });
await ask({ op: 'create', topic: 'metrics', partitions: 1, durability: 'async' });
await ask({ op: 'create', topic: 'gone', partitions: 1 });
for (let number = 0; number < 20; number += 1) {
  const partition = number % 2;
  await ask({
    op: 'publish',
    topic: 'orders',
    partition,
    sequence: number,
    key: `k${number % 3}`,
    value: { number },
    headers: { made: 'golden' },
  });
}
await ask({ op: 'publish', topic: 'orders', partition: 0, key: 'k0' });
await ask({ op: 'publish', topic: 'orders', partition: 1, value: 'plain', encoding: 'utf8' });
await ask({ op: 'publish', topic: 'orders', partition: 1, value: 'AP8=', encoding: 'base64' });
for (let number = 0; number < 3; number += 1) await ask({ op: 'publish', topic: 'metrics', value: number });
await ask({ op: 'publish', topic: 'gone', value: 1 });
// Enough in one shard for a second segment.
await ask({ op: 'publish', topic: 'orders', partition: 0, value: 'x'.repeat(70_000), encoding: 'utf8' });
await ask({ op: 'publish', topic: 'orders', partition: 0, value: 'in the second segment' });
await ask({ op: 'subscribe', topic: 'orders', group: 'billing', from: 'earliest' });
await ask({ op: 'commit', subscription: 1, partition: 0, offset: 5 });
await ask({ op: 'delete', topic: 'gone' });
socket.close();
const { outcome } = await broker.stop({ reason: 'golden' });

await rm(target, { recursive: true, force: true });
await cp(data, target, { recursive: true });
for (const name of ['lock', 'LOCK', 'last-shutdown.json'])
  await rm(new URL(name, target), { recursive: true, force: true });
for (const shard of await readdir(new URL('shards/', target))) {
  for (const name of ['LOG', 'LOG.old', 'LOCK'])
    await rm(new URL(`shards/${shard}/meta/${name}`, target), { force: true });
}
await rm(folder, { recursive: true, force: true });
console.log(outcome);
