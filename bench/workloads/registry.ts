/** Every workload, in the order in which they run. */
import { batches } from './batches.ts';
import { fanOut } from './fan-out.ts';
import { hotPartition } from './hot-partition.ts';
import { idle } from './idle.ts';
import { kill } from './kill.ts';
import { endToEnd, latency } from './latency.ts';
import { publish, publishMany } from './publish.ts';
import { replay } from './replay.ts';
import { topics } from './topics.ts';
import type { Workload } from './workload.ts';

export const workloads: readonly Workload[] = [
  publish,
  publishMany,
  batches,
  latency,
  endToEnd,
  replay,
  fanOut,
  idle,
  topics,
  kill,
  hotPartition,
];
