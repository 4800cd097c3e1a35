/**
 * What the broker says: one type per `op`. Types only, shared by the broker and the client, which reads them as the
 * JSON that they are on the wire. Absent optional fields are not sent. `docs/protocol.md` is the reference.
 */
import type { Durability, Retention } from '../domain/topic.ts';

export type WireId = number | string;

export interface Limits {
  /** Largest frame that the broker takes, bytes. */
  readonly frameBytes: number;
  /** Bytes of unanswered publishes of one connection before its socket is paused. */
  readonly inFlightBytes: number;
  /** Unanswered publishes of one connection before its socket is paused; as many are remembered for a resend. */
  readonly inFlightPublishes: number;
  readonly subscriptions: number;
  readonly topics: number;
  readonly keyBytes: number;
}

export interface Welcome {
  readonly op: 'welcome';
  readonly id?: WireId;
  readonly session: string;
  readonly protocol: 1;
  readonly broker: string;
  readonly limits: Limits;
  readonly draining: boolean;
  /** True when a `hello` with a token must come first; nothing else is served before. */
  readonly authenticate?: boolean;
}

export interface TopicReply {
  readonly topic: string;
  readonly partitions: number;
  readonly durability: Durability;
  readonly retention: Retention;
}

export interface Created extends TopicReply {
  readonly op: 'created';
  readonly id?: WireId;
}

export interface PartitionState {
  readonly partition: number;
  readonly epoch: number;
  /** First offset that the partition holds. */
  readonly start: number;
  /** Next offset to be durable. */
  readonly highWatermark: number;
}

export interface Described extends TopicReply {
  readonly op: 'described';
  readonly id?: WireId;
  readonly state: readonly PartitionState[];
}

export interface Deleted {
  readonly op: 'deleted';
  readonly id?: WireId;
  readonly topic: string;
}

export interface Topics {
  readonly op: 'topics';
  readonly id?: WireId;
  readonly topics: readonly TopicReply[];
}

export interface Published {
  readonly op: 'published';
  readonly id?: WireId;
  readonly topic: string;
  readonly partition: number;
  readonly epoch: number;
  /** Offset of the first record. */
  readonly offset: number;
  readonly count: number;
  /** The sequence had been stored before; this is where. */
  readonly duplicate?: true;
}

/** Reply to a text publish of several `records`: the place of each, in their order. */
export interface PublishedMany {
  readonly op: 'published';
  readonly id?: WireId;
  readonly topic: string;
  readonly count: number;
  readonly positions: readonly { readonly partition: number; readonly offset: number; readonly epoch: number }[];
  readonly duplicate?: true;
}

/**
 * The acks of one turn of one connection, for publishes that came as binary frames: one row a publish,
 * `[id, partition, epoch, offset, count]`, with a sixth element 1 for a duplicate. An id that was not given is null.
 */
export interface PublishedRows {
  readonly op: 'published';
  readonly acks: readonly (readonly [WireId | null, number, number, number, number, 1?])[];
}

export interface SubscribedPartition {
  readonly partition: number;
  readonly epoch: number;
  /** The next offset that will be delivered. */
  readonly offset: number;
  readonly highWatermark: number;
}

export interface Subscribed {
  readonly op: 'subscribed';
  readonly id?: WireId;
  readonly topic: string;
  readonly subscription: number;
  readonly partitions: readonly SubscribedPartition[];
}

export interface TextRecord {
  readonly offset: number;
  readonly time: number;
  readonly key?: string;
  /** "base64" when the key is not UTF-8 text. */
  readonly keyEncoding?: 'base64';
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON value, or text or base64 as `encoding` says; absent in a tombstone. */
  readonly value?: unknown;
  readonly encoding?: 'utf8' | 'base64';
}

/** A delivery. Text: with `records`. Binary: without, the body holds delivered batches (`record-batch.ts`). */
export interface Records {
  readonly op: 'records';
  readonly subscription: number;
  /** Of a member's subscription, which may have several. */
  readonly topic?: string;
  readonly partition: number;
  readonly epoch: number;
  readonly highWatermark: number;
  /** Records below this offset may have been given to the group before; absent when none of these was. */
  readonly redeliveredBefore?: number;
  readonly records?: readonly TextRecord[];
}

/** Records [from, to) of an epoch cannot be given: `retention` took them, or a crash cost them (`lost`). */
export interface Gap {
  readonly op: 'gap';
  readonly subscription: number;
  /** Of a member's subscription. */
  readonly topic?: string;
  readonly partition: number;
  readonly reason: 'retention' | 'lost';
  readonly from: number;
  readonly to: number;
  /** Where the subscription goes on. */
  readonly epoch: number;
  readonly offset: number;
}

export interface Committed {
  readonly op: 'committed';
  readonly id?: WireId;
  readonly partition: number;
  /** The committed offset; never lower than one committed before. */
  readonly offset: number;
}

/** Reply to a commit of several `offsets`; those that were refused are told beside those that are durable. */
export interface CommittedMany {
  readonly op: 'committed';
  readonly id?: WireId;
  readonly offsets: readonly CommittedOffset[];
  readonly refused?: readonly RefusedOffset[];
}

export interface CommittedOffset {
  /** Of a member's subscription. */
  readonly topic?: string;
  readonly partition: number;
  readonly offset: number;
}

export interface RefusedOffset {
  readonly topic?: string;
  readonly partition: number;
  readonly code: string;
  readonly retryable: boolean;
  readonly message: string;
}

/** A subscription whose partitions the broker gives and takes. */
export interface Joined {
  readonly op: 'joined';
  readonly id?: WireId;
  readonly subscription: number;
  readonly group: string;
  readonly member: string;
  /** Time that a member has to give back what it is asked for, ms. */
  readonly revokeMs: number;
  /** Time that a member has to come back when its connection is lost, ms. */
  readonly graceMs: number;
}

export interface AssignedPartition extends SubscribedPartition {
  readonly topic: string;
  /** In which it became the member's: what its commits carry. */
  readonly generation: number;
}

/** Partitions are the member's from now on, besides those that it has. */
export interface Assigned {
  readonly op: 'assigned';
  readonly subscription: number;
  /** Of the group. */
  readonly generation: number;
  readonly partitions: readonly AssignedPartition[];
}

/** Partitions are asked back: nothing more is delivered of them, commits of what was delivered are taken. */
export interface Revoke {
  readonly op: 'revoke';
  readonly subscription: number;
  readonly generation: number;
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[];
  readonly withinMs: number;
}

/** Partitions are the member's no more: commits for them are refused. */
export interface Revoked {
  readonly op: 'revoked';
  readonly subscription: number;
  readonly generation: number;
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[];
}

export interface Released {
  readonly op: 'released';
  readonly id?: WireId;
  readonly subscription: number;
}

export interface Left {
  readonly op: 'left';
  readonly id?: WireId;
  readonly subscription: number;
}

export interface GroupReply {
  readonly group: string;
  readonly state: 'empty' | 'preparing' | 'stable' | 'revoking';
  readonly generation: number;
  readonly members: readonly {
    readonly member: string;
    /** It has a connection. */
    readonly present: boolean;
    readonly topics: readonly string[];
    readonly partitions: number;
  }[];
  /** New assignments since the broker started. */
  readonly rebalances: number;
}

export interface Groups {
  readonly op: 'groups';
  readonly id?: WireId;
  readonly groups: readonly GroupReply[];
}

export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  /** Null while nobody owns it. */
  readonly member: string | null;
  /** The next to read; null when the group has committed nothing. */
  readonly committed: number | null;
  readonly highWatermark: number;
  readonly records: number;
  /** About: as many records of the size of those that come next. */
  readonly bytes: number;
  /** Age of the oldest record that is not committed, ms; 0 when there is none. */
  readonly ms: number;
}

export interface Lag {
  readonly op: 'lag';
  readonly id?: WireId;
  readonly group: string;
  readonly partitions: readonly PartitionLag[];
}

export interface Unsubscribed {
  readonly op: 'unsubscribed';
  readonly id?: WireId;
  readonly subscription: number;
}

export interface ProducerReply {
  readonly op: 'producer';
  readonly id?: WireId;
  readonly topic: string;
  readonly producer: string;
  /** Only partitions on which this producer has stored something. */
  readonly partitions: readonly { readonly partition: number; readonly sequence: number }[];
}

export interface Pong {
  readonly op: 'pong';
  readonly id?: WireId;
}

export interface GoAway {
  readonly op: 'goaway';
  /** `cancelled`: of a drain that was told before; the broker serves on, and both times are 0. */
  readonly stage: 'announce' | 'drain' | 'cancelled';
  readonly reason: string;
  /** ms until the broker is gone at the latest. */
  readonly deadlineMs: number;
  /** ms after which this client, and this one alone, should come back; drawn for each. */
  readonly reconnectAfterMs: number;
  /** The last accepted sequence of this connection's producer, by topic and partition. */
  readonly lastAccepted?: readonly { readonly topic: string; readonly partition: number; readonly sequence: number }[];
}

export interface ErrorReply {
  readonly op: 'error';
  readonly id?: WireId;
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly message: string;
  /** For an error about a subscription that goes on or ends by itself. */
  readonly subscription?: number;
  readonly topic?: string;
  readonly partition?: number;
}

export type Reply =
  | Welcome
  | Created
  | Described
  | Deleted
  | Topics
  | Published
  | PublishedMany
  | PublishedRows
  | Subscribed
  | Records
  | Gap
  | Committed
  | CommittedMany
  | Joined
  | Assigned
  | Revoke
  | Revoked
  | Released
  | Left
  | Groups
  | Lag
  | Unsubscribed
  | ProducerReply
  | Pong
  | GoAway
  | ErrorReply;
