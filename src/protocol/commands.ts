/**
 * What a client may say: one type per `op`, as it stands after validation. `docs/protocol.md` is the reference.
 * Fields that a client may leave out are filled with their defaults by `parseCommand` (in `command-parser.ts`).
 */
import type { RecordInput } from '../domain/record-batch.ts';
import type { Durability, Retention } from '../domain/topic.ts';

/** A command's own mark, echoed in its reply; absent when the client gave none. */
export type CommandId = number | string | undefined;

export interface HelloCommand {
  readonly op: 'hello';
  readonly id: CommandId;
  readonly token: string | undefined;
  /** Name and version of the client, for people. */
  readonly client: string | undefined;
  readonly producer: string | undefined;
}

export interface CreateCommand {
  readonly op: 'create';
  readonly id: CommandId;
  readonly topic: string;
  readonly partitions: number | undefined;
  readonly durability: Durability | undefined;
  readonly retention: Retention | undefined;
}

export interface DescribeCommand {
  readonly op: 'describe';
  readonly id: CommandId;
  readonly topic: string;
  /** Make the topic with the defaults when it does not exist, as a publish would. */
  readonly create: boolean;
}

export interface DeleteCommand {
  readonly op: 'delete';
  readonly id: CommandId;
  readonly topic: string;
}

export interface TopicsCommand {
  readonly op: 'topics';
  readonly id: CommandId;
}

/** Text frame: `records` came as JSON and are not yet in a batch. Binary frame: `batch` is the frame's body. */
export interface PublishCommand {
  readonly op: 'publish';
  readonly id: CommandId;
  readonly topic: string;
  /** Undefined: by key where there is one, balanced otherwise. */
  readonly partition: number | undefined;
  /** Sequence of the first record; the publish takes as many as it has records. */
  readonly sequence: number | undefined;
  readonly payload: PublishRecords | PublishBatch;
}

export interface PublishRecords {
  readonly kind: 'records';
  readonly records: readonly RecordInput[];
  /** True when the command had `records`, an array: its reply tells the place of each. */
  readonly many: boolean;
}

export interface PublishBatch {
  readonly kind: 'batch';
  /** Structure checked by `batchFault`. */
  readonly batch: Uint8Array;
  readonly count: number;
}

export type StartPosition =
  | { readonly at: 'earliest' }
  | { readonly at: 'latest' }
  | { readonly at: 'committed' }
  | { readonly at: 'offset'; readonly offset: number; readonly epoch: number | undefined }
  | { readonly at: 'time'; readonly time: number }
  | { readonly at: 'last'; readonly count: number };

export interface SubscribeCommand {
  readonly op: 'subscribe';
  readonly id: CommandId;
  readonly topic: string;
  /** Undefined: all partitions. */
  readonly partitions: readonly number[] | undefined;
  readonly from: StartPosition;
  /** Per-partition starts that override `from`; a client that resumes gives these. */
  readonly positions: ReadonlyMap<number, { readonly offset: number; readonly epoch: number | undefined }>;
  /** Name under which offsets are committed; a consumer group. */
  readonly group: string | undefined;
  /** Records that may be on their way unconfirmed by `credit`; a batch is delivered whole, so it may go below 0. */
  readonly credit: number;
}

export interface CreditCommand {
  readonly op: 'credit';
  readonly id: CommandId;
  readonly subscription: number;
  readonly records: number;
}

export interface CommitCommand {
  readonly op: 'commit';
  readonly id: CommandId;
  readonly subscription: number;
  readonly partition: number;
  /** The next offset to read, as in Kafka. */
  readonly offset: number;
  /** Of a member's subscription, which may have several topics. */
  readonly topic: string | undefined;
  /** In which the member got the partition. */
  readonly generation: number | undefined;
}

/** Several commits at once: those of one shard share an entry of its log. */
export interface CommitManyCommand {
  readonly op: 'commit';
  readonly id: CommandId;
  readonly subscription: number;
  readonly offsets: readonly CommitRow[];
}

export type CommitRow = Pick<CommitCommand, 'topic' | 'partition' | 'offset' | 'generation'>;

/** Joins a group: a subscription whose partitions the broker gives and takes. */
export interface JoinCommand {
  readonly op: 'join';
  readonly id: CommandId;
  readonly group: string;
  readonly member: string;
  readonly topics: readonly string[];
  /** Where a partition begins that the group has no offset of. */
  readonly from: 'earliest' | 'latest';
  readonly credit: number;
  readonly version: number;
  /** Where a member that comes back stands, on partitions that are still its own. */
  readonly positions: readonly MemberPosition[];
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface MemberPosition extends TopicPartition {
  readonly generation: number;
  readonly offset: number;
  readonly epoch: number | undefined;
}

/** Gives back partitions that were asked back. */
export interface ReleaseCommand {
  readonly op: 'release';
  readonly id: CommandId;
  readonly subscription: number;
  readonly partitions: readonly TopicPartition[];
}

/** Leaves the group: what the member has goes to others at once. */
export interface LeaveCommand {
  readonly op: 'leave';
  readonly id: CommandId;
  readonly subscription: number;
}

/** The groups that there are. */
export interface GroupsCommand {
  readonly op: 'groups';
  readonly id: CommandId;
}

/** How far a group is behind, partition by partition. */
export interface LagCommand {
  readonly op: 'lag';
  readonly id: CommandId;
  readonly group: string;
}

export interface UnsubscribeCommand {
  readonly op: 'unsubscribe';
  readonly id: CommandId;
  readonly subscription: number;
}

/** Asks for the last stored sequence of this connection's producer on each partition of a topic. */
export interface ProducerCommand {
  readonly op: 'producer';
  readonly id: CommandId;
  readonly topic: string;
}

export interface PingCommand {
  readonly op: 'ping';
  readonly id: CommandId;
}

export type Command =
  | HelloCommand
  | CreateCommand
  | DescribeCommand
  | DeleteCommand
  | TopicsCommand
  | PublishCommand
  | SubscribeCommand
  | CreditCommand
  | CommitCommand
  | CommitManyCommand
  | JoinCommand
  | ReleaseCommand
  | LeaveCommand
  | GroupsCommand
  | LagCommand
  | UnsubscribeCommand
  | ProducerCommand
  | PingCommand;
