/** One partition under all the load that a client can make, and what that costs publishes to others. */

import type { Target } from '../clients/client.ts';
import type { PacedResult } from '../jobs/paced.ts';
import type { Lab } from '../lab.ts';
import { ratioOf, type Workload } from './workload.ts';

/** Their shards are all of them, that of the hot partition included. */
const OTHERS = Array.from({ length: 8 }, (_, number) => `other-${number}`);
const PER_SECOND = 400;

export const hotPartition: Workload = {
  name: 'hot-partition',
  text: '400 publishes a second to eight topics, alone and beside a client with 1,024 in flight to a ninth',
  systems: ['sluice', 'jetstream', 'redis-always'],
  measures: [
    { name: 'hot-partition-alone-p99', unit: 'ms', text: 'publish to ack, p99, alone' },
    { name: 'hot-partition-beside-p99', unit: 'ms', text: 'publish to ack, p99, beside the hot one' },
  ],
  goals: [
    {
      text: '≤ 2 × alone',
      bound: { atMost: 2 },
      value: (median) =>
        ratioOf(median('hot-partition-beside-p99', 'sluice'), median('hot-partition-alone-p99', 'sluice')),
    },
  ],
  measure: async (system, lab) => ({
    'hot-partition-alone-p99': await lab.serve(system, ({ target }) => othersP99(lab, target)),
    'hot-partition-beside-p99': await lab.serve(system, async ({ target }) => {
      const window = { warmUpMs: 0, measureMs: 60_000 };
      const hot = { job: 'closed-loop', target, connections: 1, inFlight: 1024, bytes: 1024, ...window } as const;
      const heating = lab.children.begin(hot);
      try {
        return await othersP99(lab, target);
      } finally {
        heating.kill('SIGKILL');
      }
    }),
  }),
};

async function othersP99(lab: Lab, target: Target): Promise<number> {
  const { ack } = await lab.run<PacedResult>({
    job: 'paced',
    target,
    topics: OTHERS,
    subscribe: false,
    perSecond: PER_SECOND,
    bytes: 1024,
    ...lab.scale.latency,
  });
  return ack.p99;
}
