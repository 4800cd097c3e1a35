/**
 * What groups have read, in the shard's log: the offset that a group committed, and up to where it was given what it has
 * not committed yet. Rows that come one behind another share an entry. Used by the shard's engine alone.
 */
import { BrokerError } from '../errors.ts';
import { EntryKind } from '../storage/log.ts';
import type { AppendQueue } from './append-queue.ts';
import type { CommitRow } from './control-entry.ts';
import type { ControlWriter } from './control-writer.ts';
import type { Gate } from './gate.ts';
import type { Partition } from './partition.ts';
import { type CommitOutcome, QueuedOffsets } from './queued-entry.ts';
import type { ShardState } from './shard-state.ts';

export interface GroupOffsetsOptions {
  readonly state: ShardState;
  readonly queue: AppendQueue;
  /** Both kinds of rows pass here; shut before the final group. */
  readonly gate: Gate;
  readonly partitions: ControlWriter;
}

export class GroupOffsets {
  readonly #options: GroupOffsetsOptions;
  #commits: QueuedOffsets | null = null;
  #delivered: QueuedOffsets | null = null;
  /** `handle/group` → the offset that is on its way into the log: the next reader may come before it is there. */
  readonly #said = new Map<string, number>();

  constructor(options: GroupOffsetsOptions) {
    this.#options = options;
  }

  /** Commits `offset` (the next to read) for a group; the caller checked it against the high watermark. */
  commit(partition: Partition, group: string, offset: number, outcome: CommitOutcome): void {
    const { gate, partitions, state } = this.#options;
    const refusal = gate.refusal() ?? closingRefusal(partition);
    if (refusal !== null) {
      outcome.refused(refusal);
      return;
    }
    if (partition.handle === 0) partitions.openPartition(partition);
    this.#commits = this.#add(
      this.#commits,
      () => new QueuedOffsets(EntryKind.commit, (rows, sequence) => state.applyCommits(rows, sequence)),
      (entry) => entry.add(partition.handle, group, offset, outcome),
    );
  }

  committed(partition: Partition, group: string): number | undefined {
    return this.#options.state.committed(partition.handle, group);
  }

  /**
   * Keeps that a group was given records below `offset` and has not committed them all: they come again marked. Said
   * when a subscription ends or the drain stops its deliveries; behind the last group it is too late, and left out.
   */
  noteDelivered(partition: Partition, group: string, offset: number): void {
    const { gate, state } = this.#options;
    const { handle } = partition;
    if (handle === 0 || gate.refusal() !== null || closingRefusal(partition) !== null) return;
    if (offset <= Math.max(state.committed(handle, group) ?? 0, this.deliveredTo(partition, group))) return;
    this.#said.set(`${handle}/${group}`, offset);
    this.#delivered = this.#add(
      this.#delivered,
      () => new QueuedOffsets(EntryKind.delivered, (rows, sequence) => this.#applyDelivered(rows, sequence)),
      (entry) => entry.add(handle, group, offset, null),
    );
  }

  /** Records below it may have been given to the group before. */
  deliveredTo(partition: Partition, group: string): number {
    const { handle } = partition;
    return Math.max(this.#options.state.deliveredTo(handle, group), this.#said.get(`${handle}/${group}`) ?? 0);
  }

  #applyDelivered(rows: readonly CommitRow[], sequence: number): void {
    this.#options.state.applyDelivered(rows, sequence);
    for (const [handle, group, offset] of rows) {
      const key = `${handle}/${group}`;
      if ((this.#said.get(key) ?? 0) <= offset) this.#said.delete(key);
    }
  }

  /** Only into the last entry of the queue: whatever a row speaks of must be ahead of it in the log. */
  #add(open: QueuedOffsets | null, begin: () => QueuedOffsets, add: (entry: QueuedOffsets) => number): QueuedOffsets {
    const { queue } = this.#options;
    if (open !== null && queue.isLast(open)) {
      queue.grew(add(open));
      return open;
    }
    const entry = begin();
    add(entry);
    queue.push(entry);
    return entry;
  }
}

/** What is said of a partition whose topic goes or has gone; null while it stays. */
export function closingRefusal(partition: Partition): BrokerError | null {
  if (!partition.closing && !partition.closed) return null;
  return new BrokerError('UNKNOWN_TOPIC', `topic ${partition.topic} was deleted`);
}
