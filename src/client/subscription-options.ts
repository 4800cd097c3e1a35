/** What a subscription is asked for, what it tells, and what it needs of its client. */
import type { Gap, Reply } from '../protocol/replies.ts';
import type { ClientEvents } from './client.ts';
import type { ClientClock } from './clock.ts';
import type { Emitter } from './emitter.ts';
import type { SluiceError } from './error.ts';
import type { Link } from './link.ts';
import type { SluiceRecord } from './record.ts';
import type { Requests } from './requests.ts';
import type { SchemaIssue } from './schema.ts';

export type From =
  | 'earliest'
  | 'latest'
  /** Where the group's last commit left off; the earliest without one. */
  | 'committed'
  | { readonly offset: number; readonly epoch?: number | undefined }
  /** The first record taken at or after that time, ms since 1970. */
  | { readonly time: number }
  /** The last so many of each partition. */
  | { readonly last: number };

export interface SubscribeOptions {
  /** Where to begin. Default: `committed` with a group, else `latest`. */
  readonly from?: From | undefined;
  /** Name under which offsets are committed. */
  readonly group?: string | undefined;
  /** Default: all. */
  readonly partitions?: readonly number[] | undefined;
  /** Records that may be on their way or waiting for the loop. Default 1,000. */
  readonly credit?: number | undefined;
  /** Ends the iterator, cleanly. */
  readonly signal?: AbortSignal | undefined;
}

export interface TypedSubscribeOptions extends SubscribeOptions {
  /** Told of a record that does not fit the schema, which is then passed over. Default: the iterator throws. */
  readonly onInvalid?: ((record: SluiceRecord, issues: readonly SchemaIssue[]) => void) | undefined;
}

/** Where the loop stands on one partition. */
export interface Position {
  readonly partition: number;
  /** The next offset that the loop will see. */
  readonly offset: number;
  readonly epoch: number;
  /** The next offset to be durable, as last heard. */
  readonly highWatermark: number;
}

/** Records [from, to) of a partition cannot be had: retention took them, or a crash cost them (`lost`). */
export interface GapEvent extends Omit<Gap, 'op' | 'subscription'> {
  readonly topic: string;
  /** The one whose loop came to it: a `Subscription`, or a member of a group. */
  readonly subscription: AsyncIterableIterator<SluiceRecord<unknown>>;
}

/** What stands at the broker under a number of its own, and is told what comes for it. */
export interface Standing {
  /** A connection is there. */
  open(): void;
  /** It is gone. */
  leave(): void;
  /** The client is closed: cleanly, or by `failure`. */
  end(failure: SluiceError | null): void;
  /** What comes with its number. */
  take(reply: Reply, body: Uint8Array): void;
  /** Settles when what it has committed so far is answered. */
  readonly settled: Promise<unknown>;
}

/** What a subscription needs of its client. */
export interface SubscriptionHost {
  readonly link: Link;
  readonly requests: Requests;
  readonly emitter: Emitter<ClientEvents>;
  readonly clock: ClientClock;
  readonly random: () => number;
  /** Subscriptions that stand, by the broker's number on this connection. */
  readonly routes: Map<number, Standing>;
  readonly subscriptions: Set<Standing>;
}
