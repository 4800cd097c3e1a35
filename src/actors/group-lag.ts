/**
 * How far a group is behind: for each partition that it has committed on, or that its members asked for, the records that
 * are durable and not committed, about how many bytes they are, and how old the first of them is. One look at the log
 * for each partition that is behind, one partition after another.
 */
import type { Clock } from '../ports/clock.ts';
import type { PartitionLag } from '../protocol/replies.ts';
import type { Catalogue } from '../shard/catalogue.ts';
import type { Partition } from '../shard/partition.ts';
import type { ShardEngine } from '../shard/shard-engine.ts';
import type { ShardTable } from '../shard/shard-table.ts';
import type { Groups } from './groups.ts';

export interface LagHost {
  readonly shards: ShardTable;
  readonly catalogue: Catalogue;
  readonly groups: Groups;
  readonly clock: Clock;
}

interface Place {
  readonly engine: ShardEngine;
  readonly partition: Partition;
}

/** By topic and partition; empty for a group that is not known. Partitions whose shard does not serve are left out. */
export async function lagOf(host: LagHost, group: string): Promise<PartitionLag[]> {
  const owners = host.groups.recordOf(group)?.owners;
  const lags: PartitionLag[] = [];
  for (const { engine, partition } of placesOf(host, group)) {
    const { topic, start, highWatermark } = partition;
    const committed = engine.offsets.committed(partition, group) ?? null;
    const from = Math.max(committed ?? 0, start);
    const records = Math.max(highWatermark - from, 0);
    const member = owners?.get(`${topic}/${partition.partition}`)?.member ?? null;
    const figures = { records, ...(await sampled(host.clock, { engine, partition }, from, records)) };
    lags.push({ topic, partition: partition.partition, member, committed, highWatermark, ...figures });
  }
  return lags.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
}

/** Records that all groups with members have yet to commit, and the most that one of them has. Reads nothing. */
export function lagRecords(host: Places): { sum: number; max: number } {
  let sum = 0;
  let max = 0;
  for (const { group, members } of host.groups.list()) {
    if (members.length === 0) continue;
    let own = 0;
    for (const { engine, partition } of memberPlaces(host, group)) {
      const from = Math.max(engine.offsets.committed(partition, group) ?? 0, partition.start);
      own += Math.max(partition.highWatermark - from, 0);
    }
    sum += own;
    max = Math.max(max, own);
  }
  return { sum, max };
}

type Places = Pick<LagHost, 'shards' | 'catalogue' | 'groups'>;

/** Partitions that the group has committed on, and those of its members. */
function placesOf(host: Places, group: string): Iterable<Place> {
  const places = new Map(memberPlaces(host, group).map((place) => [place.partition, place]));
  for (const engine of host.shards.engines) {
    for (const partition of engine.state.partitions.values()) {
      const committed = engine.offsets.committed(partition, group) !== undefined;
      if (committed && !places.has(partition)) places.set(partition, { engine, partition });
    }
  }
  return places.values();
}

/** Partitions of the topics that members asked for. */
function memberPlaces({ shards, catalogue, groups }: Places, group: string): Place[] {
  const topics = new Set([...(groups.recordOf(group)?.members.values() ?? [])].flat());
  return [...topics].flatMap((name) => {
    const topic = catalogue.get(name);
    return Array.from({ length: topic?.partitions ?? 0 }, (_, partition) => partition).flatMap((partition): Place[] => {
      const engine = topic === undefined ? null : shards.find(topic, partition);
      if (topic === undefined || engine === null) return [];
      return [{ engine, partition: engine.partition(topic, partition) }];
    });
  });
}

/** What the next batch says of all that is behind. */
async function sampled(
  clock: Clock,
  { engine, partition }: Place,
  from: number,
  records: number,
): Promise<{ bytes: number; ms: number }> {
  if (records === 0) return { bytes: 0, ms: 0 };
  const [batch] = (await engine.fetch(partition, from, 1, null)).batches;
  if (batch === undefined) return { bytes: 0, ms: 0 };
  return { bytes: Math.round((batch.bytes / batch.count) * records), ms: Math.max(clock.now() - batch.time, 0) };
}
