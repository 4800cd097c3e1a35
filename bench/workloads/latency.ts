/** Latency of publishes at a steady rate, and of the whole way to a subscriber. Open loop: see `jobs/pace.ts`. */
import type { AppendsResult } from '../jobs/appends.ts';
import type { PacedResult } from '../jobs/paced.ts';
import { type Goal, ratioOf, sumOf, type Workload } from './workload.ts';

const BYTES = 1024;
const LATENCY_PER_SECOND = 1000;
const END_TO_END_PER_SECOND = 5000;

const latencyGoal = (percentile: 'p50' | 'p99', times: number): Goal => ({
  text: `${percentile} ≤ ${times} × (ws + disk)`,
  bound: { atMost: times },
  value: (median) => {
    const name = `latency-${percentile}`;
    return ratioOf(median(name, 'sluice'), sumOf(median(name, 'ws'), median(name, 'disk')));
  },
});

export const latency: Workload = {
  name: 'latency',
  text: 'one awaited 1 KiB publish at a time, 1,000 a second',
  systems: ['sluice', 'ws', 'disk', 'jetstream', 'jetstream-sync', 'redis-always'],
  measures: [
    { name: 'latency-p50', unit: 'ms', text: 'publish to ack, p50' },
    { name: 'latency-p99', unit: 'ms', text: 'publish to ack, p99' },
  ],
  goals: [latencyGoal('p50', 1.5), latencyGoal('p99', 2)],
  measure: async (system, lab) => {
    const paced = { perSecond: LATENCY_PER_SECOND, bytes: BYTES, ...lab.scale.latency };
    const { ack } =
      system === 'disk'
        ? await lab.inFolder((folder) => lab.run<AppendsResult>({ job: 'appends', folder, ...paced }))
        : await lab.serve(system, ({ target }) =>
            lab.run<PacedResult>({ job: 'paced', target, topics: ['bench'], subscribe: false, ...paced }),
          );
    return { 'latency-p50': ack.p50, 'latency-p99': ack.p99 };
  },
};

export const endToEnd: Workload = {
  name: 'end-to-end',
  text: 'publish to subscriber, 1 KiB, 5,000 a second',
  systems: ['sluice', 'jetstream', 'jetstream-sync', 'redis-always', 'mosquitto', 'aedes'],
  measures: [
    { name: 'end-to-end-p50', unit: 'ms', text: 'publish to receipt, p50' },
    { name: 'end-to-end-p99', unit: 'ms', text: 'publish to receipt, p99' },
    { name: 'end-to-end-ack-p99', unit: 'ms', text: 'publish to ack in the same run, p99' },
  ],
  goals: [
    {
      text: "p99 ≤ 1.5 × the ack's p99",
      bound: { atMost: 1.5 },
      value: (median) => ratioOf(median('end-to-end-p99', 'sluice'), median('end-to-end-ack-p99', 'sluice')),
    },
  ],
  measure: async (system, lab) => {
    const { ack, delivery } = await lab.serve(system, ({ target }) =>
      lab.run<PacedResult>({
        job: 'paced',
        target,
        topics: ['bench'],
        subscribe: true,
        perSecond: END_TO_END_PER_SECOND,
        bytes: BYTES,
        ...lab.scale.latency,
      }),
    );
    return { 'end-to-end-p50': delivery.p50, 'end-to-end-p99': delivery.p99, 'end-to-end-ack-p99': ack.p99 };
  },
};
