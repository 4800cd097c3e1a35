/**
 * Frames to commands, with every field checked. What is wrong comes back as a fault with the command's `id`, so that
 * the answer can carry it; a fault with a close code (BAD_FRAME, BAD_JSON) ends the connection, others do not.
 *
 * Guarantees: never throws; the keys, values and headers that a command holds are together no longer than its frame, and
 * its text takes at most two bytes for each of the frame. Called by sessions, once for each frame.
 */
import { batchCount, batchFault } from '../domain/record-batch.ts';
import { PARTITIONS_MAX, type Retention } from '../domain/topic.ts';
import { BrokerError } from '../errors.ts';
import type {
  Command,
  CommandId,
  CreateCommand,
  HelloCommand,
  PublishBatch,
  PublishCommand,
  PublishRecords,
  StartPosition,
  SubscribeCommand,
} from './commands.ts';
import { FieldReader, isObject, type JsonObject, shown } from './field.ts';
import { decodeFrame, parseObject } from './frame.ts';
import { commitOf, joinOf, releaseOf } from './group-parser.ts';
import { elementsAt, memberAt, skipSpace } from './json-text.ts';
import { groupOf, optionalGroup, optionalId, topicOf } from './name-field.ts';
import { recordFromJson } from './record-json.ts';

export type ParseResult =
  | { readonly command: Command; readonly fault?: undefined }
  | { readonly fault: BrokerError; readonly id: CommandId; readonly command?: undefined };

/** Longest of each text field, characters. */
export const ID_LENGTH_MAX = 256;
export const TOKEN_LENGTH_MAX = 4096;
export const CLIENT_LENGTH_MAX = 256;
/** Most records of one text publish. */
export const RECORDS_MAX = 10_000;
/** Records of credit when `subscribe` does not say. */
export const CREDIT_DEFAULT = 1000;

export { GROUP_LENGTH_MAX, PRODUCER_LENGTH_MAX } from './name-field.ts';

/** What a command's fields were read from: a text frame, or the body behind a binary frame's header. */
type Source = { readonly json: string } | { readonly body: Uint8Array };

export function parseTextCommand(text: string): ParseResult {
  return parse(() => ({ fields: parseObject(text), source: { json: text } }));
}

/** The batch of a publish is a view into `bytes`, which must not change afterwards. */
export function parseBinaryCommand(bytes: Uint8Array): ParseResult {
  return parse(() => {
    const { header, body } = decodeFrame(bytes);
    return { fields: header, source: { body } };
  });
}

function parse(read: () => { fields: JsonObject; source: Source }): ParseResult {
  let id: CommandId;
  try {
    const { fields, source } = read();
    const reader = new FieldReader(fields);
    id = idOf(reader);
    return { command: commandOf(reader, id, source) };
  } catch (error) {
    return { fault: BrokerError.from(error, 'INTERNAL', 'the command could not be read'), id };
  }
}

function idOf(fields: FieldReader): CommandId {
  const id = fields.value('id');
  if (id === undefined || (typeof id === 'number' && Number.isFinite(id))) return id;
  if (typeof id === 'string' && id.length <= ID_LENGTH_MAX) return id;
  throw fields.wrong('id', `a number or a string of at most ${ID_LENGTH_MAX} characters`);
}

function commandOf(fields: FieldReader, id: CommandId, source: Source): Command {
  const op = fields.value('op');
  if (typeof op !== 'string') throw fields.wrong('op', 'the name of a command');
  const command = op === 'publish' ? publishOf(fields, id, source) : bodilessOf(op, fields, id);
  if (command.op !== 'publish' && 'body' in source && source.body.length > 0) {
    throw new BrokerError('BAD_FRAME', `a frame of op "${command.op}" has no body; got ${source.body.length} bytes`);
  }
  return command;
}

/** A command of a frame that is all header. */
function bodilessOf(op: string, fields: FieldReader, id: CommandId): Command {
  switch (op) {
    case 'hello':
      return helloOf(fields, id);
    case 'create':
      return createOf(fields, id);
    case 'describe':
      return { op, id, topic: topicOf(fields), create: fields.optionalBoolean('create') ?? false };
    case 'delete':
    case 'producer':
      return { op, id, topic: topicOf(fields) };
    case 'topics':
    case 'ping':
      return { op, id };
    case 'subscribe':
      return subscribeOf(fields, id);
    case 'credit':
      return { op, id, subscription: fields.integer('subscription', 1), records: fields.integer('records', 0) };
    case 'commit':
      return commitOf(fields, id);
    case 'join':
      return joinOf(fields, id, CREDIT_DEFAULT);
    case 'release':
      return releaseOf(fields, id);
    case 'groups':
      return { op, id };
    case 'lag':
      return { op, id, group: groupOf(fields) };
    case 'leave':
    case 'unsubscribe':
      return { op, id, subscription: fields.integer('subscription', 1) };
    default:
      throw new BrokerError('UNKNOWN_OP', `there is no op ${shown(op)}`);
  }
}

function helloOf(fields: FieldReader, id: CommandId): HelloCommand {
  const producer = optionalId(fields, 'producer');
  const client = fields.optionalText('client', CLIENT_LENGTH_MAX);
  return { op: 'hello', id, token: optionalToken(fields), client, producer };
}

/** Unlike `optionalText`, its message never shows what came. */
function optionalToken(fields: FieldReader): string | undefined {
  const token = fields.value('token');
  if (token === undefined || (typeof token === 'string' && token.length <= TOKEN_LENGTH_MAX)) return token;
  throw new BrokerError('BAD_REQUEST', `"token" must be a string of at most ${TOKEN_LENGTH_MAX} characters`);
}

function createOf(fields: FieldReader, id: CommandId): CreateCommand {
  return {
    op: 'create',
    id,
    topic: topicOf(fields),
    partitions: fields.optionalInteger('partitions', 1, PARTITIONS_MAX),
    durability: fields.optionalChoice('durability', ['sync', 'async']),
    retention: retentionOf(fields),
  };
}

function retentionOf(fields: FieldReader): Retention | undefined {
  const retention = fields.optionalObject('retention');
  if (retention === undefined) return undefined;
  const limits = new FieldReader(retention, 'retention.');
  const limit = (name: 'ms' | 'bytes'): number | null =>
    limits.value(name) === null ? null : (limits.optionalInteger(name, 1) ?? null);
  return { ms: limit('ms'), bytes: limit('bytes') };
}

function publishOf(fields: FieldReader, id: CommandId, source: Source): PublishCommand {
  const topic = topicOf(fields);
  const partition = fields.optionalInteger('partition', 0);
  const sequence = fields.optionalInteger('sequence', 0);
  const payload = 'body' in source ? batchOf(source.body) : recordsOf(fields, source.json);
  if (sequence !== undefined) checkSequence(fields, sequence, partition, payload);
  return { op: 'publish', id, topic, partition, sequence, payload };
}

/**
 * A resend is known again by producer, partition and sequence, so it has to go where the first send went: not to a
 * partition that the broker picks anew.
 */
function checkSequence(
  fields: FieldReader,
  sequence: number,
  partition: number | undefined,
  payload: PublishRecords | PublishBatch,
): void {
  const count = payload.kind === 'batch' ? payload.count : payload.records.length;
  const max = Number.MAX_SAFE_INTEGER - (count - 1);
  if (sequence > max) throw fields.wrong('sequence', `at most ${max} with ${count} records`);
  if (partition !== undefined) return;
  if (payload.kind === 'records' && payload.records.every((record) => record.key !== null)) return;
  throw new BrokerError(
    'BAD_REQUEST',
    '"sequence" needs a "partition", or in a text publish a "key" for every record: a resend has to go to the same one',
  );
}

function batchOf(body: Uint8Array): PublishBatch {
  const fault = batchFault(body);
  if (fault !== null) throw new BrokerError('BAD_BATCH', fault);
  return { kind: 'batch', batch: body, count: batchCount(body) };
}

function recordsOf(fields: FieldReader, json: string): PublishRecords {
  const root = skipSpace(json, 0);
  const records = fields.optionalObjects('records', 1, RECORDS_MAX);
  if (records === undefined) {
    return { kind: 'records', many: false, records: [recordFromJson(fields, { json, at: root })] };
  }
  for (const name of ['key', 'value', 'headers']) {
    if (fields.has(name)) throw new BrokerError('BAD_REQUEST', `give "${name}" or "records", not both`);
  }
  const places = elementsAt(json, memberAt(json, root, 'records'));
  const read = records.map((record, index) => recordFromJson(record, { json, at: places[index] as number }));
  return { kind: 'records', many: true, records: read };
}

function subscribeOf(fields: FieldReader, id: CommandId): SubscribeCommand {
  const group = optionalGroup(fields);
  return {
    op: 'subscribe',
    id,
    topic: topicOf(fields),
    partitions: partitionsOf(fields),
    from: startOf(fields, group),
    positions: positionsOf(fields),
    group,
    credit: fields.optionalInteger('credit', 1) ?? CREDIT_DEFAULT,
  };
}

function partitionsOf(fields: FieldReader): readonly number[] | undefined {
  const one = fields.optionalInteger('partition', 0);
  const many = fields.optionalIntegers('partitions', 1, PARTITIONS_MAX, 0);
  if (one === undefined) return many;
  if (many === undefined) return [one];
  throw new BrokerError('BAD_REQUEST', 'give "partition" or "partitions", not both');
}

const START = '"earliest", "latest", "committed", {"offset":n}, {"time":ms} or {"last":n}';

function startOf(fields: FieldReader, group: string | undefined): StartPosition {
  const from = fields.value('from');
  if (from === undefined) return { at: group === undefined ? 'latest' : 'committed' };
  if (from === 'earliest' || from === 'latest') return { at: from };
  if (from === 'committed') {
    if (group !== undefined) return { at: from };
    throw new BrokerError('BAD_REQUEST', '"from":"committed" needs a "group", whose offsets are meant');
  }
  if (!isObject(from)) throw fields.wrong('from', START);
  const start = new FieldReader(from, 'from.');
  const ways = (['offset', 'time', 'last'] as const).filter((name) => start.has(name));
  if (ways.length !== 1) throw fields.wrong('from', START);
  switch (ways[0]) {
    case 'time':
      return { at: 'time', time: start.integer('time', 0) };
    case 'last':
      return { at: 'last', count: start.integer('last', 0) };
    default:
      return { at: 'offset', ...positionOf(start) };
  }
}

function positionsOf(fields: FieldReader): SubscribeCommand['positions'] {
  const positions = new Map<number, { offset: number; epoch: number | undefined }>();
  for (const row of fields.optionalObjects('positions', 0, PARTITIONS_MAX) ?? []) {
    const partition = row.integer('partition', 0);
    if (positions.has(partition)) throw row.wrong('partition', 'there once', partition);
    positions.set(partition, positionOf(row));
  }
  return positions;
}

function positionOf(fields: FieldReader): { offset: number; epoch: number | undefined } {
  return { offset: fields.integer('offset', 0), epoch: fields.optionalInteger('epoch', 1) };
}
