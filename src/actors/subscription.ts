/**
 * A subscription of one session: a cursor per partition, credit over all of them, and the deliveries that both allow.
 * The log is the buffer: a cursor is an offset, and a consumer that does not read costs the bytes its socket holds.
 */
import { BrokerError } from '../errors.ts';
import type { Partition, PartitionWaiter } from '../shard/partition.ts';
import type { FetchedBatches, ReadHint } from '../shard/partition-reader.ts';
import type { StoredBatch } from '../shard/recent-batches.ts';
import type { ShardEngine } from '../shard/shard-engine.ts';
import type { FrameKind, SessionOutbox } from './session-outbox.ts';
import type { TextCache } from './text-cache.ts';

/** Bytes that one fetch asks for: a few frames' worth, so that partitions take turns. */
const FETCH_BYTES = 256 * 1024;

export interface SubscriptionHost {
  readonly outbox: SessionOutbox;
  readonly texts: TextCache;
  /** Bytes that the socket may still take now; at most 0 when deliveries have to wait. */
  roomBytes(): number;
  /** Whether anything may be delivered at all: not before hello, not behind the word of the drain. */
  readonly delivering: boolean;
  /** A cursor has something to do. */
  cursorReady(subscription: Subscription): void;
  /** An unexpected failure of a read, to be logged. */
  readFailed(error: BrokerError, partition: Partition): void;
}

export interface CursorStart {
  readonly engine: ShardEngine;
  readonly partition: Partition;
  readonly offset: number;
  /** Told before the first delivery: what the consumer asked for and cannot have. */
  readonly gap: { readonly reason: 'retention' | 'lost'; readonly from: number; readonly to: number } | null;
}

class Cursor implements PartitionWaiter {
  readonly engine: ShardEngine;
  readonly partition: Partition;
  readonly #subscription: Subscription;
  offset: number;
  hint: ReadHint | null = null;
  fetching = false;
  dropped = false;
  /** Last offset committed on this subscription; null before the first. */
  committed: number | null = null;
  /** Records below it may have been given to the group before. */
  readonly redeliveredBefore: number;

  constructor(subscription: Subscription, start: CursorStart) {
    this.#subscription = subscription;
    this.engine = start.engine;
    this.partition = start.partition;
    this.offset = start.offset;
    const { group } = subscription;
    this.redeliveredBefore = group === undefined ? 0 : start.engine.offsets.deliveredTo(start.partition, group);
  }

  get behind(): boolean {
    return this.offset < this.partition.highWatermark;
  }

  /** Why nothing more comes from this partition; null while it is served. */
  get end(): BrokerError | null {
    const { closed, topic } = this.partition;
    if (closed) return new BrokerError('UNKNOWN_TOPIC', `topic ${topic} was deleted`);
    return this.engine.failure;
  }

  wake(): void {
    this.#subscription.wake(this);
  }
}

export class Subscription {
  readonly id: number;
  /** Null for a member of a group, whose partitions may be of several. */
  readonly topic: string | null;
  readonly group: string | undefined;
  readonly #kind: FrameKind;
  readonly #host: SubscriptionHost;
  readonly #creditMax: number;
  readonly #cursors: Cursor[] = [];
  #credit: number;
  #turn = 0;
  #ended = false;

  constructor(
    host: SubscriptionHost,
    what: {
      id: number;
      topic: string | null;
      group: string | undefined;
      kind: FrameKind;
      credit: number;
      creditMax: number;
    },
  ) {
    this.#host = host;
    this.id = what.id;
    this.topic = what.topic;
    this.group = what.group;
    this.#kind = what.kind;
    this.#credit = what.credit;
    this.#creditMax = what.creditMax;
  }

  get credit(): number {
    return this.#credit;
  }

  /** Begins on every partition; the `subscribed` reply was sent. */
  start(starts: readonly CursorStart[]): void {
    for (const start of starts) {
      const cursor = new Cursor(this, start);
      this.#cursors.push(cursor);
      start.partition.waiters.add(cursor);
      if (start.gap !== null) this.#tellGap(cursor, start.gap);
    }
    for (const cursor of [...this.#cursors]) this.wake(cursor);
  }

  /** The partition of a commit. UNKNOWN_PARTITION when it is not among those subscribed. */
  cursorOf(partition: number): { readonly engine: ShardEngine; readonly partition: Partition } {
    const cursor = this.#find(this.topic, partition);
    if (cursor !== undefined) return cursor;
    throw new BrokerError(
      'UNKNOWN_PARTITION',
      `subscription ${this.id} does not have partition ${partition} of ${this.topic}`,
    );
  }

  #find(topic: string | null, partition: number): Cursor | undefined {
    return this.#cursors.find((one) => one.partition.partition === partition && one.partition.topic === topic);
  }

  /** Delivers nothing more of a partition; what was delivered and not committed is noted. */
  remove(topic: string, partition: number): void {
    const cursor = this.#find(topic, partition);
    if (cursor === undefined) return;
    cursor.dropped = true;
    cursor.partition.waiters.delete(cursor);
    this.#cursors.splice(this.#cursors.indexOf(cursor), 1);
    this.#noteDelivered(cursor);
  }

  noteCommit({ topic, partition }: Pick<Partition, 'topic' | 'partition'>, offset: number): void {
    const cursor = this.#find(topic, partition);
    if (cursor !== undefined && offset > (cursor.committed ?? -1)) cursor.committed = offset;
  }

  /** It commits, and has been given more than it committed. One that never commits is not waited for. */
  get owesCommits(): boolean {
    return this.#cursors.some(({ committed, offset }) => committed !== null && committed < offset);
  }

  addCredit(records: number): void {
    this.#credit = Math.min(this.#credit + records, this.#creditMax);
    this.#host.cursorReady(this);
  }

  /** What the group was given and has not committed will come again, marked: see `ShardEngine.noteDelivered`. */
  noteDelivered(): void {
    for (const cursor of this.#cursors) this.#noteDelivered(cursor);
  }

  #noteDelivered({ engine, partition, offset }: Cursor): void {
    if (this.group !== undefined) engine.offsets.noteDelivered(partition, this.group, offset);
  }

  end(): void {
    if (this.#ended) return;
    this.noteDelivered();
    this.#ended = true;
    for (const cursor of this.#cursors.splice(0)) cursor.partition.waiters.delete(cursor);
  }

  /** Something happened to the partition of a cursor. Its end is told at once: to hear it takes no credit. */
  wake(cursor: Cursor): void {
    if (this.#ended) return;
    const { end } = cursor;
    if (end === null) this.#host.cursorReady(this);
    else this.#drop(cursor, end);
  }

  /** True while something could be delivered now but for the socket. */
  get hungry(): boolean {
    return !this.#ended && this.#credit > 0 && this.#cursors.some((cursor) => cursor.behind && !cursor.fetching);
  }

  /** Delivers what credit and the socket allow, a fetch from each partition in turn. */
  pump(): void {
    for (let idle = 0; idle < this.#cursors.length && this.#mayDeliver(); ) {
      this.#turn = (this.#turn + 1) % this.#cursors.length;
      const cursor = this.#cursors[this.#turn] as Cursor;
      if (cursor.fetching || !cursor.behind) {
        idle += 1;
        continue;
      }
      idle = 0;
      this.#step(cursor);
    }
  }

  #mayDeliver(): boolean {
    return !this.#ended && this.#credit > 0 && this.#host.roomBytes() > 0;
  }

  #step(cursor: Cursor): void {
    const { partition } = cursor;
    if (cursor.offset < partition.start) {
      const gap = { reason: 'retention' as const, from: cursor.offset, to: partition.start };
      cursor.offset = partition.start;
      this.#tellGap(cursor, gap);
      return;
    }
    try {
      const fetched = cursor.engine.fetch(partition, cursor.offset, FETCH_BYTES, cursor.hint);
      if (fetched instanceof Promise) this.#deliverLater(cursor, fetched);
      else this.#deliver(cursor, fetched);
    } catch (error) {
      this.#drop(cursor, BrokerError.from(error, 'INTERNAL', 'reading failed'));
    }
  }

  #deliverLater(cursor: Cursor, fetching: Promise<FetchedBatches>): void {
    cursor.fetching = true;
    fetching.then(
      (fetched) => {
        cursor.fetching = false;
        if (this.#ended || cursor.dropped) return;
        // The client may have been told meanwhile that nothing more comes. It is read again when the drain is cancelled.
        if (this.#host.delivering) this.#deliver(cursor, fetched);
        this.#host.cursorReady(this);
      },
      (error: unknown) => {
        cursor.fetching = false;
        if (this.#ended || cursor.dropped) return;
        this.#drop(cursor, BrokerError.from(error, 'LOG_READ_FAILED', 'reading failed'));
      },
    );
  }

  /** Whole batches while there is credit; the last one may take it below 0. */
  #deliver(cursor: Cursor, fetched: FetchedBatches): void {
    const batches: StoredBatch[] = [];
    let next = cursor.offset;
    for (const batch of fetched.batches) {
      if (this.#credit <= 0) break;
      const end = batch.baseOffset + batch.count;
      this.#credit -= end - Math.max(next, batch.baseOffset);
      next = end;
      batches.push(batch);
    }
    cursor.hint = batches.length === fetched.batches.length ? fetched.hint : null;
    if (batches.length === 0) return;
    const from = cursor.offset;
    cursor.offset = next;
    // A delivery is of one epoch: its header names it, and a position is (epoch, offset).
    for (const run of runsOfOneEpoch(batches)) this.#send(cursor, run, from);
  }

  #send(cursor: Cursor, batches: readonly StoredBatch[], from: number): void {
    const { partition } = cursor;
    const epoch = (batches[0] as StoredBatch).epoch;
    const header =
      `{"op":"records","subscription":${this.id}${this.topic === null ? `,"topic":"${partition.topic}"` : ''},"partition":${partition.partition},` +
      `"epoch":${epoch},"highWatermark":${partition.highWatermark}` +
      (from < cursor.redeliveredBefore ? `,"redeliveredBefore":${cursor.redeliveredBefore}` : '');
    if (this.#kind === 'binary') {
      this.#host.outbox.deliver(
        `${header}}`,
        batches.length === 1 ? (batches[0] as StoredBatch).parts : batches.flatMap((batch) => batch.parts),
      );
      return;
    }
    const records = batches.map((batch) => this.#host.texts.textOf(batch, from)).join(',');
    this.#host.outbox.deliverText(`${header},"records":[${records}]}`);
  }

  #tellGap(cursor: Cursor, gap: { reason: 'retention' | 'lost'; from: number; to: number }): void {
    this.#host.outbox.send(this.#kind, {
      op: 'gap',
      subscription: this.id,
      ...this.#place(cursor),
      ...gap,
      epoch: cursor.partition.epoch,
      offset: cursor.offset,
    });
  }

  /** The partition can't be read on: the consumer is told, and its other partitions go on. */
  #drop(cursor: Cursor, error: BrokerError): void {
    if (cursor.dropped) return;
    cursor.dropped = true;
    cursor.partition.waiters.delete(cursor);
    this.#cursors.splice(this.#cursors.indexOf(cursor), 1);
    if (error.code !== 'UNKNOWN_TOPIC' && error.code !== 'SHARD_FAILED') this.#host.readFailed(error, cursor.partition);
    this.#host.outbox.refuse(this.#kind, undefined, error, {
      subscription: this.id,
      ...this.#place(cursor),
    });
  }

  /** A partition, with its topic where there may be several. */
  #place({ partition: { topic, partition } }: Cursor): { readonly topic?: string; readonly partition: number } {
    return this.topic === null ? { topic, partition } : { partition };
  }
}

function runsOfOneEpoch(batches: readonly StoredBatch[]): StoredBatch[][] {
  const runs: StoredBatch[][] = [];
  for (const batch of batches) {
    const run = runs[runs.length - 1];
    if (run !== undefined && run[0]?.epoch === batch.epoch) run.push(batch);
    else runs.push([batch]);
  }
  return runs;
}
