/** A hundred thousand topics: the rate of publishes to all of them against one, their memory, and the start. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SpreadResult } from '../jobs/topics.ts';
import type { Lab } from '../lab.ts';
import type { Server } from '../systems/system.ts';
import { ratioOf, type Workload } from './workload.ts';

const IN_FLIGHT = 1024;
const BYTES = 1024;

export const topics: Workload = {
  name: 'topics',
  text: '100,000 topics: one record in each frame, 1,024 in flight, to all topics in turn or to the only one',
  systems: ['sluice'],
  measures: [
    { name: 'topics-one', unit: 'records/s', text: 'published to the only topic' },
    { name: 'topics-many', unit: 'records/s', text: 'published to all topics in turn' },
    { name: 'topics-first', unit: 'records/s', text: 'published to each topic for the first time' },
    { name: 'topics-memory', unit: 'bytes', text: 'resident memory of a topic, behind a start' },
    { name: 'topics-start', unit: 'ms', text: 'process start to serving' },
  ],
  goals: [
    {
      text: 'rate ≥ 0.8 × that of one topic',
      bound: { atLeast: 0.8 },
      value: (median) => ratioOf(median('topics-many', 'sluice'), median('topics-one', 'sluice')),
    },
    { text: '≤ 1 KB each', bound: { atMost: 1000 }, value: (median) => median('topics-memory', 'sluice') },
    { text: 'start ≤ 2 s', bound: { atMost: 2000 }, value: (median) => median('topics-start', 'sluice') },
  ],
  measure: async (system, lab) => {
    const one = await withTopics(system, lab, 1);
    const many = await withTopics(system, lab, lab.scale.topics);
    return {
      'topics-one': one.perSecond,
      'topics-many': many.perSecond,
      'topics-first': many.firstPerSecond,
      'topics-memory': (many.rssBytes - one.rssBytes) / (lab.scale.topics - 1),
      'topics-start': many.startMs,
    };
  },
};

function withTopics(
  system: string,
  lab: Lab,
  count: number,
): Promise<SpreadResult & { readonly rssBytes: number; readonly startMs: number }> {
  return lab.inFolder(async (folder) => {
    await lab.serveOn(system, folder, 0, async ({ target, child }) => {
      await lab.run({ job: 'create-topics', target, count });
      await child.kill('SIGTERM');
    });
    const begun = performance.now();
    return lab.serveOn(system, folder, 0, async ({ target, child }: Server) => {
      const startMs = performance.now() - begun;
      await sleep(lab.scale.settleMs);
      const { rssBytes } = child;
      const job = {
        job: 'spread',
        target,
        topics: count,
        inFlight: IN_FLIGHT,
        bytes: BYTES,
        ...lab.scale.throughput,
      } as const;
      return { startMs, rssBytes, ...(await lab.run<SpreadResult>(job)) };
    });
  });
}
