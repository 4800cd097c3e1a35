/** The frames of the protocol: their framing, the places in a JSON text, and the commands that they hold. */
import { batchFault, decodeBatch, encodeBatch, type RecordInput } from '../../../src/domain/record-batch.ts';
import { topicNameFault } from '../../../src/domain/topic.ts';
import { type ErrorCode, errorTable } from '../../../src/errors.ts';
import { type ParseResult, parseBinaryCommand, parseTextCommand } from '../../../src/protocol/command-parser.ts';
import type { Command } from '../../../src/protocol/commands.ts';
import { decodeFrame, encodeFrame } from '../../../src/protocol/frame.ts';
import { elementsAt, memberAt, skipSpace, valueEnd } from '../../../src/protocol/json-text.ts';
import { recordsText } from '../../../src/protocol/record-json.ts';
import { joined, jsonMutator, type Mutator, mutateJson } from '../mutation.ts';
import { about, bytesOf, holds, refusal, type SyncTarget, sameBytes, sameJson } from '../target.ts';

const textBytesMax = 4096;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const fieldNames = [
  'op',
  'id',
  'topic',
  'partition',
  'partitions',
  'sequence',
  'key',
  'keyEncoding',
  'value',
  'encoding',
  'headers',
  'records',
  'durability',
  'retention',
  'ms',
  'bytes',
  'create',
  'token',
  'client',
  'producer',
  'from',
  'offset',
  'time',
  'last',
  'positions',
  'epoch',
  'group',
  'credit',
  'subscription',
  'base64',
  'utf8',
  'json',
  'sync',
  'async',
  'earliest',
  'latest',
  'committed',
  'hello',
  'describe',
  'delete',
  'topics',
  'ping',
  'subscribe',
  'commit',
  'unsubscribe',
  'publish',
  '__proto__',
  'constructor',
  'toString',
  'orders',
  'a.b-c_d',
  'AAE=',
]; // prettier-ignore

const jsonWords = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  '\\u0061',
  ' ',
  '\n',
  'null',
  'true',
  '1e400',
  '-0',
  '"\\ud800"',
];

const commands: readonly object[] = [
  { op: 'ping', id: 1 },
  { op: 'hello', id: 'h', token: 't', client: 'c/1', producer: 'p-1' },
  { op: 'create', topic: 'orders', partitions: 4, durability: 'async', retention: { ms: 1000, bytes: null } },
  { op: 'describe', topic: 'orders', create: true },
  { op: 'delete', topic: 'a.b' },
  { op: 'topics', id: 7 },
  { op: 'producer', topic: 'orders' },
  { op: 'publish', id: 2, topic: 'orders', key: 'k', value: { a: [1, 'x', null] }, headers: { h: 'v' } },
  { op: 'publish', topic: 'orders', partition: 1, sequence: 0, value: 'AAE=', encoding: 'base64' },
  { op: 'publish', topic: 'orders', key: 'AAE=', keyEncoding: 'base64' },
  { op: 'publish', topic: 'orders', records: [{ value: 1 }, { key: 'a', value: 'é', encoding: 'utf8' }, { key: 'b' }] },
  { op: 'subscribe', id: 3, topic: 'orders', partitions: [0, 1], from: 'earliest', group: 'g', credit: 10 },
  { op: 'subscribe', topic: 'orders', partition: 0, from: { offset: 5, epoch: 2 } },
  { op: 'subscribe', topic: 'orders', from: { last: 3 }, positions: [{ partition: 0, offset: 1, epoch: 1 }] },
  { op: 'credit', subscription: 1, records: 100 },
  { op: 'commit', subscription: 1, partition: 0, offset: 9 },
  { op: 'unsubscribe', subscription: 1 },
];

const record = (value: string | null, key: string | null = null, headers: object | null = null): RecordInput => ({
  key: key === null ? null : bytesOf(key),
  headers: headers === null ? null : bytesOf(JSON.stringify(headers)),
  value: value === null ? null : bytesOf(value),
  encoding: 'json',
});

export const soundBatches = [
  encodeBatch([record('1')]),
  encodeBatch([record('{"a":1}', 'k', { h: 'v' }), record(null, 'gone'), { ...record('text'), encoding: 'utf8' }]),
  encodeBatch([{ ...record('\u0000\u00ff'), encoding: 'bytes' }, record('[]', ''), record('"x"', 'y', {})]),
];

function framed(header: string, body: Uint8Array = new Uint8Array()): Uint8Array {
  return joined(...encodeFrame(header, [body]));
}

/** Changes the header as JSON and gives the frame the length of what it then is. */
const headerMutator: Mutator = (input, { random }) => {
  if (input.length < 4) return input;
  const length = new DataView(input.buffer, input.byteOffset).getUint32(0);
  const end = Math.min(input.length, 4 + length);
  const header = mutateJson(Buffer.from(input.subarray(4, end)).toString(), random, fieldNames);
  return framed(header, input.subarray(end));
};

/** Swaps the body for another, or appends one. */
const bodyMutator: Mutator = (input, { random }) => {
  const batch = soundBatches[Math.floor(random.next() * soundBatches.length)] as Uint8Array;
  if (input.length < 4) return joined(input, batch);
  const length = new DataView(input.buffer, input.byteOffset).getUint32(0);
  return joined(input.subarray(0, Math.min(input.length, 4 + length)), batch);
};

/** Sets the header length to where the header's JSON ends, by a walk over its braces. */
function repairLength(input: Uint8Array): void {
  if (input.length < 4) return;
  let depth = 0;
  for (let at = 4; at < input.length; at += 1) {
    if (input[at] === 0x7b) depth += 1;
    else if (input[at] === 0x7d) {
      depth -= 1;
      if (depth > 0) continue;
      new DataView(input.buffer, input.byteOffset).setUint32(0, at - 3);
      return;
    }
  }
}

const frameSeeds = (): Uint8Array[] => [
  ...commands.map((command) => framed(JSON.stringify(command))),
  ...soundBatches.map((batch) => framed('{"op":"publish","id":1,"topic":"orders","partition":0,"sequence":4}', batch)),
  framed('{"op":"publish","topic":"orders"}', soundBatches[1]),
];

/** `decode` stands in for the decoder, to show that a fault in it is found. */
export const frameTarget = (decode: typeof decodeFrame): SyncTarget => ({
  name: 'frame',
  seeds: frameSeeds,
  dictionary: [...jsonWords, ...fieldNames, '\u0000\u0000\u0000\u0002{}', '\ufeff'],
  mutators: [headerMutator, bodyMutator],
  repair: repairLength,
  bytesMax: textBytesMax,
  allocationMax: (bytes) => 4096 + 4 * bytes,
  run: (input) => {
    let decoded: ReturnType<typeof decodeFrame>;
    try {
      decoded = decode(input);
    } catch (error) {
      return refusal(error, ['BAD_FRAME', 'BAD_JSON']);
    }
    const { header, body } = decoded;
    holds(Object.getPrototypeOf(header) === Object.prototype, 'a header is a plain object');
    holds(
      input.length - body.length - 4 === new DataView(input.buffer, input.byteOffset).getUint32(0),
      'lengths add up',
    );
    holds(within(body, input), 'a body lies within its frame');
    const again = decode(joined(...encodeFrame(JSON.stringify(header), [body])));
    holds(sameJson(again.header, header) && sameBytes(again.body, body), 'a frame encoded anew decodes the same');
    return `header ${about(Object.keys(header).length)} body ${about(body.length)}`;
  },
});

export const frame = frameTarget(decodeFrame);

export const jsonText: SyncTarget = {
  name: 'json-text',
  seeds: () => [
    ...commands.map((command) => bytesOf(JSON.stringify(command, null, 1))),
    bytesOf('{"a\\"b":"}]","\\u0061":[{"x":"\\\\"},[],-1.5e-3,"]"] ,"a":{"":{}}}'),
  ],
  dictionary: [...jsonWords, ...fieldNames, '\\"', '\\\\"', '"\\u005c"', '\t', '\r'],
  mutators: [jsonMutator(fieldNames), jsonMutator(fieldNames)],
  bytesMax: textBytesMax,
  run: (input) => {
    const text = Buffer.from(input).toString();
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      return 'no JSON';
    }
    return `depth ${checkPlaces(text, skipSpace(text, 0), parsed, 0)}`;
  },
};

/** Every member and element lies where the walk says. Gives the depth of what was looked at. */
function checkPlaces(text: string, at: number, parsed: unknown, depth: number): number {
  holds(sameJson(JSON.parse(text.slice(at, valueEnd(text, at))), parsed), 'a value ends where it ends');
  if (depth === 3 || typeof parsed !== 'object' || parsed === null) return depth;
  let deepest = depth;
  if (Array.isArray(parsed)) {
    const places = elementsAt(text, at);
    holds(places.length === parsed.length, 'as many places as elements');
    for (const [index, place] of places.entries()) {
      deepest = Math.max(deepest, checkPlaces(text, place, parsed[index], depth + 1));
    }
    return deepest;
  }
  for (const [name, value] of Object.entries(parsed)) {
    const place = memberAt(text, at, name);
    holds(place >= 0, 'a member has a place');
    deepest = Math.max(deepest, checkPlaces(text, place, value, depth + 1));
  }
  holds(memberAt(text, at, 'no such member') === -1 || Object.hasOwn(parsed, 'no such member'), 'no place for nothing');
  return deepest;
}

const faultCodes: readonly ErrorCode[] = [
  'BAD_FRAME',
  'BAD_JSON',
  'BAD_REQUEST',
  'BAD_BATCH',
  'UNKNOWN_OP',
  'RECORD_TOO_LARGE',
  'INVALID_TOPIC',
]; // prettier-ignore

/** A fault's message goes to the client, and its beginning into a close frame. */
const MESSAGE_LENGTH_MAX = 1000;

function judged(result: ParseResult, input: Uint8Array, again: (command: Command) => ParseResult): string {
  if (result.fault !== undefined) {
    const { fault, id } = result;
    const code = refusal(fault, faultCodes);
    holds(errorTable[fault.code].where === 'wire', 'a fault can be told to a client');
    holds(
      fault.message.length <= MESSAGE_LENGTH_MAX,
      `a message is short; this one has ${fault.message.length} characters`,
    );
    holds(id === undefined || typeof id === 'string' || Number.isFinite(id), 'an id is a number or a text');
    // The field that is named, without its number in a list.
    return `${code} ${/^"([^"]{1,40})" must/.exec(fault.message)?.[1]?.replace(/\d+/, '') ?? ''}`;
  }
  const { command } = result;
  checkCommand(command, input);
  const second = again(command);
  holds(second.command !== undefined, 'a command written anew is one');
  holds(sameJson(canonical(second.command), canonical(command)), 'a command written anew is the same');
  return `${command.op} ${Object.entries(command).filter(([, value]) => value !== undefined).length}`;
}

function checkCommand(command: Command, input: Uint8Array): void {
  // A commit names none where its subscription has one.
  if ('topic' in command && command.topic !== undefined)
    holds(topicNameFault(command.topic) === null, 'the name of a topic is one');
  if (command.op !== 'publish') return;
  const { payload } = command;
  if (payload.kind === 'batch') {
    holds(batchFault(payload.batch) === null, 'an accepted batch is sound');
    return;
  }
  holds(payload.records.length > 0, 'a publish holds a record');
  let bytes = 0;
  for (const { key, headers, value } of payload.records) {
    bytes += (key?.length ?? 0) + (headers?.length ?? 0) + (value?.length ?? 0);
    holds(key !== null || value !== null, 'a record holds something');
  }
  holds(bytes <= input.length, `records are no longer than their frame: ${bytes} of ${input.length}`);
  const batch = encodeBatch(payload.records);
  holds(batchFault(batch) === null, 'accepted records make a sound batch');
  const shown = JSON.parse(`[${recordsText(batch, 5, 9, 0)}]`) as unknown[];
  holds(shown.length === payload.records.length, 'every record is shown');
}

/** A command as JSON can hold it, the same for the same command. */
function canonical(command: Command): unknown {
  if (command.op === 'subscribe') return { ...command, positions: [...command.positions] };
  if (command.op !== 'publish') return command;
  const { payload } = command;
  const batch = payload.kind === 'batch' ? payload.batch : encodeBatch(payload.records);
  return { ...command, payload: { ...payload, records: undefined, batch: Buffer.from(batch).toString('base64') } };
}

/** The command as a client would write it. */
function written(command: Command): string {
  if (command.op === 'subscribe') {
    const { from, positions } = command;
    const { at, ...rest } = from;
    const start =
      at === 'time' || at === 'offset' ? rest : at === 'last' && 'count' in from ? { last: from.count } : at;
    const rows = [...positions].map(([partition, position]) => ({ partition, ...position }));
    return JSON.stringify({ ...command, from: start, positions: rows });
  }
  if (command.op !== 'publish') return JSON.stringify(command);
  const { payload, ...head } = command;
  if (payload.kind === 'batch') return JSON.stringify(head);
  const records = payload.records.map(writtenRecord);
  const fields = JSON.stringify(head).slice(0, -1);
  return payload.many ? `${fields},"records":[${records.join(',')}]}` : `${fields},${(records[0] ?? '{}').slice(1)}`;
}

/** By hand, since a JSON value goes as the text that it is. */
function writtenRecord({ key, headers, value, encoding }: RecordInput): string {
  const fields: string[] = [];
  if (key !== null) fields.push(`"key":"${base64(key)}","keyEncoding":"base64"`);
  if (headers !== null) fields.push(`"headers":${Buffer.from(headers).toString()}`);
  if (value !== null && encoding === 'json') fields.push(`"value":${Buffer.from(value).toString()}`);
  if (value !== null && encoding === 'utf8') {
    fields.push(`"value":${JSON.stringify(Buffer.from(value).toString())},"encoding":"utf8"`);
  }
  if (value !== null && encoding === 'bytes') fields.push(`"value":"${base64(value)}","encoding":"base64"`);
  return `{${fields.join(',')}}`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

export const textCommand: SyncTarget = {
  name: 'text-command',
  seeds: () => commands.map((command) => bytesOf(JSON.stringify(command))),
  dictionary: [...jsonWords, ...fieldNames],
  mutators: [jsonMutator(fieldNames), jsonMutator(fieldNames), jsonMutator(fieldNames)],
  bytesMax: textBytesMax,
  allocationMax: (bytes) => 8192 + 4 * bytes,
  run: (input) => {
    let text: string;
    try {
      text = utf8.decode(input);
    } catch {
      // The socket refuses such a frame before it comes here.
      return 'no UTF-8';
    }
    return judged(parseTextCommand(text), input, (command) => parseTextCommand(written(command)));
  },
};

export const binaryCommand: SyncTarget = {
  name: 'binary-command',
  seeds: frameSeeds,
  dictionary: [...jsonWords, ...fieldNames, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1)],
  mutators: [headerMutator, bodyMutator],
  repair: repairLength,
  bytesMax: textBytesMax,
  allocationMax: (bytes) => 8192 + 4 * bytes,
  run: (input) =>
    judged(parseBinaryCommand(input), input, (command) => {
      const body = command.op === 'publish' && command.payload.kind === 'batch' ? command.payload.batch : undefined;
      return parseBinaryCommand(framed(written(command), body));
    }),
};

/** `faultOf` stands in for the check, to show that a fault in it is found. */
export const recordBatchTarget = (faultOf: typeof batchFault): SyncTarget => ({
  name: 'record-batch',
  seeds: () => soundBatches,
  dictionary: [
    '{"a":"b"}',
    '{',
    '"x"',
    Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1),
    Uint8Array.of(0xc3, 0x28),
    '\ud83d\ude00',
  ],
  bytesMax: 2048,
  allocationMax: (bytes) => 16_384 + 16 * bytes,
  run: (input) => {
    const fault = faultOf(input);
    if (fault !== null) return fault.replace(/\d+/g, '').slice(0, 60);
    const records = [...decodeBatch(input)];
    holds(
      records.every(({ index }, at) => index === at),
      'records are numbered in order',
    );
    const again = [...decodeBatch(encodeBatch(records))];
    holds(again.length === records.length, 'a batch encoded anew holds as many records');
    for (const [at, one] of records.entries()) {
      const other = again[at];
      holds(
        other !== undefined &&
          other.encoding === one.encoding &&
          sameBytes(other.key, one.key) &&
          sameBytes(other.headers, one.headers) &&
          sameBytes(other.value, one.value),
        'a record encoded anew is the same',
      );
      for (const part of [one.key, one.headers, one.value]) {
        holds(part === null || (part.buffer === input.buffer && within(part, input)), 'a record lies within its batch');
      }
    }
    const first = records.length >> 1;
    const shown = JSON.parse(`[${recordsText(input, 1000, 5, first)}]`) as { offset: number }[];
    holds(shown.length === records.length - first, 'every record is shown as JSON');
    holds(
      shown.every(({ offset }, at) => offset === 1000 + first + at),
      'at its offset',
    );
    return `records ${about(records.length)}`;
  },
});

export const recordBatch = recordBatchTarget(batchFault);

function within(part: Uint8Array, whole: Uint8Array): boolean {
  return part.byteOffset >= whole.byteOffset && part.byteOffset + part.length <= whole.byteOffset + whole.length;
}
