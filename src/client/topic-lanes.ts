/**
 * The partitions of one topic as a publisher sees them: which partition a record goes to, and the records that wait
 * until the broker has said how many there are. Told once per connection, since a topic may be deleted and made again.
 */
import { partitionOfKey } from '../domain/partition.ts';
import { type Outgoing, RecordQueue } from './outgoing.ts';
import { FRAME_RECORD_BYTES, PartitionLane } from './partition-lane.ts';

/** What the broker says of a topic. */
export interface TopicFacts {
  readonly partitions: number;
  /** Last stored sequence of this producer by partition; null when it was not asked for. */
  readonly sequences: ReadonlyMap<number, number> | null;
}

export class TopicLanes {
  readonly topic: string;
  readonly lanes = new Map<number, PartitionLane>();
  readonly unplaced = new RecordQueue();
  readonly #random: () => number;
  #partitions = 0;
  #sticky = 0;
  #sequences: ReadonlyMap<number, number> = new Map();
  /** `stale`: the broker must be asked before more is placed. */
  knowledge: 'stale' | 'asking' | 'fresh' = 'stale';
  /** The producer's sequences on this topic are to be asked for too. */
  sequencesDue: boolean;

  constructor(topic: string, sequencesDue: boolean, random: () => number) {
    this.topic = topic;
    this.sequencesDue = sequencesDue;
    this.#random = random;
  }

  learn(facts: TopicFacts): void {
    this.knowledge = 'fresh';
    this.#partitions = facts.partitions;
    // Anywhere: many clients that begin at once spread.
    this.#sticky = Math.floor(this.#random() * facts.partitions);
    if (facts.sequences === null) return;
    this.sequencesDue = false;
    this.#sequences = facts.sequences;
    for (const lane of this.lanes.values()) lane.raiseSequence(this.#firstSequence(lane.partition));
  }

  /**
   * Puts a record behind the others of its partition. Without key and partition it joins the records placed so before
   * it, so that they share a frame.
   */
  place(record: Outgoing): PartitionLane {
    const partition =
      record.partition ?? (record.key === null ? this.#sticky : partitionOfKey(record.key, this.#partitions));
    const lane = this.#lane(partition);
    lane.queue.push(record);
    if (lane.queue.bytes >= FRAME_RECORD_BYTES) this.turn(partition);
    return lane;
  }

  /** A frame for `partition` is complete: what has no place of its own goes elsewhere from now on. */
  turn(partition: number): void {
    if (partition !== this.#sticky) return;
    let step = 0;
    do {
      step += 1;
      this.#sticky = (partition + step) % this.#partitions;
    } while (step < this.#partitions && this.lanes.get(this.#sticky)?.stuck);
  }

  #lane(partition: number): PartitionLane {
    let lane = this.lanes.get(partition);
    if (lane === undefined) {
      lane = new PartitionLane(this.topic, partition, this.#firstSequence(partition), this.#random);
      this.lanes.set(partition, lane);
    }
    return lane;
  }

  #firstSequence(partition: number): number {
    return (this.#sequences.get(partition) ?? -1) + 1;
  }
}
