/** One consumer that reads a gigabyte from the log of a broker that was just started: nothing of it in its memory. */
import { ratioOf, type Workload } from './workload.ts';

const MB = 1_000_000;
const TOPIC = 'bench';

export const replay: Workload = {
  name: 'replay',
  text: '1 GB from the log to one consumer, from a broker that was just started',
  systems: ['sluice', 'ws'],
  measures: [{ name: 'replay', unit: 'MB/s', text: 'values received' }],
  goals: [
    {
      text: '≥ 0.6 × ws',
      bound: { atLeast: 0.6 },
      value: (median) => ratioOf(median('replay', 'sluice'), median('replay', 'ws')),
    },
  ],
  measure: async (system, lab) => {
    const bytes = lab.scale.replayBytes;
    if (system === 'ws') {
      const { perSecond } = await lab.serve(system, ({ target }) =>
        lab.run<{ perSecond: number }>({ job: 'replay', target, topic: TOPIC, bytes }),
      );
      return { replay: perSecond / MB };
    }
    const { perSecond } = await lab.inFolder(async (folder) => {
      await lab.serveOn(system, folder, 0, async ({ target, child }) => {
        await lab.run({ job: 'fill', target, topic: TOPIC, partitions: 1, bytes });
        await child.kill('SIGTERM');
      });
      return lab.serveOn(system, folder, 0, ({ target }) =>
        lab.run<{ perSecond: number }>({ job: 'replay', target, topic: TOPIC, bytes }),
      );
    });
    return { replay: perSecond / MB };
  },
};
