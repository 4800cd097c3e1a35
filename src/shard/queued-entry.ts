/** The entries that a shard's engine queues: a publish, the commits of one turn, a control entry. */
import { DELIVERED_HEADER_BYTES } from '../domain/record-batch.ts';
import type { BrokerError } from '../errors.ts';
import { EntryKind, type LogAddress, type NewEntry } from '../storage/log.ts';
import type { QueuedEntry } from './append-queue.ts';
import { type BatchStamp, stampBatch } from './batch-entry.ts';
import { type CommitRow, type ControlBody, type ControlKind, writeControl } from './control-entry.ts';
import type { Partition } from './partition.ts';
import type { StoredBatch } from './recent-batches.ts';

type OffsetsKind = typeof EntryKind.commit | typeof EntryKind.delivered;

/** Where a publish's outcome goes; called once. */
export interface PublishOutcome {
  published(offset: number, epoch: number, duplicate: boolean): void;
  refused(error: BrokerError): void;
}

/** Entry header and padding, for the queue's accounting. */
const ENTRY_OVERHEAD_BYTES = 64;
/** A commit's row, for the same. */
const ROW_BYTES = 64;

export class QueuedPublish implements QueuedEntry {
  readonly partition: Partition;
  readonly stamp: BatchStamp;
  readonly count: number;
  readonly bytes: number;
  /** Shown and acknowledged already. */
  readonly lazy: boolean;
  readonly stored: StoredBatch;
  readonly #head: Uint8Array;
  readonly #batch: Uint8Array;
  readonly #written: (publish: QueuedPublish, sequence: number, address: LogAddress) => void;
  /** Those who wait for it: the publisher, and whoever resent it meanwhile. Null once told. */
  #waiting: PublishOutcome[] | null;

  constructor(
    partition: Partition,
    stamp: BatchStamp,
    batch: Uint8Array,
    count: number,
    outcome: PublishOutcome | null,
    written: (publish: QueuedPublish, sequence: number, address: LogAddress) => void,
  ) {
    const { head, deliveredHeader } = stampBatch(stamp, batch.length);
    this.partition = partition;
    this.stamp = stamp;
    this.count = count;
    this.lazy = outcome === null;
    this.bytes = head.length + batch.length + ENTRY_OVERHEAD_BYTES;
    this.#head = head;
    this.#batch = batch;
    this.#written = written;
    this.#waiting = outcome === null ? null : [outcome];
    this.stored = {
      baseOffset: stamp.baseOffset,
      count,
      time: stamp.time,
      epoch: stamp.epoch,
      bytes: DELIVERED_HEADER_BYTES + batch.length,
      parts: [deliveredHeader, batch],
    };
  }

  /** A resend of the same publish waits for the same outcome. */
  join(outcome: PublishOutcome): void {
    if (this.#waiting === null) outcome.published(this.stamp.baseOffset, this.stamp.epoch, true);
    else this.#waiting.push(outcome);
  }

  take(): NewEntry {
    return { kind: EntryKind.batch, parts: [this.#head, this.#batch] };
  }

  written(sequence: number, address: LogAddress): void {
    this.#written(this, sequence, address);
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) return;
    for (let index = 0; index < waiting.length; index += 1) {
      (waiting[index] as PublishOutcome).published(this.stamp.baseOffset, this.stamp.epoch, index > 0);
    }
  }

  lost(error: BrokerError): void {
    const waiting = this.#waiting;
    // Empty, not null: it is not durable, and who resends it now waits for what comes of it.
    this.#waiting = waiting === null ? null : [];
    for (const outcome of waiting ?? []) outcome.refused(error);
  }
}

/**
 * Offsets of groups that came one behind another, as one entry: commits, or ends of what was delivered. Open until
 * another entry follows it or its group is formed.
 */
export class QueuedOffsets implements QueuedEntry {
  readonly lazy = false;
  readonly #kind: OffsetsKind;
  readonly #rows = new Map<string, CommitRow>();
  readonly #outcomes: CommitOutcome[] = [];
  readonly #written: (rows: readonly CommitRow[], sequence: number) => void;
  #bytes = ENTRY_OVERHEAD_BYTES;

  constructor(kind: OffsetsKind, written: (rows: readonly CommitRow[], sequence: number) => void) {
    this.#kind = kind;
    this.#written = written;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a row; returns by how many bytes the entry grew. */
  add(handle: number, group: string, offset: number, outcome: CommitOutcome | null): number {
    const key = `${handle}/${group}`;
    const before = this.#rows.get(key)?.[2] ?? 0;
    this.#rows.set(key, [handle, group, Math.max(before, offset)]);
    if (outcome !== null) this.#outcomes.push(outcome);
    this.#bytes += ROW_BYTES;
    return ROW_BYTES;
  }

  take(): NewEntry {
    return { kind: this.#kind, parts: [writeControl(this.#kind, [...this.#rows.values()])] };
  }

  written(sequence: number): void {
    this.#written([...this.#rows.values()], sequence);
    for (const outcome of this.#outcomes.splice(0)) outcome.committed();
  }

  lost(error: BrokerError): void {
    for (const outcome of this.#outcomes.splice(0)) outcome.refused(error);
  }
}

export interface CommitOutcome {
  committed(): void;
  refused(error: BrokerError): void;
}

/** A topic, partition or clean entry. */
export class QueuedControl<K extends ControlKind> implements QueuedEntry {
  readonly lazy = false;
  readonly bytes: number;
  readonly #kind: K;
  readonly #bytes: Uint8Array;
  readonly #written: (sequence: number) => void;
  readonly #lost: (error: BrokerError) => void;

  constructor(kind: K, body: ControlBody<K>, written: (sequence: number) => void, lost: (error: BrokerError) => void) {
    this.#kind = kind;
    this.#bytes = writeControl(kind, body);
    this.bytes = this.#bytes.length + ENTRY_OVERHEAD_BYTES;
    this.#written = written;
    this.#lost = lost;
  }

  take(): NewEntry {
    return { kind: this.#kind, parts: [this.#bytes] };
  }

  written(sequence: number): void {
    this.#written(sequence);
  }

  lost(error: BrokerError): void {
    this.#lost(error);
  }
}
