/**
 * The log port. One ordered log per shard is the truth; everything else about a shard is a function of it. The
 * contract is in `test/storage/log-contract.ts`, which every adapter passes: entries have dense sequences from 1,
 * `append` resolves only when all of its group is durable, and after its first failure the log accepts nothing more
 * until `rollOver` has put a fresh segment behind the last durable entry.
 */

/** Where an entry lies: the segment (named by its first sequence) and the byte position in it. */
export interface LogAddress {
  readonly segment: number;
  readonly position: number;
}

/** Kinds of entry. Numbers are on disk: never reuse one. */
export const EntryKind = {
  batch: 1,
  topic: 2,
  partition: 3,
  commit: 4,
  opened: 5,
  clean: 6,
  delivered: 7,
  group: 16,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** An entry to be written: its body is `parts`, one behind another, not changed until `append` settles. */
export interface NewEntry {
  readonly kind: EntryKind;
  readonly parts: readonly Uint8Array[];
}

export interface LogEntry {
  readonly sequence: number;
  /** Epoch of the shard owner that wrote it. */
  readonly epoch: number;
  readonly kind: EntryKind;
  /** Checked against its CRC. A view into a larger buffer; treat as read-only. */
  readonly body: Uint8Array;
  readonly address: LogAddress;
}

export interface Appended {
  readonly firstSequence: number;
  /** Address of each entry of the group, in order. */
  readonly addresses: readonly LogAddress[];
  readonly bytes: number;
}

export interface LogRead {
  readonly entries: readonly LogEntry[];
  /** Where to read on; null when the durable end was reached. */
  readonly next: LogAddress | null;
}

export interface Log {
  /** Sequence of the oldest entry held (equal to `nextSequence` in an empty log). */
  readonly firstSequence: number;
  /** Sequence that the next entry will get. All below are durable. */
  readonly nextSequence: number;
  /** Where the next entry will lie, unless a new segment begins. */
  readonly end: LogAddress;
  /** Bytes of all segments. */
  readonly bytes: number;
  /** The epoch written into every new entry; set once, by the shard, before its first append. */
  epoch: number;

  /**
   * Writes a group of entries as one synced write. One call at a time (a second one before the first settled is an
   * InvariantError). Rejects with LOG_WRITE_FAILED (cause: the system error) and is fenced from then on.
   */
  append(group: readonly NewEntry[]): Promise<Appended>;
  /** True after a failed append until `rollOver` succeeds. */
  readonly fenced: boolean;
  /**
   * After a failed append: lets go of the failed descriptor without touching it and begins a new segment at
   * `nextSequence`; what the failed write may have left in the old one is void from then on, since a segment ends
   * where the next begins. Rejects with LOG_WRITE_FAILED and stays fenced when that cannot be made durable.
   */
  rollOver(): Promise<void>;
  /**
   * Reads entries from `from` on (null: the oldest), at least one when there is one, about `bytesMax` bytes. Never
   * past the durable end. Rejects with LOG_CORRUPT or LOG_READ_FAILED.
   */
  read(from: LogAddress | null, bytesMax: number): Promise<LogRead>;
  /** Drops whole segments that hold only entries below `sequence`, never the last one; resolves with bytes freed. */
  truncateBefore(sequence: number): Promise<number>;
  /**
   * For a shard that is given up: no write begins from this call on. One that has begun goes on; an append or a
   * `rollOver` that would write more rejects with LOG_WRITE_FAILED. Safe to call twice.
   */
  seal(): void;
  /** Seals, and lets go of every descriptor. Waits for an append or a `rollOver` under way. Safe to call twice. */
  close(): Promise<void>;
}
