/** Every system by its name. */
import { bareWebSocket } from './bare.ts';
import { aedes, mosquitto } from './mqtt.ts';
import { nats } from './nats.ts';
import { redis } from './redis.ts';
import { sluice } from './sluice.ts';
import type { System } from './system.ts';

const SYNCED = 'synced before the ack';

/** `O_DSYNC` writes by the generator itself: no server, and so nothing to start. */
const disk: System = {
  name: 'disk',
  durability: SYNCED,
  missing: null,
  start: () => Promise.reject(new Error('the disk has no server')),
};

const all: readonly System[] = [
  sluice('sluice', 'sync', SYNCED),
  sluice('sluice-frames', 'sync', SYNCED),
  sluice('sluice-async', 'async', 'memory; synced within 20 ms'),
  bareWebSocket,
  disk,
  nats('jetstream', 'jetstream', '2m', 'page cache; synced every 2 min'),
  nats('jetstream-sync', 'jetstream', 'always', SYNCED),
  nats('nats', 'nats', null, 'none'),
  redis('redis-always', 'always', SYNCED),
  redis('redis-everysec', 'everysec', 'page cache; synced every second'),
  mosquitto,
  aedes,
];

export const systems: ReadonlyMap<string, System> = new Map(all.map((system) => [system.name, system]));

/** Throws for a name that there is not. */
export function systemNamed(name: string): System {
  const system = systems.get(name);
  if (system === undefined) throw new Error(`there is no system "${name}": ${[...systems.keys()].join(', ')}`);
  return system;
}
