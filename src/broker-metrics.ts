/**
 * What `/metrics` tells: every metric of a running broker, as a table. `docs/operations.md` carries the same names, held
 * equal by a test. All of it is read when it is asked for; the record path counts what it counts anyway, and observes a
 * distribution once per synced write. Labels are bounded by the build or by the data directory: never a topic, a group
 * or a client.
 */
import { isReady, type RunningBroker } from './broker-status.ts';
import type { Config } from './config.ts';
import type { ErrorCode } from './errors.ts';
import { groupFamilies } from './group-metrics.ts';
import type { ChildState, Phase } from './machines/report.ts';
import { shardId } from './machines/shard.ts';
import { type MetricFamily, MetricsText, type Sample } from './metric-family.ts';
import type { Distribution } from './shard/distribution.ts';
import { type WriteFigures, writeBytesBounds, writeEntriesBounds, writeSecondsBounds } from './shard/write-figures.ts';
import { type ShutdownMoment, shutdownFamilies } from './shutdown-metrics.ts';
import { version } from './version.ts';

/** What one scrape reads. */
export interface MetricsMoment extends ShutdownMoment {
  readonly running: RunningBroker;
  readonly config: Config;
}

type Family = MetricFamily<MetricsMoment>;
type Runtime = RunningBroker['assembly']['runtimes'][number];

const phases: readonly Phase[] = ['starting', 'running', 'announcing', 'draining', 'flushing', 'releasing'];
const states: readonly ChildState[] = ['starting', 'ready', 'drained', 'released', 'failed', 'abandoned'];
/** Shown as zero before they happen, so that a rate over the first one is seen. */
const codesToExpect: readonly ErrorCode[] = ['DISK_FULL', 'DRAINING', 'OUTCOME_UNKNOWN', 'OVERLOADED', 'SHARD_FAILED'];

function gauge(name: string, help: string, read: (moment: MetricsMoment) => number | null): Family {
  return { name, type: 'gauge', help, labels: [], read: (moment) => single(read(moment)) };
}

function counter(name: string, help: string, read: (moment: MetricsMoment) => number): Family {
  return { name, type: 'counter', help, labels: [], read: (moment) => single(read(moment)) };
}

function single(value: number | null): readonly Sample[] {
  return value === null ? [] : [[value]];
}

function perShard(type: 'gauge' | 'counter', name: string, help: string, read: (runtime: Runtime) => number): Family {
  return {
    name,
    type,
    help,
    labels: ['shard'],
    read: ({ running }) => running.assembly.runtimes.map((runtime) => [read(runtime), labelsOf(runtime)]),
  };
}

function written(
  name: string,
  help: string,
  bounds: readonly number[],
  read: (writes: WriteFigures) => Distribution,
): Family {
  return {
    name,
    type: 'histogram',
    help,
    labels: ['shard'],
    bounds,
    read: ({ running }) =>
      running.assembly.runtimes.flatMap((runtime): Sample<Distribution>[] =>
        runtime.engine === null ? [] : [[read(runtime.engine.counts.writes), labelsOf(runtime)]],
      ),
  };
}

function labelsOf({ shard }: Runtime): { readonly shard: string } {
  return { shard: shardId(shard) };
}

const brokerFamilies: readonly Family[] = [
  {
    name: 'sluice_build_info',
    type: 'gauge',
    help: 'Always 1; which Sluice on which Node.',
    labels: ['version', 'node'],
    read: () => [[1, { version, node: process.version }]],
  },
  gauge(
    'process_start_time_seconds',
    'When the process began, seconds since 1970.',
    () => Date.now() / 1000 - process.uptime(),
  ),
  gauge('process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss()),
  counter('process_cpu_seconds_total', 'Processor time of the process, all threads.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }),
  {
    name: 'sluice_event_loop_delay_seconds',
    type: 'gauge',
    help: 'How late the event loop was over the last 15 s at least, by quantile; 1 is the longest.',
    labels: ['quantile'],
    read: ({ running }) => {
      const delay = running.assembly.loopDelay.read();
      if (delay === null) return [];
      return [
        [delay.p50, { quantile: '0.5' }],
        [delay.p99, { quantile: '0.99' }],
        [delay.max, { quantile: '1' }],
      ];
    },
  },
  {
    name: 'sluice_phase',
    type: 'gauge',
    help: 'The phase of the broker: 1 for the one it is in.',
    labels: ['phase'],
    read: ({ state }) => phases.map((phase) => [phase === state.phase ? 1 : 0, { phase }]),
  },
  gauge('sluice_ready', '1 while clients may be sent here, as /readyz says.', ({ running }) =>
    isReady(running) ? 1 : 0,
  ),
  gauge('sluice_sessions', 'Connected clients.', ({ running }) => running.assembly.sessions.size),
  counter(
    'sluice_connections_accepted_total',
    'Connections accepted.',
    ({ running }) => running.assembly.sessions.opened,
  ),
  gauge('sluice_topics', 'Topics that exist.', ({ running }) => running.assembly.catalogue.size),
  counter(
    'sluice_publishes_accepted_total',
    'Publishes acknowledged with a new offset.',
    ({ running }) => running.assembly.meter.counts.accepted,
  ),
  counter(
    'sluice_publishes_duplicate_total',
    'Publishes acknowledged as stored before.',
    ({ running }) => running.assembly.meter.counts.duplicates,
  ),
  {
    name: 'sluice_publishes_refused_total',
    type: 'counter',
    help: 'Publishes to existing topics that were refused, by the code of the answer.',
    labels: ['code'],
    read: ({ running }) => {
      const { refused } = running.assembly.meter.counts;
      const codes = new Set([...codesToExpect, ...refused.keys()]);
      return [...codes].map((code) => [refused.get(code) ?? 0, { code }]);
    },
  },
  gauge(
    'sluice_publish_in_flight_bytes',
    'Publishes that are not answered yet.',
    ({ running }) => running.assembly.meter.bytes,
  ),
  gauge(
    'sluice_publish_in_flight_limit_bytes',
    'Above this much, publishers are held back.',
    ({ running }) => running.assembly.meter.bytesMax,
  ),
  gauge(
    'sluice_disk_free_bytes',
    'Free space on the disk of the data directory when it was last looked at.',
    (moment) => {
      const looks = moment.running.assembly.runtimes.flatMap(({ figures }) => figures.diskFreeBytes ?? []);
      return looks.length === 0 ? null : Math.min(...looks);
    },
  ),
  gauge('sluice_disk_low_bytes', 'Free space under which publishes are refused.', ({ config }) => config.diskLowBytes),
  {
    name: 'sluice_shard_state',
    type: 'gauge',
    help: 'The state of each shard: 1 for the one it is in.',
    labels: ['shard', 'state'],
    read: ({ state }) =>
      state.shards.flatMap(({ id: shard, state: present }) =>
        states.map((one): Sample => [one === present ? 1 : 0, { shard, state: one }]),
      ),
  },
  perShard('gauge', 'sluice_shard_disk_full', '1 while it refuses publishes for want of disk space.', ({ figures }) =>
    figures.diskFull ? 1 : 0,
  ),
  perShard('gauge', 'sluice_shard_partitions', 'Partitions that have records.', ({ figures }) => figures.partitions),
  perShard('gauge', 'sluice_shard_segment_bytes', 'Bytes of all log segments.', ({ figures }) => figures.logBytes),
  perShard(
    'gauge',
    'sluice_shard_recent_bytes',
    'Records held in memory for consumers that keep up.',
    ({ figures }) => figures.recentBytes,
  ),
  perShard('gauge', 'sluice_shard_queue_bytes', 'Accepted and not yet durable.', ({ figures }) => figures.queueBytes),
  gauge(
    'sluice_shard_queue_limit_bytes',
    'Queue of a shard above which its publishers are held back.',
    ({ config }) => config.shardQueueBytes,
  ),
  perShard(
    'gauge',
    'sluice_shard_pending_records',
    'Accepted and not yet durable.',
    ({ pending }) => pending.pendingRecords,
  ),
  perShard('counter', 'sluice_shard_appended_records_total', 'Records accepted into the queue.', ({ engine }) => {
    if (engine === null) return 0;
    const { writtenRecords, pendingRecords, lost, unknown } = engine.counts;
    return writtenRecords + pendingRecords + lost + unknown;
  }),
  perShard('counter', 'sluice_shard_flushed_records_total', 'Records made durable.', ({ figures }) => figures.records),
  perShard(
    'counter',
    'sluice_shard_flushed_bytes_total',
    'Bytes of the records made durable, with what the log adds to them.',
    ({ engine }) => engine?.counts.writtenBytes ?? 0,
  ),
  perShard(
    'counter',
    'sluice_shard_lost_records_total',
    'Records of async topics that were acknowledged and are known not to be on disk.',
    ({ engine }) => engine?.counts.lost ?? 0,
  ),
  perShard(
    'counter',
    'sluice_shard_unknown_records_total',
    'Records whose publishers were told OUTCOME_UNKNOWN when the shard was given up.',
    ({ engine }) => engine?.counts.unknown ?? 0,
  ),
  perShard(
    'gauge',
    'sluice_shard_write_age_seconds',
    'How long the synced write under way has taken; 0 while there is none.',
    ({ figures }) => (figures.writeAgeMs ?? 0) / 1000,
  ),
  written(
    'sluice_shard_write_duration_seconds',
    'Synced writes: write and sync together.',
    writeSecondsBounds,
    ({ seconds }) => seconds,
  ),
  written('sluice_shard_write_size_bytes', 'Synced writes: bytes of each.', writeBytesBounds, ({ bytes }) => bytes),
  written(
    'sluice_shard_write_entries',
    'Synced writes: publishes, commits and others that share one.',
    writeEntriesBounds,
    ({ entries }) => entries,
  ),
  written(
    'sluice_shard_ack_latency_seconds',
    'From admission to acknowledgement, for the one of each synced write that waited longest.',
    writeSecondsBounds,
    ({ ackSeconds }) => ackSeconds,
  ),
];

export const metricFamilies: readonly Family[] = [...brokerFamilies, ...groupFamilies, ...shutdownFamilies];

/** The text of `/metrics`; one per broker. */
export class BrokerMetrics {
  readonly #text = new MetricsText(metricFamilies);

  of(moment: MetricsMoment): Promise<string> {
    return this.#text.of(moment);
  }
}
