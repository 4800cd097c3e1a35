/**
 * What groups have read, in the shard's log: the offset that a group committed, and up to where it was given what it has
 * not committed yet. The rows of one turn share an entry, as do those that come one behind another while a write is
 * under way. Used by the shard's engine alone.
 */
import { BrokerError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
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
  readonly clock: Clock;
  readonly partitions: ControlWriter;
}

/** An entry that takes rows: held back until the turn is over, then in the queue for as long as it is the last there. */
interface Open {
  readonly entry: QueuedOffsets;
  held: boolean;
}

export class GroupOffsets {
  readonly #options: GroupOffsetsOptions;
  #commits: Open | null = null;
  #delivered: Open | null = null;
  /** `handle/group` → the offset that is on its way into the log: the next reader may come before it is there. */
  readonly #said = new Map<string, number>();
  /** Commits admitted and not settled, by `handle/group`. */
  readonly #pending = new Map<string, number>();
  #settling: { readonly key: string; readonly settled: () => void }[] = [];

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
    this.#commits = this.#open(
      this.#commits,
      () => new QueuedOffsets(EntryKind.commit, (rows, sequence) => state.applyCommits(rows, sequence)),
    );
    const key = `${partition.handle}/${group}`;
    this.#add(this.#commits, partition.handle, group, offset, this.#counted(key, outcome));
  }

  committed(partition: Partition, group: string): number | undefined {
    return this.#options.state.committed(partition.handle, group);
  }

  /** Resolves when the commits of a group that were admitted so far are written, or their outcome was told. */
  settled(partition: Partition, group: string): Promise<void> {
    const key = `${partition.handle}/${group}`;
    if (!this.#pending.has(key)) return Promise.resolve();
    return new Promise((settled) => this.#settling.push({ key, settled }));
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
    this.#delivered = this.#open(
      this.#delivered,
      () => new QueuedOffsets(EntryKind.delivered, (rows, sequence) => this.#applyDelivered(rows, sequence)),
    );
    this.#add(this.#delivered, handle, group, offset, null);
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

  /** Queues what is held back for the rest of the turn: nothing may come behind the last group. */
  flush(): void {
    for (const open of [this.#commits, this.#delivered]) {
      if (open?.held !== true) continue;
      open.held = false;
      this.#options.queue.push(open.entry);
    }
  }

  #open(open: Open | null, begin: () => QueuedOffsets): Open {
    const { queue, clock } = this.#options;
    // Only while it is held, or the last of the queue: whatever a row speaks of must be ahead of it in the log.
    if (open !== null && (open.held || queue.isLast(open.entry))) return open;
    clock.defer(() => this.flush());
    return { entry: begin(), held: true };
  }

  #add(open: Open, handle: number, group: string, offset: number, outcome: CommitOutcome | null): void {
    const grown = open.entry.add(handle, group, offset, outcome);
    if (!open.held) this.#options.queue.grew(grown);
  }

  #counted(key: string, outcome: CommitOutcome): CommitOutcome {
    this.#pending.set(key, (this.#pending.get(key) ?? 0) + 1);
    const done = (): void => {
      const left = (this.#pending.get(key) ?? 1) - 1;
      if (left > 0) {
        this.#pending.set(key, left);
        return;
      }
      this.#pending.delete(key);
      const waiting = this.#settling;
      this.#settling = waiting.filter((waiter) => waiter.key !== key);
      for (const waiter of waiting) if (waiter.key === key) waiter.settled();
    };
    return {
      committed: () => {
        outcome.committed();
        done();
      },
      refused: (error) => {
        outcome.refused(error);
        done();
      },
    };
  }
}

/** What is said of a partition whose topic goes or has gone; null while it stays. */
export function closingRefusal(partition: Partition): BrokerError | null {
  if (!partition.closing && !partition.closed) return null;
  return new BrokerError('UNKNOWN_TOPIC', `topic ${partition.topic} was deleted`);
}
