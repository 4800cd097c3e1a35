/**
 * Whatever comes in, the parser answers by the error table and keeps no more than twice what came. "Keeps" is counted
 * on what it returns: the bytes of every array (views into the frame included) and two bytes for each UTF-16 unit of
 * every text, numbers and object overhead left out; and, for large frames, on the process's count of array buffers.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorTable } from '../../src/errors.ts';
import { type ParseResult, parseBinaryCommand, parseTextCommand } from '../../src/protocol/command-parser.ts';
import { encodeFrame } from '../../src/protocol/frame.ts';
import { batches } from '../support/record-arbitraries.ts';

const answers = [
  'BAD_JSON',
  'BAD_FRAME',
  'BAD_REQUEST',
  'BAD_BATCH',
  'UNKNOWN_OP',
  'INVALID_TOPIC',
  'RECORD_TOO_LARGE',
];

/** Longest message: a fixed text, and what came, shortened. */
const MESSAGE_LENGTH_MAX = 700;

function keptBytes(value: unknown): number {
  if (typeof value === 'string') return value.length * 2;
  if (value instanceof Uint8Array) return value.length;
  if (value instanceof Map) return [...value.values()].reduce<number>((sum, element) => sum + keptBytes(element), 0);
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, element) => sum + keptBytes(element), 0);
}

/** Holds every result to the promises; `frameBytes` is the size of what came. */
function expectAnswered(result: ParseResult, frameBytes: number): void {
  if (result.fault !== undefined) {
    expect(answers).toContain(result.fault.code);
    expect(errorTable[result.fault.code].where).toBe('wire');
    expect(result.fault.message.length).toBeLessThan(MESSAGE_LENGTH_MAX);
    expect(keptBytes(result.id)).toBeLessThanOrEqual(2 * frameBytes);
    return;
  }
  const { command } = result;
  // The parser's own names are no copies: an op, a kind, a start, and an encoding for each record.
  const names =
    64 + (command.op === 'publish' && command.payload.kind === 'records' ? command.payload.records.length * 16 : 0);
  expect(keptBytes(command)).toBeLessThanOrEqual(2 * frameBytes + names);
}

function expectTextAnswered(text: string): void {
  expectAnswered(parseTextCommand(text), Buffer.byteLength(text));
}

function expectBinaryAnswered(bytes: Uint8Array): void {
  expectAnswered(parseBinaryCommand(bytes), bytes.length);
}

const ops = fc.constantFrom(
  ...['hello', 'create', 'describe', 'delete', 'topics', 'publish', 'subscribe', 'credit'],
  ...['commit', 'unsubscribe', 'producer', 'ping', 'nonsense'],
);

/** A value for any field: right in some, wrong in others. */
const anything = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('t', 'g', 'k', 'sync', 'earliest', 'committed', 'utf8', 'base64', 'YQ==') },
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 7, -1, 1.5, Number.MAX_SAFE_INTEGER, 1e20) },
  { weight: 1, arbitrary: fc.constantFrom(true, false, null, { offset: 3 }, { last: 1 }, { ms: 5 }, [0], [1, 2]) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
);
const recordFields = {
  key: anything,
  keyEncoding: fc.constantFrom('base64', 'hex'),
  value: anything,
  encoding: fc.constantFrom('utf8', 'base64', 'json', 'hex'),
  headers: fc.oneof(fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }), anything),
};
const commands = fc.record(
  {
    op: ops,
    id: anything,
    topic: fc.oneof({ weight: 4, arbitrary: fc.constant('t') }, anything),
    ...recordFields,
    records: fc.oneof(fc.array(fc.record(recordFields, { requiredKeys: [] }), { maxLength: 5 }), anything),
    partition: anything,
    partitions: anything,
    sequence: anything,
    subscription: anything,
    offset: anything,
    from: anything,
    group: anything,
    credit: anything,
    positions: fc.oneof(fc.array(fc.record({ partition: anything, offset: anything })), anything),
    token: anything,
    client: anything,
    producer: anything,
    durability: anything,
    retention: anything,
    create: anything,
  },
  { requiredKeys: ['op'] },
);

const frames = fc
  .tuple(commands, fc.oneof(batches, fc.uint8Array({ maxLength: 40 })))
  .map(([command, body]) => new Uint8Array(Buffer.concat(encodeFrame(JSON.stringify(command), [body]))));

describe('the parser', () => {
  it('answers any text', () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), expectTextAnswered), { numRuns: 1000 });
  });

  it('answers any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), expectBinaryAnswered), { numRuns: 1000 });
  });

  it('answers any command with any fields', () => {
    fc.assert(
      fc.property(commands, (command) => expectTextAnswered(JSON.stringify(command))),
      { numRuns: 4000 },
    );
  });

  it('answers any command of which characters were changed, cut or doubled', () => {
    const change = fc.record({ at: fc.nat(), cut: fc.nat(3), put: fc.string({ unit: 'binary', maxLength: 3 }) });
    fc.assert(
      fc.property(commands, fc.array(change, { minLength: 1, maxLength: 3 }), (command, changes) => {
        let text = JSON.stringify(command);
        for (const { at, cut, put } of changes) {
          const place = at % (text.length + 1);
          text = text.slice(0, place) + put + text.slice(place + cut);
        }
        expectTextAnswered(text);
      }),
      { numRuns: 3000 },
    );
  });

  it('answers any frame of which bytes were changed or cut', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });
    fc.assert(
      fc.property(frames, changes, fc.nat(), (frame, changed, cut) => {
        for (const [at, value] of changed) frame[at % frame.length] = value;
        expectBinaryAnswered(cut % 3 === 0 ? frame.subarray(0, cut % frame.length) : frame);
      }),
      { numRuns: 4000 },
    );
  });

  it('takes a good share of what these tests give it', () => {
    const taken = fc.sample(commands, 1000).filter((command) => {
      return parseTextCommand(JSON.stringify(command)).fault === undefined;
    });
    expect(taken.length).toBeGreaterThan(100);
  });
});

describe('the memory that the parser takes for a frame of a megabyte', () => {
  const size = 1024 * 1024;
  const filled = (unit: string, length = size): string => unit.repeat(Math.floor(length / unit.length));
  const publish = (value: string, more = ''): string => `{"op":"publish","topic":"t"${more},"value":${value}}`;

  it.each<[string, string, string]>([
    ['a number that grows when it is written anew', publish(`[${filled('1e20,')}1]`), 'taken'],
    ['escapes', publish(`"${filled('\\u0041')}"`), 'taken'],
    ['two-byte characters', publish(`"${filled('é', size / 2)}"`), 'taken'],
    ['brackets', publish(filled('[') + filled(']')), 'taken'],
    ['empty arrays', publish(`[${filled('[],')}[]]`), 'taken'],
    ['text', publish(`"${filled('x')}"`, ',"encoding":"utf8"'), 'taken'],
    ['base64', publish(`"${filled('AAAA')}"`, ',"encoding":"base64"'), 'taken'],
    ['what is no base64', publish(`"${filled('A-_=')}"`, ',"encoding":"base64"'), 'BAD_REQUEST'],
    ['an endless key', `{"op":"publish","topic":"t","key":"${filled('k')}"}`, 'RECORD_TOO_LARGE'],
    ['endless headers', publish('1', `,"headers":{"h":"${filled('\\u0001')}"}`), 'RECORD_TOO_LARGE'],
    ['an endless id', `{"op":"ping","id":"${filled('i')}"}`, 'BAD_REQUEST'],
    ['an endless op', `{"op":"${filled('o')}"}`, 'UNKNOWN_OP'],
    ['an endless topic', `{"op":"delete","topic":"${filled('é', size / 2)}"}`, 'INVALID_TOPIC'],
    ['an endless field name', publish('1', `,"headers":{"${filled('h')}":1}`), 'BAD_REQUEST'],
    ['records', `{"op":"publish","topic":"t","records":[${filled('{"value":1},', 100_000)}{"value":2}]}`, 'taken'],
    [
      'too many records',
      `{"op":"publish","topic":"t","records":[${filled('{"value":1},')}{"value":2}]}`,
      'BAD_REQUEST',
    ],
    ['no JSON', filled('{"a":'), 'BAD_JSON'],
  ])('is at most twice its size: %s', (_, text, outcome) => {
    const before = process.memoryUsage().arrayBuffers;
    const result = parseTextCommand(text);
    // The pool that small buffers share grows by whole pages of 8 KiB.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThanOrEqual(2 * Buffer.byteLength(text) + 64 * 1024);
    expectAnswered(result, Buffer.byteLength(text));
    expect(result.fault?.code ?? 'taken').toBe(outcome);
  });

  it('is none for a batch, which stays where it came', () => {
    const header = Buffer.from('{"op":"publish","topic":"t"}');
    const batch = Buffer.alloc(size);
    batch.writeUInt8(1, 0);
    batch.writeUInt32BE(1, 4);
    batch.writeUInt32BE(size - 12, 8);
    const frame = new Uint8Array(Buffer.concat([Buffer.from([0, 0, 0, header.length]), header, batch]));
    const before = process.memoryUsage().arrayBuffers;
    const result = parseBinaryCommand(frame);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThanOrEqual(64 * 1024);
    expect(result.command?.op).toBe('publish');
  });
});
