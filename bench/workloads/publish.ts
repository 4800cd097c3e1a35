/** Throughput of awaited 1 KiB publishes through the client libraries, by one client and by a hundred. */
import type { AppendsResult } from '../jobs/appends.ts';
import type { Lab } from '../lab.ts';
import { type Goal, ratioOf, type Workload } from './workload.ts';

const BYTES = 1024;
/** What the disk is given at a time: as much as one client has in flight is more than a group holds. */
const APPEND_BYTES = 256 * 1024;

function publishing(options: {
  readonly name: string;
  readonly text: string;
  readonly connections: number;
  readonly inFlight: number;
  readonly goals: readonly (readonly [system: string, times: number])[];
}): Workload {
  const { name, text, connections, inFlight } = options;
  return {
    name,
    text,
    systems: [
      'sluice',
      'ws',
      'disk',
      'jetstream',
      'jetstream-sync',
      'redis-always',
      'redis-everysec',
      'sluice-async',
      'mosquitto',
      'aedes',
    ],
    measures: [{ name, unit: 'records/s', text }],
    goals: options.goals.map(
      ([system, times]): Goal => ({
        text: `≥ ${times} × ${system}`,
        bound: { atLeast: times },
        value: (median) => ratioOf(median(name, 'sluice'), median(name, system)),
      }),
    ),
    measure: async (system, lab) => {
      if (system === 'disk') return { [name]: await disk(lab) };
      const { perSecond } = await lab.serve(system, ({ target }) =>
        lab.run<{ perSecond: number }>({
          job: 'closed-loop',
          target,
          connections,
          inFlight,
          bytes: BYTES,
          ...lab.scale.throughput,
        }),
      );
      return { [name]: perSecond };
    },
  };
}

async function disk(lab: Lab): Promise<number> {
  const { perSecond } = await lab.inFolder((folder) =>
    lab.run<AppendsResult>({ job: 'appends', folder, bytes: APPEND_BYTES, perSecond: 0, ...lab.scale.throughput }),
  );
  return (perSecond * APPEND_BYTES) / BYTES;
}

export const publish = publishing({
  name: 'publish',
  text: 'awaited publish, 1 KiB, one client, 1,024 in flight',
  connections: 1,
  inFlight: 1024,
  goals: [
    ['jetstream', 5],
    ['redis-always', 3.5],
  ],
});

export const publishMany = publishing({
  name: 'publish-100',
  text: 'awaited publish, 1 KiB, 100 clients, 16 in flight each',
  connections: 100,
  inFlight: 16,
  goals: [
    ['jetstream', 2],
    ['redis-always', 2],
  ],
});
