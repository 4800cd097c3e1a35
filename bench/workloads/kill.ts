/** `kill -9` under load, and the time until a publish is acknowledged again, with a large log and with a tenth of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import { ratioOf, type Workload } from './workload.ts';

const TOPIC = 'bench';
const PARTITIONS = 4;
/** Under load before the kill. */
const LOAD_MS = 500;

export const kill: Workload = {
  name: 'kill',
  text: 'kill -9 under load to the next ack, with 4 GB and with 0.4 GB of log',
  systems: ['sluice'],
  measures: [
    { name: 'kill-small', unit: 'ms', text: 'with a tenth of the log' },
    { name: 'kill-large', unit: 'ms', text: 'with all of it' },
  ],
  goals: [
    { text: '≤ 1 s', bound: { atMost: 1000 }, value: (median) => median('kill-large', 'sluice') },
    {
      text: '≤ 1.5 × with a tenth of the log',
      bound: { atMost: 1.5 },
      value: (median) => ratioOf(median('kill-large', 'sluice'), median('kill-small', 'sluice')),
    },
  ],
  measure: async (system, lab) => ({
    'kill-small': await killWith(system, lab, lab.scale.logBytes / 10),
    'kill-large': await killWith(system, lab, lab.scale.logBytes),
  }),
};

function killWith(system: string, lab: Lab, bytes: number): Promise<number> {
  return lab.inFolder(async (folder) => {
    const port = await lab.serveOn(system, folder, 0, async ({ target, child }) => {
      await lab.run({ job: 'fill', target, topic: TOPIC, partitions: PARTITIONS, bytes });
      const window = { warmUpMs: 0, measureMs: 60_000 };
      const load = { job: 'closed-loop', target, connections: 1, inFlight: 256, bytes: 1024, ...window } as const;
      const loading = lab.children.begin(load);
      await sleep(LOAD_MS);
      loading.kill('SIGKILL');
      await child.kill('SIGKILL');
      return Number(new URL(target.url).port);
    });
    // It runs and tries to connect before the broker is back: its own start is no part of the time.
    const target = { client: 'sluice', url: `ws://127.0.0.1:${port}/v1` } as const;
    const first = lab.run<{ at: string }>({ job: 'first-ack', target, topic: TOPIC });
    await sleep(GENERATOR_START_MS);
    const begun = process.hrtime.bigint();
    return lab.serveOn(system, folder, port, async () => Number(BigInt((await first).at) - begun) / 1e6);
  });
}

const GENERATOR_START_MS = 500;
