/**
 * The shard's state: a deterministic function of its log. `apply…` is called for each entry once it is durable, in log
 * order, by the live shard and by recovery alike, so what a restart finds is what was there. It keeps count of what
 * changed since the last checkpoint. No clock, no randomness, no I/O.
 */
import { ProducerWindow } from '../domain/producer-window.ts';
import type { Topic } from '../domain/topic.ts';
import { assert, BrokerError } from '../errors.ts';
import { EntryKind, type LogAddress, type LogEntry } from '../storage/log.ts';
import { type BatchStamp, readBatchEntry } from './batch-entry.ts';
import { type CommitRow, type ControlBody, readControl } from './control-entry.ts';
import { GroupTable, groupRecordOf } from './group-record.ts';
import { Partition } from './partition.ts';

/** A topic's id is a handle of its home shard times this, plus the shard: ids of different homes never meet. */
export const TOPIC_ID_SHARDS = 256;

export interface AppliedBatch extends BatchStamp {
  readonly count: number;
}

/** What changed since the last checkpoint; names are keys of the state's own maps. */
export class Changes {
  readonly topics = new Set<string>();
  readonly partitions = new Set<Partition>();
  /** Committed offsets, as `handle/group`. */
  readonly offsets = new Set<string>();
  /** Delivered ends, as `handle/group`. */
  readonly delivered = new Set<string>();
  /** Producers, as `handle/producer`. */
  readonly producers = new Set<string>();
  readonly groups = new Set<string>();

  clear(): void {
    this.topics.clear();
    this.partitions.clear();
    this.offsets.clear();
    this.delivered.clear();
    this.producers.clear();
    this.groups.clear();
  }
}

export class ShardState {
  readonly shard: number;
  /** Topics whose home is this shard, by name. */
  readonly topics = new Map<string, Topic>();
  /** Partitions that the log has opened, by handle. */
  readonly partitions = new Map<number, Partition>();
  /** Committed offsets by `handle/group`. */
  readonly offsets = new Map<string, number>();
  /** Behind the last record that a group was given and has not committed, by `handle/group`. */
  readonly delivered = new Map<string, number>();
  /** Producer windows by `handle/producer`, the longest idle first. */
  readonly producers = new Map<string, ProducerWindow>();
  /** Groups whose home is this shard. */
  readonly groups = new GroupTable();
  readonly changes = new Changes();
  readonly #byTopic = new Map<string, Partition>();
  /** Sequence of the last entry applied; 0 before the first. */
  applied = 0;
  /** Append time of the last batch, ms since 1970: times never go back. */
  lastTime = 0;
  /** Epoch of the shard's owner that wrote last. */
  epoch = 0;
  nextHandle = 1;
  /** The last entry applied was a clean mark. */
  clean = false;

  constructor(shard: number) {
    this.shard = shard;
  }

  /**
   * The partition object of (topic, partition), made when there is none: until the log opens it, it stands for an
   * empty one and costs memory alone.
   */
  partitionOf(topic: Topic, partition: number): Partition {
    const key = partitionKey(topic.id, partition);
    let found = this.#byTopic.get(key);
    if (found === undefined) {
      found = new Partition(topic.name, topic.id, partition, topic.durability);
      this.#byTopic.set(key, found);
    }
    return found;
  }

  /** A number never given out before in this shard, for a partition or a topic. */
  takeHandle(): number {
    const handle = this.nextHandle;
    this.nextHandle += 1;
    return handle;
  }

  /** Every partition that this shard has an object for, opened by the log or not. */
  get known(): readonly Partition[] {
    return [...this.#byTopic.values()];
  }

  /** Every partition of a topic that this shard has an object for, opened by the log or not. */
  partitionsOfTopic(topicId: number): Partition[] {
    return [...this.#byTopic.values()].filter((partition) => partition.topicId === topicId);
  }

  /** Forgets a partition that the log never opened. */
  dropUnopened(partition: Partition): void {
    partition.closed = true;
    this.#byTopic.delete(partitionKey(partition.topicId, partition.partition));
  }

  /** Puts back a partition that a checkpoint saved. */
  restorePartition(partition: Partition): void {
    this.#byTopic.set(partitionKey(partition.topicId, partition.partition), partition);
    this.partitions.set(partition.handle, partition);
  }

  producer(handle: number, id: string): ProducerWindow | undefined {
    return this.producers.get(`${handle}/${id}`);
  }

  committed(handle: number, group: string): number | undefined {
    return this.offsets.get(`${handle}/${group}`);
  }

  /** Records below it may have been given to the group before; 0 where none is known to have been. */
  deliveredTo(handle: number, group: string): number {
    return this.delivered.get(`${handle}/${group}`) ?? 0;
  }

  /** Applies an entry read from the log. LOG_CORRUPT when it contradicts what came before, LOG_VERSION for a new kind. */
  apply(entry: LogEntry): void {
    switch (entry.kind) {
      case EntryKind.batch:
        this.applyBatch(readBatchEntry(entry.body), entry.address, entry.sequence);
        return;
      case EntryKind.topic:
        this.applyTopic(readControl(EntryKind.topic, entry.body), entry.sequence);
        return;
      case EntryKind.partition:
        this.applyPartition(readControl(EntryKind.partition, entry.body), entry.sequence);
        return;
      case EntryKind.commit:
        this.applyCommits(readControl(EntryKind.commit, entry.body), entry.sequence);
        return;
      case EntryKind.opened:
        this.applyOpened(readControl(EntryKind.opened, entry.body), entry.sequence);
        return;
      case EntryKind.clean:
        this.applyClean(entry.sequence);
        return;
      case EntryKind.delivered:
        this.applyDelivered(readControl(EntryKind.delivered, entry.body), entry.sequence);
        return;
      case EntryKind.group:
        this.applyGroup(readControl(EntryKind.group, entry.body), entry.sequence);
        return;
      default:
        // Passed over, it would leave a state that is not that of the log.
        throw new BrokerError(
          'LOG_VERSION',
          `entry ${entry.sequence} of shard ${this.shard} is of kind ${String(entry.kind satisfies never)}, which this Sluice does not know`,
        );
    }
  }

  applyBatch(batch: AppliedBatch, address: LogAddress, sequence: number): Partition {
    const partition = this.#opened(batch.handle, sequence);
    if (batch.baseOffset !== partition.durable || batch.epoch !== partition.epoch) {
      throw new BrokerError(
        'LOG_CORRUPT',
        `entry ${sequence} of shard ${this.shard} has offset ${batch.baseOffset} in epoch ${batch.epoch} of ` +
          `${partition.label}, where offset ${partition.durable} in epoch ${partition.epoch} was due`,
      );
    }
    this.#step(sequence);
    partition.durable += batch.count;
    if (partition.accepted < partition.durable) partition.accepted = partition.durable;
    partition.noteBatch(batch.baseOffset, batch.time, address);
    if (batch.time > this.lastTime) this.lastTime = batch.time;
    this.changes.partitions.add(partition);
    if (batch.producer !== null) this.#storeProducer(batch, batch.producer.id, batch.producer.sequence);
    return partition;
  }

  #storeProducer(batch: AppliedBatch, id: string, sequence: number): void {
    const key = `${batch.handle}/${id}`;
    const window = this.producers.get(key) ?? new ProducerWindow();
    window.store(sequence, batch.count, batch.baseOffset, batch.epoch, batch.time);
    // Set again, so that the map's own order is the order of last use.
    this.producers.delete(key);
    this.producers.set(key, window);
    this.changes.producers.add(key);
  }

  applyTopic(body: ControlBody<typeof EntryKind.topic>, sequence: number): void {
    this.#step(sequence);
    const name = body.change === 'create' ? body.topic.name : body.name;
    if (body.change === 'create') {
      this.topics.set(name, body.topic);
      this.nextHandle = Math.max(this.nextHandle, Math.floor(body.topic.id / TOPIC_ID_SHARDS) + 1);
    } else {
      this.topics.delete(name);
    }
    this.changes.topics.add(name);
  }

  applyPartition(body: ControlBody<typeof EntryKind.partition>, sequence: number): void {
    if (body.change === 'close') {
      this.#closePartition(this.#opened(body.handle, sequence), sequence);
      return;
    }
    this.#step(sequence);
    const key = partitionKey(body.topicId, body.partition);
    const partition =
      this.#byTopic.get(key) ?? new Partition(body.topic, body.topicId, body.partition, body.durability);
    partition.handle = body.handle;
    this.#byTopic.set(key, partition);
    this.partitions.set(body.handle, partition);
    this.nextHandle = Math.max(this.nextHandle, body.handle + 1);
    this.changes.partitions.add(partition);
  }

  #closePartition(partition: Partition, sequence: number): void {
    this.#step(sequence);
    this.partitions.delete(partition.handle);
    this.#byTopic.delete(partitionKey(partition.topicId, partition.partition));
    partition.closed = true;
    this.changes.partitions.add(partition);
    const prefix = `${partition.handle}/`;
    for (const table of ['offsets', 'delivered'] as const) {
      for (const key of this[table].keys()) {
        if (!key.startsWith(prefix)) continue;
        this[table].delete(key);
        this.changes[table].add(key);
      }
    }
    for (const key of this.producers.keys()) if (key.startsWith(prefix)) this.forgetProducer(key);
  }

  applyCommits(rows: readonly CommitRow[], sequence: number): void {
    this.#step(sequence);
    for (const [handle, group, offset] of rows) {
      // A row for a partition closed in the meantime has nothing to say any more.
      if (!this.partitions.has(handle)) continue;
      const key = `${handle}/${group}`;
      // Never goes back (S5): a late commit of a lower offset is kept out here, once for all callers.
      const committed = Math.max(this.offsets.get(key) ?? 0, offset);
      this.offsets.set(key, committed);
      this.changes.offsets.add(key);
      if (committed >= (this.delivered.get(key) ?? Number.POSITIVE_INFINITY)) this.#setDelivered(key, undefined);
    }
  }

  applyDelivered(rows: readonly CommitRow[], sequence: number): void {
    this.#step(sequence);
    for (const [handle, group, offset] of rows) {
      if (!this.partitions.has(handle)) continue;
      const key = `${handle}/${group}`;
      const known = Math.max(this.offsets.get(key) ?? 0, this.delivered.get(key) ?? 0);
      if (offset > known) this.#setDelivered(key, offset);
    }
  }

  #setDelivered(key: string, offset: number | undefined): void {
    if (offset === undefined) this.delivered.delete(key);
    else this.delivered.set(key, offset);
    this.changes.delivered.add(key);
  }

  applyGroup(body: ControlBody<typeof EntryKind.group>, sequence: number): void {
    this.#step(sequence);
    if (body.change === 'set') this.groups.set(body.group, groupRecordOf(body));
    else this.groups.forget(body.group);
    this.changes.groups.add(body.group);
  }

  applyOpened(body: ControlBody<typeof EntryKind.opened>, sequence: number): void {
    this.#step(sequence);
    this.epoch = body.epoch;
    this.lastTime = Math.max(this.lastTime, body.time);
    if (body.clean && !body.shorter) return;
    for (const partition of this.partitions.values()) {
      // Shown before it was written: a crash may have cost it. A synced one only when the log itself came back shorter.
      if (partition.durability !== 'async' && !body.shorter) continue;
      partition.beginEpoch();
      this.changes.partitions.add(partition);
    }
  }

  applyClean(sequence: number): void {
    this.#step(sequence);
    this.clean = true;
  }

  forgetProducer(key: string): void {
    this.producers.delete(key);
    this.changes.producers.add(key);
  }

  #opened(handle: number, sequence: number): Partition {
    const partition = this.partitions.get(handle);
    if (partition === undefined) {
      throw new BrokerError(
        'LOG_CORRUPT',
        `entry ${sequence} of shard ${this.shard} names partition handle ${handle}, which no entry before it opened`,
      );
    }
    return partition;
  }

  #step(sequence: number): void {
    assert(sequence === this.applied + 1, `entry ${sequence} applied behind ${this.applied} in shard ${this.shard}`);
    this.applied = sequence;
    this.clean = false;
  }
}

function partitionKey(topicId: number, partition: number): string {
  return `${topicId}/${partition}`;
}
