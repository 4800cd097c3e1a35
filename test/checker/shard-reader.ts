/**
 * What the entries of one shard add up to, by the rules of `docs/storage.md`: its topics, partitions, records and
 * committed offsets, and every entry that contradicts those before it. Part of the independent checker: nothing of the
 * broker is imported.
 */
import { readBatchEntry, type StoredRecord } from './batch-reader.ts';
import type { StoredEntry } from './log-reader.ts';

export interface TopicBody {
  readonly name: string;
  readonly id: number;
  readonly partitions: number;
  readonly durability: 'sync' | 'async';
}

export interface OpenPartition {
  readonly handle: number;
  readonly topicId: number;
  readonly topic: string;
  readonly partition: number;
  readonly durability: 'sync' | 'async';
  epoch: number;
  readonly records: StoredRecord[];
  /** Committed offsets by group. */
  readonly commits: Map<string, number>;
  /** Behind the last record that a group was given, by group. */
  readonly deliveries: Map<string, number>;
}

export class ShardContent {
  readonly shard: number;
  /** Those whose home this shard is, by name. */
  readonly topics = new Map<string, TopicBody>();
  /** By handle. */
  readonly partitions = new Map<number, OpenPartition>();
  readonly faults: string[] = [];
  readonly #generations = new Map<string, number>();
  readonly #owners = new Map<string, string>();
  #highestHandle = 0;
  #epoch = 0;
  /** Kind of the entry before; null at the beginning. */
  #before: number | null = null;

  constructor(shard: number) {
    this.shard = shard;
  }

  /** The last entry is a clean mark. */
  get clean(): boolean {
    return this.#before === 6;
  }

  apply(entry: StoredEntry): void {
    const fault = (text: string): void => {
      this.faults.push(`shard ${this.shard}, entry ${entry.sequence}: ${text}`);
    };
    try {
      if (this.#before === 6 && entry.kind !== 5) fault('it stands behind a clean mark');
      if (entry.kind !== 5 && entry.epoch !== this.#epoch)
        fault(`owner ${entry.epoch}, where ${this.#epoch} had taken over`);
      this.#applyBody(entry, fault);
    } catch (error) {
      fault(`it does not read: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.#before = entry.kind;
  }

  #applyBody(entry: StoredEntry, fault: (text: string) => void): void {
    if (entry.kind === 1) {
      this.#applyBatch(entry.body, fault);
      return;
    }
    const body: unknown = JSON.parse(entry.body.toString('utf8'));
    if (entry.kind === 2) this.#applyTopic(body as TopicChange, fault);
    else if (entry.kind === 3) this.#applyPartition(body as PartitionChange, fault);
    else if (entry.kind === 4) this.#applyOffsets('commits', body as OffsetRows, fault);
    else if (entry.kind === 7) this.#applyOffsets('deliveries', body as OffsetRows, fault);
    else if (entry.kind === 5) this.#applyOpened(entry.epoch, body as Opened, fault);
    else if (entry.kind === 16) this.#applyGroup(body as GroupChange, fault);
    else if (entry.kind !== 6) fault(`kind ${entry.kind} is unknown`);
  }

  #applyBatch(body: Buffer, fault: (text: string) => void): void {
    const batch = readBatchEntry(body);
    const partition = this.partitions.get(batch.handle);
    if (partition === undefined) {
      fault(`a batch of handle ${batch.handle}, which is not open`);
      return;
    }
    const { records } = partition;
    const place = `${partition.topic}/${partition.partition}`;
    if (batch.baseOffset !== records.length)
      fault(`offset ${batch.baseOffset} of ${place}, where ${records.length} was due`);
    if (batch.epoch !== partition.epoch) fault(`epoch ${batch.epoch} of ${place}, where ${partition.epoch} was due`);
    if (batch.timestamp < (records.at(-1)?.timestamp ?? 0)) fault(`the time of ${place} goes back`);
    for (const record of batch.records) records.push(record);
  }

  #applyTopic(body: TopicChange, fault: (text: string) => void): void {
    if (body.change === 'delete') {
      const id = this.topics.get(body.name)?.id;
      // Two who delete the same topic at once leave two entries.
      if (id !== undefined && id !== body.id) fault(`deletes topic ${body.id}, ${body.name} is ${id}`);
      this.topics.delete(body.name);
      return;
    }
    const { topic } = body;
    if (this.topics.has(topic.name)) fault(`makes a topic that is there: ${topic.name}`);
    if (topic.id % 256 !== this.shard) fault(`topic id ${topic.id} is none of this shard`);
    this.#newHandle(Math.floor(topic.id / 256), fault);
    this.topics.set(topic.name, topic);
  }

  #applyPartition(body: PartitionChange, fault: (text: string) => void): void {
    if (body.change === 'close') {
      if (!this.partitions.delete(body.handle)) fault(`closes handle ${body.handle}, which is not open`);
      return;
    }
    const { handle, topicId, topic, partition, durability } = body;
    this.#newHandle(handle, fault);
    for (const open of this.partitions.values()) {
      if (open.topicId === topicId && open.partition === partition) fault(`opens ${topic}/${partition} a second time`);
    }
    const fresh = {
      handle,
      topicId,
      topic,
      partition,
      durability,
      epoch: 1,
      records: [],
      commits: new Map(),
      deliveries: new Map(),
    };
    this.partitions.set(handle, fresh);
  }

  #newHandle(handle: number, fault: (text: string) => void): void {
    if (handle <= this.#highestHandle)
      fault(`number ${handle} is given out again; ${this.#highestHandle} was the last`);
    this.#highestHandle = Math.max(this.#highestHandle, handle);
  }

  #applyOffsets(what: 'commits' | 'deliveries', rows: OffsetRows, fault: (text: string) => void): void {
    for (const [handle, group, offset] of rows) {
      const partition = this.partitions.get(handle);
      // What was under way while its topic was deleted has nothing to say any more.
      if (partition === undefined) continue;
      const held = partition.records.length;
      if (offset > held)
        fault(`${what} ${offset} of ${partition.topic}/${partition.partition}, which has ${held} records`);
      partition[what].set(group, Math.max(offset, partition[what].get(group) ?? 0));
    }
  }

  /** One owner for each partition and generation, for ever; a generation never goes back. */
  #applyGroup(body: GroupChange, fault: (text: string) => void): void {
    if (body.change === 'forget') return;
    const { group, generation, members, owners } = body;
    if (generation < (this.#generations.get(group) ?? 0)) fault(`generation ${generation} of group ${group} goes back`);
    this.#generations.set(group, generation);
    for (const [key, index, since] of owners) {
      const member = members[index]?.[0];
      if (member === undefined) fault(`${key} of group ${group} is owned by nobody`);
      if (since > generation) fault(`${key} of group ${group} is owned since ${since}, which has not begun`);
      const known = this.#owners.get(`${group} ${key} ${since}`) ?? member;
      if (known !== member)
        fault(`${key} of group ${group} has two owners in generation ${since}: ${known}, ${member}`);
      if (member !== undefined) this.#owners.set(`${group} ${key} ${since}`, member);
    }
  }

  #applyOpened(owner: number, body: Opened, fault: (text: string) => void): void {
    if (body.epoch !== owner) fault(`says epoch ${body.epoch} and was written by owner ${owner}`);
    if (owner <= this.#epoch) fault(`owner ${owner} takes over from ${this.#epoch}`);
    if (body.clean && this.#before !== 6 && this.#before !== null) fault('calls clean what has no clean mark');
    this.#epoch = owner;
    for (const partition of this.partitions.values()) {
      if (body.shorter || (!body.clean && partition.durability === 'async')) partition.epoch += 1;
    }
  }
}

/** Rows of handle, group, offset. */
type OffsetRows = readonly (readonly [number, string, number])[];

type GroupChange =
  | {
      readonly change: 'set';
      readonly group: string;
      readonly generation: number;
      readonly members: readonly (readonly [string, readonly string[]])[];
      readonly owners: readonly (readonly [string, number, number])[];
    }
  | { readonly change: 'forget'; readonly group: string };

type TopicChange =
  | { readonly change: 'create'; readonly topic: TopicBody }
  | { readonly change: 'delete'; readonly name: string; readonly id: number };

type PartitionChange =
  | (Pick<OpenPartition, 'handle' | 'topicId' | 'topic' | 'partition' | 'durability'> & { readonly change: 'open' })
  | { readonly change: 'close'; readonly handle: number };

interface Opened {
  readonly epoch: number;
  readonly clean: boolean;
  readonly shorter: boolean;
}
