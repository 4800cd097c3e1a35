/**
 * An independent reader of a data directory: what a broker would have to serve from it, worked out from `docs/storage.md`
 * alone. It shares no code with the broker, so that what both say is said twice. Reads only; works on a real folder
 * (`realFolder`) and on anything else that can list and read.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StoredRecord } from './batch-reader.ts';
import { type DataSource, readLog, type StoredEntry } from './log-reader.ts';
import { ShardContent } from './shard-reader.ts';

export interface StoredShard {
  readonly shard: number;
  readonly entries: readonly StoredEntry[];
  /** Bytes at the end of its log that the next start cuts. */
  readonly tornBytes: number;
  /** Its last entry is the mark of a clean shutdown. */
  readonly clean: boolean;
}

export interface StoredPartition {
  readonly epoch: number;
  readonly records: readonly StoredRecord[];
}

export interface StoredTopic {
  readonly id: number;
  /** How many it has; `partitions` holds those that were ever used. */
  readonly count: number;
  readonly durability: 'sync' | 'async';
  readonly partitions: ReadonlyMap<number, StoredPartition>;
}

export interface StoredDirectory {
  readonly shards: readonly StoredShard[];
  readonly topics: ReadonlyMap<string, StoredTopic>;
  /** Committed offsets, the next to read, by `topic/partition/group`. */
  readonly commits: ReadonlyMap<string, number>;
  /** What a broker must not have left behind, or must refuse; empty in a sound directory, torn ends included. */
  readonly faults: readonly string[];
}

/** Throws only what `source` throws for a file that it has listed. */
export function readDataDirectory(source: DataSource): StoredDirectory {
  const faults: string[] = [];
  const count = shardCount(source, faults);
  const shards: StoredShard[] = [];
  const contents: ShardContent[] = [];
  for (let shard = 0; shard < count; shard += 1) {
    const log = readLog(source, `shards/${String(shard).padStart(2, '0')}/log`, shard);
    const content = new ShardContent(shard);
    if (log.first > 1)
      faults.push(`shard ${shard} begins at entry ${log.first}: only its checkpoint knows what was before`);
    else for (const entry of log.entries) content.apply(entry);
    if (log.fault !== null) faults.push(log.fault);
    faults.push(...content.faults);
    contents.push(content);
    shards.push({ shard, entries: log.entries, tornBytes: log.tornBytes, clean: content.clean });
  }
  return { shards, ...joined(contents, faults), faults };
}

/** A source on a folder of this machine. */
export function realFolder(root: string): DataSource {
  return {
    list: (path) => {
      try {
        return readdirSync(join(root, path));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
        throw error;
      }
    },
    read: (path) => readFileSync(join(root, path)),
  };
}

function shardCount(source: DataSource, faults: string[]): number {
  if (!source.list('.').includes('sluice.json')) {
    if (source.list('.').includes('shards')) faults.push('there are shards and no sluice.json');
    return 0;
  }
  try {
    const { format, shards } = JSON.parse(Buffer.from(source.read('sluice.json')).toString('utf8')) as {
      readonly format: number;
      readonly shards: number;
    };
    if (format === 1) return shards;
    faults.push(`data format ${format} is unknown`);
  } catch (error) {
    faults.push(`sluice.json does not read: ${String(error)}`);
  }
  return 0;
}

/** Topics and their partitions of all shards. Partitions of a topic that is gone are no longer anybody's. */
function joined(contents: readonly ShardContent[], faults: string[]): Pick<StoredDirectory, 'topics' | 'commits'> {
  const topics = new Map<string, StoredTopic & { readonly partitions: Map<number, StoredPartition> }>();
  const commits = new Map<string, number>();
  for (const { shard, topics: own } of contents) {
    for (const { name, id, partitions: count, durability } of own.values()) {
      if (topics.has(name)) faults.push(`topic ${name} lies in two shards, the second is ${shard}`);
      topics.set(name, { id, count, durability, partitions: new Map() });
    }
  }
  for (const { shard, partitions } of contents) {
    for (const {
      topic: name,
      topicId,
      partition,
      durability,
      epoch,
      records,
      commits: groups,
    } of partitions.values()) {
      const topic = topics.get(name);
      if (topic === undefined || topic.id !== topicId) continue;
      const place = `${name}/${partition}`;
      if (topic.partitions.has(partition)) faults.push(`${place} lies in two shards, the second is ${shard}`);
      if (partition >= topic.count) faults.push(`${place} is open; the topic has ${topic.count} partitions`);
      if (durability !== topic.durability) faults.push(`${place} is ${durability}, its topic is ${topic.durability}`);
      topic.partitions.set(partition, { epoch, records });
      for (const [group, offset] of groups) commits.set(`${place}/${group}`, offset);
    }
  }
  return { topics, commits };
}
