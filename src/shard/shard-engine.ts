/**
 * The record path of one shard: plain code behind a gate that the shard's chart opens and shuts. It admits, gives out
 * offsets, queues, and tells who waits; the log decides what is. Called by sessions (publish, commit, fetch), by the
 * catalogue (topics) and by the shard actor (gate, flush, fence).
 *
 * Guarantees: an acknowledgement follows the synced write of its group (sync topics) or admission to bounded memory
 * (async topics); acknowledgements of one partition come in log order; nothing is admitted behind a shut gate.
 */
import type { Topic } from '../domain/topic.ts';
import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../ports/clock.ts';
import type { Appended, EntryKind, Log, LogAddress } from '../storage/log.ts';
import type { MetaStore } from '../storage/meta.ts';
import { AppendQueue } from './append-queue.ts';
import { Checkpointer } from './checkpointer.ts';
import type { ControlBody } from './control-entry.ts';
import { ControlWriter } from './control-writer.ts';
import { Gate } from './gate.ts';
import { closingRefusal, GroupOffsets } from './group-offsets.ts';
import type { Partition } from './partition.ts';
import { type FetchedBatches, PartitionReader, type ReadHint } from './partition-reader.ts';
import { answeredBefore, ProducersInFlight } from './producers-in-flight.ts';
import { type PublishOutcome, QueuedPublish } from './queued-entry.ts';
import { RecentMemory } from './recent-batches.ts';
import { RecordCounts } from './record-counts.ts';
import type { ShardState } from './shard-state.ts';

export interface EngineLimits {
  readonly groupBytes: number;
  readonly flushMs: number;
  readonly flushBytes: number;
  readonly shardQueueBytes: number;
  readonly recentBytes: number;
  readonly checkpointBytes: number;
  readonly producersMax: number;
  readonly producerExpiryMs: number;
  readonly diskCheckMs: number;
}

export interface EngineOptions {
  readonly state: ShardState;
  readonly log: Log;
  readonly meta: MetaStore;
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly logger: Logger;
  readonly giveReserveBack: () => Promise<number>;
  /** The disk turned out to be full while writing. */
  readonly onDiskFull: () => void;
  /** The shard can't go on. Once. */
  readonly onFault: (error: BrokerError) => void;
}

export interface EngineFigures {
  /** Admitted and not yet durable. */
  readonly queueBytes: number;
  readonly queueEntries: number;
  readonly logBytes: number;
  readonly recentBytes: number;
  /** Groups written since the start. */
  readonly groups: number;
  /** ms that the write in flight has taken; null when none is. */
  readonly writeAgeMs: number | null;
  /** Synced bytes per second while writing; null before the first write. */
  readonly flushBytesPerSecond: number | null;
}

export interface PublishRequest {
  readonly topic: Topic;
  readonly partition: number;
  readonly batch: Uint8Array;
  readonly count: number;
  /** Producer and the sequence of the first record; null for a publish that may be stored twice when resent. */
  readonly producer: { readonly id: string; readonly sequence: number } | null;
  readonly outcome: PublishOutcome;
}

const TRIES_MAX = 3;
/** Longest that a publisher waits for an answer while the disk is full or a write hangs. */
const ANSWER_WITHIN_MS = 5000;

export class ShardEngine {
  readonly shard: number;
  readonly state: ShardState;
  readonly #options: EngineOptions;
  readonly #log: Log;
  readonly #queue: AppendQueue;
  readonly #recent: RecentMemory;
  readonly #reader: PartitionReader;
  readonly #checkpointer: Checkpointer;
  readonly #inFlight = new ProducersInFlight();
  readonly #advanced = new Set<Partition>();
  readonly #changes: ControlWriter;
  /** What groups have committed and were given. */
  readonly offsets: GroupOffsets;
  /** Publishes pass here; shut first, when the shard drains or its disk is full. */
  readonly publishGate = new Gate();
  /** Commits and changes of topics pass here; shut last, before the final group. */
  readonly commitGate = new Gate();
  /** Why the shard serves no more; null while it does. */
  #failure: BrokerError | null = null;
  #relieved: (() => void)[] = [];
  #groups = 0;
  readonly counts = new RecordCounts();

  constructor(options: EngineOptions) {
    this.#options = options;
    this.state = options.state;
    this.shard = options.state.shard;
    this.#log = options.log;
    this.#recent = new RecentMemory(options.limits.recentBytes);
    this.#reader = new PartitionReader(options.log, options.meta, (error) => {
      const { logger } = options;
      logger.warn({ shard: this.shard, reason: error.message }, 'the index is damaged: reading through the log');
    });
    this.#checkpointer = new Checkpointer(options);
    this.#queue = new AppendQueue({
      ...options.limits,
      log: options.log,
      clock: options.clock,
      writes: this.counts.writes,
      triesMax: TRIES_MAX,
      retryMs: options.limits.diskCheckMs,
      giveReserveBack: options.giveReserveBack,
      onGroup: (appended) => this.#onGroup(appended),
      onDiskFull: options.onDiskFull,
      onFault: (error) => {
        this.#fence(error);
        options.onFault(error);
      },
    });
    this.#changes = new ControlWriter(this.state, this.#queue, this.commitGate);
    this.offsets = new GroupOffsets({
      state: this.state,
      queue: this.#queue,
      gate: this.commitGate,
      clock: options.clock,
      partitions: this.#changes,
    });
  }

  // --- what it holds ---

  get queueBytes(): number {
    return this.#queue.bytes;
  }

  /** What it holds and does, for people and metrics. */
  get figures(): EngineFigures {
    return {
      queueBytes: this.#queue.bytes,
      queueEntries: this.#queue.entries,
      logBytes: this.#log.bytes,
      recentBytes: this.#recent.bytes,
      groups: this.#groups,
      writeAgeMs: this.#queue.writeAgeMs,
      flushBytesPerSecond: this.#queue.flushBytesPerSecond,
    };
  }

  /** More is queued than the mark allows: sockets that publish here are to be paused until `onRelieved`. */
  get pressed(): boolean {
    return this.#queue.bytes > this.#options.limits.shardQueueBytes;
  }

  /** Calls back once, when the queue is below half its mark or the shard is fenced. */
  onRelieved(callback: () => void): void {
    this.#relieved.push(callback);
  }

  // --- publish ---

  /**
   * Admits or refuses at once; the outcome comes later, or in this very call for a refusal, a duplicate and an async
   * topic. The batch's structure was checked by the caller; its bytes must not change any more.
   */
  publish(request: PublishRequest): void {
    const { topic, outcome } = request;
    const partition = this.state.partitionOf(topic, request.partition);
    if (request.producer !== null && answeredBefore(this.state, this.#inFlight, partition, request.producer, outcome))
      return;
    const refusal = this.publishGate.refusal() ?? closingRefusal(partition);
    if (refusal !== null) {
      outcome.refused(refusal);
      return;
    }
    if (this.#queue.bytes > 2 * this.#options.limits.shardQueueBytes) {
      // Sockets pause at the mark; this bounds what was on its way already.
      outcome.refused(
        new BrokerError('OVERLOADED', `shard ${this.shard} has no room for writes`, { retryAfterMs: 100 }),
      );
      return;
    }
    this.#admit(partition, request);
  }

  #admit(partition: Partition, request: PublishRequest): void {
    if (partition.handle === 0) this.#changes.openPartition(partition);
    const stamp = {
      handle: partition.handle,
      producer: request.producer,
      baseOffset: partition.accepted,
      time: Math.max(this.#options.clock.now(), this.state.lastTime),
      epoch: partition.epoch,
    };
    this.state.lastTime = stamp.time;
    const shown = this.#mayShowNow(partition);
    partition.accepted += request.count;
    const outcome = shown ? null : request.outcome;
    const publish = new QueuedPublish(partition, stamp, request.batch, request.count, outcome, this.#onPublishWritten);
    if (request.producer !== null) this.#inFlight.add(publish);
    this.counts.admitted(publish);
    this.#queue.push(publish);
    if (this.#failure !== null || !shown) return;
    // Shown and acknowledged from memory: what an async topic promises.
    this.#recent.add(partition, publish.stored);
    partition.shown = partition.accepted;
    request.outcome.published(stamp.baseOffset, stamp.epoch, false);
    this.#markAdvanced(partition);
  }

  /**
   * What an async topic takes is shown before it is durable, but for the very first of a partition: were the partition
   * itself lost in a crash, it would begin anew in the same epoch, and its offsets would name other records.
   */
  #mayShowNow(partition: Partition): boolean {
    const { durability, handle, highWatermark, accepted } = partition;
    return durability === 'async' && this.state.partitions.has(handle) && highWatermark === accepted;
  }

  readonly #onPublishWritten = (publish: QueuedPublish, sequence: number, address: LogAddress): void => {
    const partition = this.state.applyBatch({ ...publish.stamp, count: publish.count }, address, sequence);
    this.counts.written(publish);
    this.#inFlight.remove(publish);
    if (publish.lazy) return;
    this.#recent.add(partition, publish.stored);
    this.#markAdvanced(partition);
  };

  // --- producers ---

  /** The last sequence of a producer that is stored or being stored; null when there is none. */
  lastSequence(partition: Partition, producer: string): number | null {
    const flying = this.#inFlight.last(partition, producer);
    return flying ?? this.state.producer(partition.handle, producer)?.last ?? null;
  }

  // --- topics and partitions ---

  /**
   * Writes a change of the catalogue; resolves when it is durable. Only for topics whose home is this shard. `applied` is
   * called when it is, also where the answer was OUTCOME_UNKNOWN before that.
   */
  changeTopic(body: ControlBody<typeof EntryKind.topic>, applied: () => void = () => {}): Promise<void> {
    return this.#changes.changeTopic(body, applied);
  }

  /** Writes what a group has become; for those whose home is this shard. `applied` as with `changeTopic`. */
  changeGroup(body: ControlBody<typeof EntryKind.group>, applied: () => void): Promise<void> {
    return this.#changes.changeGroup(body, applied);
  }

  /** Closes every partition of a deleted topic; resolves when that is durable. */
  closeTopic(topicId: number): Promise<void> {
    return this.#changes.closeTopic(topicId);
  }

  // --- reading ---

  /** SHARD_FAILED once the shard is fenced; null while it serves. */
  get failure(): BrokerError | null {
    return this.#failure;
  }

  partition(topic: Topic, partition: number): Partition {
    return this.state.partitionOf(topic, partition);
  }

  /** See `PartitionReader.fetch`. SHARD_FAILED once the shard is fenced. */
  fetch(
    partition: Partition,
    offset: number,
    bytesMax: number,
    hint: ReadHint | null,
  ): FetchedBatches | Promise<FetchedBatches> {
    if (this.#failure !== null) throw this.#failure;
    return this.#reader.fetch(partition, offset, bytesMax, hint);
  }

  offsetAtTime(partition: Partition, time: number): Promise<number> {
    return this.#reader.offsetAtTime(partition, time);
  }

  // --- the end ---

  /** Writes ahead of a flush that is to come: what waits of async topics, and the state. Awaits nothing. */
  prepare(): void {
    this.#queue.writeWaiting();
    this.#checkpointer.begin();
  }

  /** Resolves when all that was admitted is written (or lost): what a shut gate leaves behind. */
  settle(): Promise<void> {
    this.offsets.flush();
    return this.#queue.settle();
  }

  /** Saves the derived state, synced. After `settle`, with both gates shut. */
  async checkpoint(): Promise<void> {
    await this.#checkpointer.finish();
  }

  /** Writes the clean mark: the last entry, behind the checkpoint that covers all others. */
  markClean(): Promise<void> {
    return this.#changes.markClean();
  }

  /** Gives the shard up: everyone who waits is told, and what completes later changes nothing. */
  fence(error: BrokerError): void {
    this.#log.seal();
    this.#fence(error);
    this.#queue.fence(error);
  }

  #fence(error: BrokerError): void {
    if (this.#failure !== null) return;
    const message = `shard ${this.shard} does not serve: ${error.message}`;
    this.#failure = new BrokerError('SHARD_FAILED', message, { cause: error, retryAfterMs: 5000 });
    this.counts.fence();
    for (const gate of [this.publishGate, this.commitGate]) gate.shut('SHARD_FAILED', error.message, 5000);
    this.#checkpointer.stop();
    this.#tellRelieved();
    for (const partition of this.state.known) partition.wakeWaiters();
  }

  /** Lets go of the meta store and the log. */
  async release(): Promise<void> {
    this.#checkpointer.stop();
    const closing = [this.#checkpointer.idle().then(() => this.#options.meta.close()), this.#log.close()];
    // Both, whatever becomes of the other.
    for (const closed of await Promise.allSettled(closing)) if (closed.status === 'rejected') throw closed.reason;
  }

  /** Looked at now and then: answers those who have waited long enough for a full disk, or for a write that hangs. */
  answerOverdue(): void {
    const full = this.#queue.waitingForSpace(ANSWER_WITHIN_MS);
    if (!full && (this.#queue.writeAgeMs ?? 0) < ANSWER_WITHIN_MS) return;
    const message = full
      ? `the disk has been full for ${ANSWER_WITHIN_MS} ms; the write is repeated when there is space`
      : `the write has not come back for ${ANSWER_WITHIN_MS} ms; it may yet be stored`;
    this.#queue.answerUnknown(new BrokerError('OUTCOME_UNKNOWN', message, { retryAfterMs: ANSWER_WITHIN_MS }));
  }

  /** There is space again. */
  retryNow(): void {
    this.#queue.retryNow();
  }

  #onGroup(appended: Appended): void {
    this.#groups += 1;
    if (this.#queue.bytes * 2 < this.#options.limits.shardQueueBytes) this.#tellRelieved();
    this.#checkpointer.onGroup(appended.bytes);
  }

  /** Wakes consumers once per turn and partition, however many batches arrived in it. */
  #markAdvanced(partition: Partition): void {
    if (partition.waiters.size === 0) return;
    if (this.#advanced.size === 0) this.#options.clock.defer(() => this.#wakeAdvanced());
    this.#advanced.add(partition);
  }

  #wakeAdvanced(): void {
    const advanced = [...this.#advanced];
    this.#advanced.clear();
    for (const partition of advanced) partition.wakeWaiters();
  }

  #tellRelieved(): void {
    if (this.#relieved.length === 0) return;
    const relieved = this.#relieved;
    this.#relieved = [];
    for (const callback of relieved) callback();
  }
}
