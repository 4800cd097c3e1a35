/**
 * A partition as its shard holds it: how far it is accepted, durable and visible, its epochs, where its batches lie.
 * Plain data with the rules that keep it true; changed by `ShardState` (what the log says) and by the engine's gate
 * (what was accepted and is not yet in the log).
 */
import { beginEpoch, currentEpoch, type EpochStart, firstEpoch } from '../domain/epoch.ts';
import type { Durability } from '../domain/topic.ts';
import type { LogAddress } from '../storage/log.ts';
import type { RecentBatches } from './recent-batches.ts';

/** Distance in the log within which the next batch of a partition lies, seen from the index point before it. */
export const INDEX_SPAN_BYTES = 64 * 1024;

/** A place from which reading the log forward finds `offset` within `INDEX_SPAN_BYTES` plus one batch. */
export interface IndexPoint {
  readonly offset: number;
  /** Append time of the batch at the point, ms since 1970. */
  readonly time: number;
  readonly address: LogAddress;
}

/** Woken in the turn in which the partition's high watermark rose, or when the partition is closed. */
export interface PartitionWaiter {
  wake(): void;
}

export class Partition {
  readonly topic: string;
  readonly topicId: number;
  readonly partition: number;
  readonly durability: Durability;
  /** Number by which log entries name the partition; 0 until the log has opened it. */
  handle = 0;
  epochs: readonly EpochStart[] = firstEpoch;
  /** First offset held. */
  start = 0;
  /** Next offset to be durable: all below are in the synced log. */
  durable = 0;
  /** Next offset to be given out; ahead of `durable` by what is queued or being written. */
  accepted = 0;
  /** Next offset not to be shown; ahead of `durable` by what an async topic shows from memory. */
  shown = 0;
  /** The topic is gone; nothing is read or written any more. */
  closed = false;
  /** Its closing is queued: nothing may be queued behind that. */
  closing = false;
  /** Index points that no checkpoint has saved yet, in rising order. */
  unsavedPoints: IndexPoint[] = [];
  lastPoint: LogAddress | null = null;
  /** Recent batches in memory, null when there are none. */
  recent: RecentBatches | null = null;
  readonly waiters = new Set<PartitionWaiter>();

  constructor(topic: string, topicId: number, partition: number, durability: Durability) {
    this.topic = topic;
    this.topicId = topicId;
    this.partition = partition;
    this.durability = durability;
  }

  get epoch(): number {
    return currentEpoch(this.epochs);
  }

  /** Next offset that consumers may not yet see: what its topic's durability promises to keep lies below. */
  get highWatermark(): number {
    return Math.max(this.durable, this.shown);
  }

  beginEpoch(): void {
    this.epochs = beginEpoch(this.epochs, this.durable);
  }

  /** Notes where a batch lies; keeps an index point when the last one is too far back to find it from. */
  noteBatch(offset: number, time: number, address: LogAddress): void {
    const last = this.lastPoint;
    const near =
      last !== null && last.segment === address.segment && address.position - last.position < INDEX_SPAN_BYTES;
    if (near) return;
    this.lastPoint = address;
    this.unsavedPoints.push({ offset, time, address });
  }

  wakeWaiters(): void {
    for (const waiter of this.waiters) waiter.wake();
  }

  /** `orders/3`, for messages. */
  get label(): string {
    return `${this.topic}/${this.partition}`;
  }
}
