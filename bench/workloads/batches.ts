/** Batches of 1000 × 1000 B by eight producers that each wait for the ack, as `iggy-bench` does it. */
import type { AppendsResult } from '../jobs/appends.ts';
import { type Goal, lowerOf, ratioOf, type Workload } from './workload.ts';

const RECORDS = 1000;
const RECORD_BYTES = 1000;
const MB = 1_000_000;

const goal = (system: string): Goal => ({
  text: `${system} ≥ 0.7 × the lower of ws and disk`,
  bound: { atLeast: 0.7 },
  value: (median) => ratioOf(median('batches', system), lowerOf(median('batches', 'ws'), median('batches', 'disk'))),
});

export const batches: Workload = {
  name: 'batches',
  text: 'batches of 1000 × 1000 B, 8 producers, one batch in flight each',
  systems: ['sluice', 'sluice-frames', 'ws', 'disk', 'jetstream', 'redis-always'],
  measures: [{ name: 'batches', unit: 'MB/s', text: 'values acknowledged' }],
  goals: [goal('sluice-frames'), goal('sluice')],
  measure: async (system, lab) => {
    if (system === 'disk') {
      const { perSecond } = await lab.inFolder((folder) =>
        lab.run<AppendsResult>({
          job: 'appends',
          folder,
          bytes: RECORDS * RECORD_BYTES,
          perSecond: 0,
          ...lab.scale.throughput,
        }),
      );
      return { batches: (perSecond * RECORDS * RECORD_BYTES) / MB };
    }
    const { perSecond } = await lab.serve(system, ({ target }) =>
      lab.run<{ perSecond: number }>({
        job: 'batches',
        target,
        by: system === 'sluice-frames' ? 'frames' : 'client',
        producers: 8,
        records: RECORDS,
        bytes: RECORD_BYTES,
        ...lab.scale.throughput,
      }),
    );
    return { batches: perSecond / MB };
  },
};
