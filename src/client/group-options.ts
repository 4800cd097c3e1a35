/** What a member of a group is asked for. */
import type { GroupPartition } from './group-partition.ts';

/**
 * What is committed by itself. `delivered`: a record, once the loop has asked for the next. `acked`: a record, once
 * `record.ack()` was called on it and on all before it. `off`: nothing.
 */
export type CommitMode = 'delivered' | 'acked' | 'off';

export interface GroupOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /** A lasting id of this member, 1–128 printable ASCII characters. Default: a random one for this object. */
  readonly member?: string | undefined;
  /** Where a partition begins of which the group has committed nothing. Default `earliest`. */
  readonly from?: 'earliest' | 'latest' | undefined;
  /** Records that may be on their way or waiting. Default 1,000. */
  readonly credit?: number | undefined;
  /** Default `delivered`. */
  readonly commit?: CommitMode | undefined;
  /** Longest that what is to be committed by itself waits for company, ms. Default 1,000. */
  readonly commitMs?: number | undefined;
  /** Ends the iterator, cleanly and at once, and leaves the group without a last commit. */
  readonly signal?: AbortSignal | undefined;
  /** Partitions are this member's. */
  readonly onAssigned?: ((partitions: readonly GroupPartition[]) => void) | undefined;
  /** Partitions are asked back: commit what is yours to commit. They are given back when this and the loop are done. */
  readonly onRevoke?: ((partitions: readonly GroupPartition[]) => void | PromiseLike<void>) | undefined;
}

export interface CloseOptions {
  /** Longest to wait until what the loop was given is done with, ms. Default 0. */
  readonly withinMs?: number;
}
