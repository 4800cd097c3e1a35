/** One publisher to a thousand subscribers, each a connection of its own, as fast as all of them receive. */
import { type Goal, ratioOf, type Workload } from './workload.ts';

/** Enough to keep every stage busy, and few enough that no system drops a subscriber for being slow. */
const WINDOW = 256;

const goal = (system: string, times: number): Goal => ({
  text: `≥ ${times} × ${system}`,
  bound: { atLeast: times },
  value: (median) => ratioOf(median('fan-out', 'sluice'), median('fan-out', system)),
});

export const fanOut: Workload = {
  name: 'fan-out',
  text: '1 publisher to 1,000 subscribers, 128 B, at saturation',
  systems: ['sluice', 'jetstream', 'nats', 'aedes', 'mosquitto'],
  measures: [{ name: 'fan-out', unit: 'deliveries/s', text: 'over all subscribers' }],
  goals: [goal('jetstream', 1), goal('nats', 1), goal('aedes', 3)],
  measure: async (system, lab) => {
    const { perSecond } = await lab.serve(system, ({ target }) =>
      lab.run<{ perSecond: number }>({
        job: 'fan-out',
        target,
        subscribers: lab.scale.subscribers,
        window: WINDOW,
        bytes: 128,
        ...lab.scale.throughput,
      }),
    );
    return { 'fan-out': perSecond };
  },
};
