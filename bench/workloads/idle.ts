/** Memory of the server for a connection that was welcomed and does nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Workload } from './workload.ts';

export const idle: Workload = {
  name: 'idle',
  text: '10,000 idle connections',
  systems: ['sluice', 'ws', 'nats', 'mosquitto', 'aedes'],
  measures: [{ name: 'idle', unit: 'bytes', text: 'resident memory of the server, each' }],
  goals: [
    {
      text: '≤ 25 KB each',
      bound: { atMost: 25_000 },
      value: (median) => median('idle', 'sluice'),
    },
  ],
  measure: (system, lab) =>
    lab.serve(system, async ({ target, child }) => {
      const connections = lab.scale.idleConnections;
      const before = child.rssBytes;
      const held = await lab.children.hold({ job: 'idle', target, connections });
      await sleep(lab.scale.settleMs);
      const grown = child.rssBytes - before;
      await held.end();
      return { idle: grown / connections };
    }),
};
