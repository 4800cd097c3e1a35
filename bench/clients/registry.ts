/** Which library speaks to which target. Only that one is loaded: the others would be weight in the generator. */
import type { BenchClient, Target } from './client.ts';

type Connect = (target: Target) => Promise<BenchClient>;

const connectors: Readonly<Record<Target['client'], () => Promise<Connect>>> = {
  sluice: async () => (await import('./sluice.ts')).connectSluice,
  jetstream: async () => (await import('./nats.ts')).connectNats,
  nats: async () => (await import('./nats.ts')).connectNats,
  redis: async () => (await import('./redis.ts')).connectRedis,
  mqtt: async () => (await import('./mqtt.ts')).connectMqtt,
  websocket: async () => (await import('./websocket.ts')).connectWebSocket,
};

/** Connections made at a time: a listen backlog is not part of what is measured. */
const CONNECTING_MAX = 32;

export async function connectMany(target: Target, count: number): Promise<BenchClient[]> {
  const connect = await connectors[target.client]();
  const clients: BenchClient[] = [];
  while (clients.length < count) {
    const some = Math.min(CONNECTING_MAX, count - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: some }, () => connect(target)))));
  }
  return clients;
}

export async function connectTo(target: Target): Promise<BenchClient> {
  return (await connectMany(target, 1))[0] as BenchClient;
}
