/** The MQTT brokers: mosquitto, and Aedes in Node. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/support/broker-process.ts';
import { findProgram, listens } from './program.ts';
import type { System } from './system.ts';

const program = findProgram('mosquitto', 'BENCH_MOSQUITTO');

export const mosquitto: System = {
  name: 'mosquitto',
  durability: 'memory; saved every 30 min',
  missing: program === null ? 'mosquitto is not on PATH: apt-get install mosquitto (or BENCH_MOSQUITTO)' : null,
  start: async (children, folder) => {
    const [port, plainPort] = [await freePort(), await freePort()];
    const file = join(folder, 'mosquitto.conf');
    mkdirSync(join(folder, 'store'));
    // As root it would become another user, who may not write here. Unlimited, so that it holds back for no client.
    const user = process.getuid?.() === 0 ? 'user root\n' : '';
    writeFileSync(
      file,
      // Debian's 2.0.11 does not start without a plain listener beside that for WebSockets.
      `listener ${plainPort} 127.0.0.1\nlistener ${port} 127.0.0.1\nprotocol websockets\nallow_anonymous true\npersistence true\n${user}` +
        `persistence_location ${folder}/store/\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_dest stderr\n`,
    );
    const child = children.spawn(program as string, ['-c', file]);
    await child.until(() => listens(port));
    return { child, target: { client: 'mqtt', url: `ws://127.0.0.1:${port}` } };
  },
};

export const aedes: System = {
  name: 'aedes',
  durability: 'memory',
  missing: null,
  start: async (children) => {
    const child = children.spawn(process.execPath, [children.script('servers/aedes')]);
    const port = await child.until((output) => /^\d+$/m.exec(output)?.[0]);
    return { child, target: { client: 'mqtt', url: `ws://127.0.0.1:${port}` } };
  },
};
