/** Commands of consumer groups, and commits, read from their fields. Called by `command-parser.ts`. */
import { PARTITIONS_MAX, topicNameFault } from '../domain/topic.ts';
import { BrokerError } from '../errors.ts';
import type {
  CommandId,
  CommitCommand,
  CommitManyCommand,
  CommitRow,
  JoinCommand,
  MemberPosition,
  ReleaseCommand,
  TopicPartition,
} from './commands.ts';
import type { FieldReader } from './field.ts';
import { groupOf, optionalId, topicOf } from './name-field.ts';

/** Version of joining, assigning and revoking: the only one so far. */
export const GROUP_VERSION = 1;
/** Most topics of one member. */
export const MEMBER_TOPICS_MAX = 256;
/** Most partitions of all topics of a group. */
export const GROUP_PARTITIONS_MAX = 10_000;

export function joinOf(fields: FieldReader, id: CommandId, creditDefault: number): JoinCommand {
  const member = optionalId(fields, 'member');
  if (member === undefined) throw fields.wrong('member', 'an id that this member keeps over its connections');
  return {
    op: 'join',
    id,
    version: fields.optionalInteger('version', 0) ?? GROUP_VERSION,
    group: groupOf(fields),
    member,
    topics: topicsOf(fields),
    from: fields.optionalChoice('from', ['earliest', 'latest']) ?? 'earliest',
    credit: fields.optionalInteger('credit', 1) ?? creditDefault,
    positions: (fields.optionalObjects('positions', 0, GROUP_PARTITIONS_MAX) ?? []).map(
      (row): MemberPosition => ({
        ...topicPartition(row),
        generation: row.integer('generation', 1),
        offset: row.integer('offset', 0),
        epoch: row.optionalInteger('epoch', 1),
      }),
    ),
  };
}

export function releaseOf(fields: FieldReader, id: CommandId): ReleaseCommand {
  const rows = fields.optionalObjects('partitions', 1, GROUP_PARTITIONS_MAX);
  if (rows === undefined) throw fields.wrong('partitions', 'the partitions that are given back');
  return { op: 'release', id, subscription: fields.integer('subscription', 1), partitions: rows.map(topicPartition) };
}

export function commitOf(fields: FieldReader, id: CommandId): CommitCommand | CommitManyCommand {
  const subscription = fields.integer('subscription', 1);
  const rows = fields.optionalObjects('offsets', 1, GROUP_PARTITIONS_MAX);
  if (rows === undefined) return { op: 'commit', id, subscription, ...commitRow(fields) };
  for (const name of ['partition', 'offset']) {
    if (fields.has(name)) throw new BrokerError('BAD_REQUEST', `give "${name}" or "offsets", not both`);
  }
  return { op: 'commit', id, subscription, offsets: rows.map(commitRow) };
}

function commitRow(fields: FieldReader): CommitRow {
  return {
    topic: fields.has('topic') ? topicOf(fields) : undefined,
    partition: fields.integer('partition', 0),
    offset: fields.integer('offset', 0),
    generation: fields.optionalInteger('generation', 0),
  };
}

function topicPartition(fields: FieldReader): TopicPartition {
  return { topic: topicOf(fields), partition: fields.integer('partition', 0, PARTITIONS_MAX - 1) };
}

function topicsOf(fields: FieldReader): readonly string[] {
  const topics = fields.optionalArray('topics', 1, MEMBER_TOPICS_MAX);
  if (topics === undefined) throw fields.wrong('topics', `1 to ${MEMBER_TOPICS_MAX} names of topics`);
  for (const topic of topics) {
    const fault = topicNameFault(topic);
    if (fault !== null) throw new BrokerError('INVALID_TOPIC', fault);
  }
  return [...new Set(topics as string[])];
}
