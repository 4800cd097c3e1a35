/** Every command with every field: what is taken, what its defaults are, and in which words the rest is refused. */
import { describe, expect, it } from 'vitest';
import { encodeBatch } from '../../src/domain/record-batch.ts';
import { type ParseResult, parseBinaryCommand, parseTextCommand } from '../../src/protocol/command-parser.ts';
import type { Command } from '../../src/protocol/commands.ts';
import { encodeFrame } from '../../src/protocol/frame.ts';

const INTEGER = (name: string, min: number, got: string): string =>
  `"${name}" must be an integer from ${min} to 9007199254740991; got ${got}`;

const batch = encodeBatch([
  { key: null, headers: null, value: Buffer.from('a'), encoding: 'utf8' },
  { key: null, headers: null, value: Buffer.from('b'), encoding: 'utf8' },
]);

function frame(header: object, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  return new Uint8Array(Buffer.concat(encodeFrame(JSON.stringify(header), [body])));
}

function taken(result: ParseResult): Command {
  if (result.fault !== undefined) throw result.fault;
  return result.command;
}

function refused(result: ParseResult): { code: string; message: string; id: unknown } {
  if (result.fault === undefined) throw new Error(`taken as ${JSON.stringify(result.command)}`);
  return { code: result.fault.code, message: result.fault.message, id: result.id };
}

const subscribe = {
  op: 'subscribe',
  id: undefined,
  topic: 't',
  partitions: undefined,
  from: { at: 'latest' },
  positions: new Map(),
  group: undefined,
  credit: 1000,
} as const;

const commit = { op: 'commit', id: 5, subscription: 1, topic: undefined, generation: undefined } as const;

const join = {
  op: 'join',
  id: undefined,
  version: 1,
  group: 'g',
  member: 'm-1',
  topics: ['t'],
  from: 'earliest',
  credit: 1000,
  positions: [],
} as const;

describe('a command', () => {
  it.each<[string, Command]>([
    ['{"op":"ping"}', { op: 'ping', id: undefined }],
    ['{"op":"ping","id":"a","more":[{}]}', { op: 'ping', id: 'a' }],
    ['{"op":"topics","id":0}', { op: 'topics', id: 0 }],
    ['{"op":"hello"}', { op: 'hello', id: undefined, token: undefined, client: undefined, producer: undefined }],
    [
      '{"op":"hello","id":-1.5,"token":"t","client":"c/1","producer":"p-1!~"}',
      { op: 'hello', id: -1.5, token: 't', client: 'c/1', producer: 'p-1!~' },
    ],
    [
      '{"op":"create","topic":"a.b"}',
      { op: 'create', id: undefined, topic: 'a.b', partitions: undefined, durability: undefined, retention: undefined },
    ],
    [
      '{"op":"create","topic":"t","partitions":1024,"durability":"async","retention":{"ms":1,"bytes":null}}',
      {
        op: 'create',
        id: undefined,
        topic: 't',
        partitions: 1024,
        durability: 'async',
        retention: { ms: 1, bytes: null },
      },
    ],
    [
      '{"op":"create","topic":"t","retention":{}}',
      {
        op: 'create',
        id: undefined,
        topic: 't',
        partitions: undefined,
        durability: undefined,
        retention: { ms: null, bytes: null },
      },
    ],
    ['{"op":"describe","topic":"t"}', { op: 'describe', id: undefined, topic: 't', create: false }],
    ['{"op":"describe","topic":"t","create":true}', { op: 'describe', id: undefined, topic: 't', create: true }],
    ['{"op":"delete","topic":"t"}', { op: 'delete', id: undefined, topic: 't' }],
    ['{"op":"producer","topic":"t"}', { op: 'producer', id: undefined, topic: 't' }],
    ['{"op":"credit","subscription":1,"records":0}', { op: 'credit', id: undefined, subscription: 1, records: 0 }],
    [
      '{"op":"commit","id":5,"subscription":1,"partition":0,"offset":9007199254740991}',
      { ...commit, partition: 0, offset: Number.MAX_SAFE_INTEGER },
    ],
    [
      '{"op":"commit","id":5,"subscription":1,"topic":"t","partition":2,"offset":7,"generation":3}',
      { ...commit, topic: 't', partition: 2, offset: 7, generation: 3 },
    ],
    [
      '{"op":"commit","id":5,"subscription":1,"offsets":[{"partition":1,"offset":2}]}',
      {
        op: 'commit',
        id: 5,
        subscription: 1,
        offsets: [{ topic: undefined, partition: 1, offset: 2, generation: undefined }],
      },
    ],
    ['{"op":"join","group":"g","member":"m-1","topics":["t"]}', join],
    [
      '{"op":"join","group":"g","member":"m-1","topics":["t","u","t"],"from":"latest","credit":5,"version":2,' +
        '"positions":[{"topic":"t","partition":1,"generation":4,"offset":9,"epoch":2}]}',
      {
        ...join,
        topics: ['t', 'u'],
        from: 'latest',
        credit: 5,
        version: 2,
        positions: [{ topic: 't', partition: 1, generation: 4, offset: 9, epoch: 2 }],
      },
    ],
    [
      '{"op":"release","subscription":1,"partitions":[{"topic":"t","partition":1}]}',
      { op: 'release', id: undefined, subscription: 1, partitions: [{ topic: 't', partition: 1 }] },
    ],
    ['{"op":"leave","id":1,"subscription":2}', { op: 'leave', id: 1, subscription: 2 }],
    ['{"op":"groups"}', { op: 'groups', id: undefined }],
    ['{"op":"lag","group":"g"}', { op: 'lag', id: undefined, group: 'g' }],
    ['{"op":"unsubscribe","subscription":2}', { op: 'unsubscribe', id: undefined, subscription: 2 }],
    ['{"op":"subscribe","topic":"t"}', subscribe],
    ['{"op":"subscribe","topic":"t","group":"g.1"}', { ...subscribe, group: 'g.1', from: { at: 'committed' } }],
    ['{"op":"subscribe","topic":"t","group":"g","from":"latest"}', { ...subscribe, group: 'g' }],
    [
      '{"op":"subscribe","topic":"t","group":"g","from":"committed"}',
      { ...subscribe, group: 'g', from: { at: 'committed' } },
    ],
    [`{"op":"ping","id":"${'i'.repeat(256)}"}`, { op: 'ping', id: 'i'.repeat(256) }],
    [
      `{"op":"hello","token":"${'t'.repeat(4096)}","client":"${'c'.repeat(256)}","producer":"${'p'.repeat(128)}"}`,
      {
        op: 'hello',
        id: undefined,
        token: 't'.repeat(4096),
        client: 'c'.repeat(256),
        producer: 'p'.repeat(128),
      },
    ],
    [
      '{"op":"subscribe","topic":"t","from":"earliest","credit":1}',
      { ...subscribe, from: { at: 'earliest' }, credit: 1 },
    ],
    ['{"op":"subscribe","topic":"t","from":{"last":0}}', { ...subscribe, from: { at: 'last', count: 0 } }],
    ['{"op":"subscribe","topic":"t","from":{"time":5}}', { ...subscribe, from: { at: 'time', time: 5 } }],
    [
      '{"op":"subscribe","topic":"t","from":{"offset":5}}',
      { ...subscribe, from: { at: 'offset', offset: 5, epoch: undefined } },
    ],
    [
      '{"op":"subscribe","topic":"t","from":{"offset":5,"epoch":2}}',
      { ...subscribe, from: { at: 'offset', offset: 5, epoch: 2 } },
    ],
    ['{"op":"subscribe","topic":"t","partition":3}', { ...subscribe, partitions: [3] }],
    ['{"op":"subscribe","topic":"t","partitions":[2,0]}', { ...subscribe, partitions: [2, 0] }],
    [
      '{"op":"subscribe","topic":"t","positions":[{"partition":1,"offset":7},{"partition":0,"offset":0,"epoch":3}]}',
      {
        ...subscribe,
        positions: new Map([
          [1, { offset: 7, epoch: undefined }],
          [0, { offset: 0, epoch: 3 }],
        ]),
      },
    ],
  ])('is read: %s', (text, command) => {
    expect(taken(parseTextCommand(text))).toEqual(command);
    expect(taken(parseBinaryCommand(frame(JSON.parse(text) as object)))).toEqual(command);
  });

  it.each<[string, string]>([
    ['{}', '"op" must be the name of a command; got nothing'],
    ['{"op":7}', '"op" must be the name of a command; got 7'],
    ['{"op":"ping","id":null}', '"id" must be a number or a string of at most 256 characters; got null'],
    ['{"op":"ping","id":[1]}', '"id" must be a number or a string of at most 256 characters; got an array of 1'],
    ['{"op":"ping","id":1e999}', '"id" must be a number or a string of at most 256 characters; got Infinity'],
    [`{"op":"ping","id":"${'i'.repeat(257)}"}`, '… (257 characters)'],
    ['{"op":"hello","token":7}', '"token" must be a string of at most 4096 characters'],
    ['{"op":"hello","client":{}}', '"client" must be a string of at most 256 characters; got an object'],
    ['{"op":"hello","client":[]}', '"client" must be a string of at most 256 characters; got an array of 0'],
    ['{"op":"hello","client":{"length":1}}', '"client" must be a string of at most 256 characters; got an object'],
    ['{"op":"hello","producer":true}', '"producer" must be a string of at most 128 characters; got true'],
    [`{"op":"hello","producer":"${'p'.repeat(129)}"}`, '"producer" must be a string of at most 128 characters'],
    ['{"op":"hello","producer":""}', '"producer" must be 1 to 128 printable ASCII characters without spaces; got ""'],
    ['{"op":"hello","producer":"a b"}', '"producer" must be 1 to 128 printable ASCII characters'],
    ['{"op":"hello","producer":"é"}', '"producer" must be 1 to 128 printable ASCII characters'],
    ['{"op":"create"}', '"topic" must be the name of a topic; got nothing'],
    ['{"op":"create","topic":7}', '"topic" must be the name of a topic; got 7'],
    ['{"op":"create","topic":"t","partitions":0}', '"partitions" must be an integer from 1 to 1024; got 0'],
    ['{"op":"create","topic":"t","partitions":1025}', '"partitions" must be an integer from 1 to 1024; got 1025'],
    ['{"op":"create","topic":"t","partitions":"4"}', '"partitions" must be an integer from 1 to 1024; got "4"'],
    ['{"op":"create","topic":"t","durability":"fsync"}', '"durability" must be "sync" or "async"; got "fsync"'],
    ['{"op":"create","topic":"t","durability":null}', '"durability" must be "sync" or "async"; got null'],
    ['{"op":"create","topic":"t","retention":1}', '"retention" must be an object; got 1'],
    ['{"op":"create","topic":"t","retention":null}', '"retention" must be an object; got null'],
    ['{"op":"create","topic":"t","retention":{"ms":0}}', INTEGER('retention.ms', 1, '0')],
    ['{"op":"create","topic":"t","retention":{"bytes":"1"}}', INTEGER('retention.bytes', 1, '"1"')],
    ['{"op":"describe","topic":"t","create":1}', '"create" must be true or false; got 1'],
    ['{"op":"delete"}', '"topic" must be the name of a topic'],
    ['{"op":"producer","topic":null}', '"topic" must be the name of a topic; got null'],
    ['{"op":"credit","records":1}', INTEGER('subscription', 1, 'nothing')],
    ['{"op":"credit","subscription":0,"records":1}', INTEGER('subscription', 1, '0')],
    ['{"op":"credit","subscription":1}', INTEGER('records', 0, 'nothing')],
    ['{"op":"credit","subscription":1,"records":-1}', INTEGER('records', 0, '-1')],
    ['{"op":"credit","subscription":1,"records":1.5}', INTEGER('records', 0, '1.5')],
    ['{"op":"commit","subscription":1,"partition":0,"offset":"abc"}', INTEGER('offset', 0, '"abc"')],
    [
      '{"op":"commit","subscription":1,"partition":0,"offset":9007199254740992}',
      INTEGER('offset', 0, '9007199254740992'),
    ],
    ['{"op":"commit","subscription":1,"partition":-1,"offset":0}', INTEGER('partition', 0, '-1')],
    ['{"op":"commit","subscription":"1","partition":0,"offset":0}', INTEGER('subscription', 1, '"1"')],
    ['{"op":"commit","subscription":1,"offsets":[]}', '"offsets" must be an array of 1 to 10000 elements'],
    ['{"op":"commit","subscription":1,"offsets":[{"partition":0}]}', INTEGER('offsets[0].offset', 0, 'nothing')],
    [
      '{"op":"commit","subscription":1,"partition":0,"offsets":[{"partition":0,"offset":1}]}',
      'give "partition" or "offsets", not both',
    ],
    ['{"op":"join","member":"m","topics":["t"]}', '"group" must be the name of a group; got nothing'],
    [`{"op":"join","group":"${'g'.repeat(65_536)}","member":"m","topics":["t"]}`, '… (65536 characters)'],
    ['{"op":"join","group":"g","topics":["t"]}', '"member" must be an id that this member keeps'],
    ['{"op":"join","group":"g","member":"a b","topics":["t"]}', '"member" must be 1 to 128 printable ASCII'],
    ['{"op":"join","group":"g","member":"m"}', '"topics" must be 1 to 256 names of topics; got nothing'],
    ['{"op":"join","group":"g","member":"m","topics":[]}', '"topics" must be an array of 1 to 256 elements'],
    [
      '{"op":"join","group":"g","member":"m","topics":["t"],"from":"committed"}',
      '"from" must be "earliest" or "latest"',
    ],
    ['{"op":"join","group":"g","member":"m","topics":["t"],"version":"1"}', INTEGER('version', 0, '"1"')],
    [
      '{"op":"join","group":"g","member":"m","topics":["t"],"positions":[{"topic":"t","partition":0,"offset":1}]}',
      INTEGER('positions[0].generation', 1, 'nothing'),
    ],
    ['{"op":"release","subscription":1}', '"partitions" must be the partitions that are given back; got nothing'],
    ['{"op":"release","subscription":1,"partitions":[{"partition":0}]}', '"partitions[0].topic" must be the name of'],
    ['{"op":"leave"}', INTEGER('subscription', 1, 'nothing')],
    ['{"op":"lag"}', '"group" must be the name of a group; got nothing'],
    ['{"op":"unsubscribe"}', INTEGER('subscription', 1, 'nothing')],
    ['{"op":"publish","topic":"t","value":1,"partition":-1}', INTEGER('partition', 0, '-1')],
    ['{"op":"publish","topic":"t","value":1,"partition":null}', INTEGER('partition', 0, 'null')],
    ['{"op":"publish","topic":"t","value":1,"sequence":1.1}', INTEGER('sequence', 0, '1.1')],
    ['{"op":"publish","topic":"t"}', '"value" is missing'],
    ['{"op":"publish","topic":"t","records":{}}', '"records" must be an array of 1 to 10000 elements; got an object'],
    [
      '{"op":"publish","topic":"t","records":[]}',
      '"records" must be an array of 1 to 10000 elements; got an array of 0',
    ],
    ['{"op":"publish","topic":"t","records":[{"value":1},7]}', '"records[1]" must be an object; got 7'],
    ['{"op":"publish","topic":"t","records":[{"value":1},{}]}', '"records[1].value" is missing'],
    ['{"op":"publish","topic":"t","records":[{"key":1,"value":1}]}', '"records[0].key" must be a string; got 1'],
    ['{"op":"publish","topic":"t","records":[{"value":1}],"value":2}', 'give "value" or "records", not both'],
    ['{"op":"publish","topic":"t","records":[{"value":1}],"key":"k"}', 'give "key" or "records", not both'],
    ['{"op":"publish","topic":"t","records":[{"value":1}],"headers":{}}', 'give "headers" or "records", not both'],
    ['{"op":"subscribe","topic":"t","from":"start"}', '{"time":ms} or {"last":n}; got "start"'],
    ['{"op":"subscribe","topic":"t","from":null}', '"from" must be "earliest", "latest", "committed", {"offset":n}'],
    ['{"op":"subscribe","topic":"t","from":{}}', '"from" must be "earliest"'],
    ['{"op":"subscribe","topic":"t","from":{"offset":1,"last":2}}', '"from" must be "earliest"'],
    ['{"op":"subscribe","topic":"t","from":{"offset":-1}}', INTEGER('from.offset', 0, '-1')],
    ['{"op":"subscribe","topic":"t","from":{"offset":1,"epoch":0}}', INTEGER('from.epoch', 1, '0')],
    ['{"op":"subscribe","topic":"t","from":{"time":"now"}}', INTEGER('from.time', 0, '"now"')],
    ['{"op":"subscribe","topic":"t","from":{"last":null}}', INTEGER('from.last', 0, 'null')],
    ['{"op":"subscribe","topic":"t","from":"committed"}', '"from":"committed" needs a "group"'],
    ['{"op":"subscribe","topic":"t","partition":"0"}', INTEGER('partition', 0, '"0"')],
    ['{"op":"subscribe","topic":"t","partitions":0}', '"partitions" must be an array of 1 to 1024 elements; got 0'],
    ['{"op":"subscribe","topic":"t","partitions":[]}', '"partitions" must be an array of 1 to 1024 elements'],
    ['{"op":"subscribe","topic":"t","partitions":[0,"1"]}', INTEGER('partitions[1]', 0, '"1"')],
    ['{"op":"subscribe","topic":"t","partition":0,"partitions":[0]}', 'give "partition" or "partitions", not both'],
    [
      '{"op":"subscribe","topic":"t","positions":{}}',
      '"positions" must be an array of 0 to 1024 elements; got an object',
    ],
    ['{"op":"subscribe","topic":"t","positions":[0]}', '"positions[0]" must be an object; got 0'],
    ['{"op":"subscribe","topic":"t","positions":[{"offset":0}]}', INTEGER('positions[0].partition', 0, 'nothing')],
    ['{"op":"subscribe","topic":"t","positions":[{"partition":0}]}', INTEGER('positions[0].offset', 0, 'nothing')],
    [
      '{"op":"subscribe","topic":"t","positions":[{"partition":0,"offset":0,"epoch":true}]}',
      INTEGER('positions[0].epoch', 1, 'true'),
    ],
    [
      '{"op":"subscribe","topic":"t","positions":[{"partition":0,"offset":0},{"partition":0,"offset":1}]}',
      '"positions[1].partition" must be there once; got 0',
    ],
    ['{"op":"subscribe","topic":"t","group":7}', '"group" must be a string of at most 249 characters; got 7'],
    ['{"op":"subscribe","topic":"t","group":""}', '"group" must be 1 to 249 characters of A–Z'],
    ['{"op":"subscribe","topic":"t","group":"a/b"}', '"group" must be 1 to 249 characters of A–Z'],
    ['{"op":"subscribe","topic":"t","credit":0}', INTEGER('credit', 1, '0')],
    ['{"op":"subscribe","topic":"t","credit":"all"}', INTEGER('credit', 1, '"all"')],
  ])('is refused as BAD_REQUEST: %s', (text, message) => {
    const fault = refused(parseTextCommand(text));
    expect(fault.code).toBe('BAD_REQUEST');
    expect(fault.message).toContain(message);
  });

  it.each<[string, string, string]>([
    ['UNKNOWN_OP', '{"op":"select","id":9}', 'there is no op "select"'],
    ['UNKNOWN_OP', '{"op":"toString","id":9}', 'there is no op "toString"'],
    ['UNKNOWN_OP', '{"op":"","id":9}', 'there is no op ""'],
    ['INVALID_TOPIC', '{"op":"create","id":9,"topic":"a..b"}', 'single dots; got "a..b"'],
    ['INVALID_TOPIC', '{"op":"join","id":9,"group":"g","member":"m","topics":["t",7]}', 'a topic name is a string'],
    ['INVALID_TOPIC', '{"op":"publish","id":9,"topic":"a\\u0000","value":1}', 'single dots; got "a\\u0000"'],
    [
      'INVALID_TOPIC',
      `{"op":"subscribe","id":9,"topic":"${'x'.repeat(65_536)}"}`,
      'at most 249 characters; this one has 65536',
    ],
    [
      'RECORD_TOO_LARGE',
      JSON.stringify({ op: 'publish', id: 9, topic: 't', records: [{ key: 'k'.repeat(4097) }] }),
      '"records[0].key" may have 4096 bytes; got 4097',
    ],
  ])('is refused as %s, with its id: %.60s', (code, text, message) => {
    expect(refused(parseTextCommand(text))).toEqual({ code, message: expect.stringContaining(message), id: 9 });
  });

  it.each(['', '{', 'ping', '[]', 'null', '"op"', '{"op":"ping"}{}', '\ufeff{"op":"ping"}', "{'op':'ping'}"])(
    'is refused as BAD_JSON, which ends the connection: %j',
    (text) => {
      const result = parseTextCommand(text);
      expect(refused(result)).toMatchObject({ code: 'BAD_JSON', id: undefined });
      expect(result.fault?.closeCode).toBe(1007);
    },
  );

  it('reads only what is its own: inherited names are absent', () => {
    expect(refused(parseTextCommand('{"__proto__":{"op":"ping"}}')).message).toContain('"op" must be');
    expect(taken(parseTextCommand('{"op":"ping","__proto__":{"id":7}}'))).toEqual({ op: 'ping', id: undefined });
  });

  it('is refused as INTERNAL, with the cause, where the parser itself is at fault', () => {
    const result = parseBinaryCommand(null as never);
    expect(refused(result)).toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('the command could not be read'),
      id: undefined,
    });
    expect(result.fault?.cause).toBeInstanceOf(TypeError);
  });

  it('is refused without showing its token', () => {
    const secret = 's3cret'.repeat(1000);
    expect(refused(parseTextCommand(JSON.stringify({ op: 'hello', token: secret }))).message).not.toContain('s3cret');
    expect(refused(parseTextCommand(JSON.stringify({ op: 'hello', token: ['s3cret'] }))).message).not.toContain('s3c');
  });
});

describe('a text publish', () => {
  it('has one record', () => {
    expect(taken(parseTextCommand('{"op":"publish","topic":"t","key":"k","value":{"a":1},"partition":3}'))).toEqual({
      op: 'publish',
      id: undefined,
      topic: 't',
      partition: 3,
      sequence: undefined,
      payload: {
        kind: 'records',
        many: false,
        records: [{ key: Buffer.from('k'), value: Buffer.from('{"a":1}'), encoding: 'json', headers: null }],
      },
    });
  });

  it('has many, each with the text of its own value', () => {
    const text =
      ' {"value2":9,"op":"publish","topic":"t","sequence":7,"partition":1,"records":[ {"value": 1.0 } ,{"value":[2]},{"key":"k"}]}';
    const command = taken(parseTextCommand(text));
    if (command.op !== 'publish' || command.payload.kind !== 'records') throw new Error('not a publish of records');
    expect(command.payload.many).toBe(true);
    expect(command.payload.records.map(({ value }) => (value === null ? null : Buffer.from(value).toString()))).toEqual(
      ['1.0', '[2]', null],
    );
    expect(command.sequence).toBe(7);
  });

  it('has as many records as may be, and no more', () => {
    const records = Array.from({ length: 10_001 }, () => ({ value: 1 }));
    const text = (count: number): string =>
      JSON.stringify({ op: 'publish', topic: 't', records: records.slice(0, count) });
    expect(taken(parseTextCommand(text(10_000))).op).toBe('publish');
    expect(refused(parseTextCommand(text(10_001))).message).toContain('got an array of 10001');
  });

  it('takes sequences up to 2^53 − 1, that of its last record included', () => {
    const text = (sequence: number): string =>
      JSON.stringify({ op: 'publish', topic: 't', partition: 0, sequence, records: [{ value: 1 }, { value: 2 }] });
    expect(taken(parseTextCommand(text(Number.MAX_SAFE_INTEGER - 1)))).toMatchObject({ op: 'publish' });
    expect(refused(parseTextCommand(text(Number.MAX_SAFE_INTEGER))).message).toBe(
      '"sequence" must be at most 9007199254740990 with 2 records; got 9007199254740991',
    );
  });
});

describe('a sequenced publish', () => {
  it.each([
    '"partition":0,"value":1',
    '"key":"k","value":1',
    '"records":[{"key":"a","value":1},{"key":"b"}]',
    '"partition":0,"records":[{"value":1},{"key":"b"}]',
  ])('goes to one partition whenever it is sent: %s', (fields) => {
    expect(taken(parseTextCommand(`{"op":"publish","topic":"t","sequence":0,${fields}}`))).toMatchObject({
      sequence: 0,
    });
  });

  it('is refused when a resend could go to another', () => {
    for (const fields of ['"value":1', '"key":null,"value":1', '"records":[{"key":"a"},{"value":1}]']) {
      const fault = refused(parseTextCommand(`{"op":"publish","id":1,"topic":"t","sequence":0,${fields}}`));
      expect(fault).toMatchObject({ code: 'BAD_REQUEST', id: 1 });
      expect(fault.message).toContain('"sequence" needs a "partition"');
    }
    const binary = refused(parseBinaryCommand(frame({ op: 'publish', topic: 't', sequence: 0 }, batch)));
    expect(binary.message).toContain('"sequence" needs a "partition"');
  });
});

describe('a binary publish', () => {
  it('has a batch, which is a view into its frame', () => {
    const bytes = frame({ op: 'publish', id: 1, topic: 't', partition: 2, sequence: 7, value: 'ignored' }, batch);
    const command = taken(parseBinaryCommand(bytes));
    expect(command).toEqual({
      op: 'publish',
      id: 1,
      topic: 't',
      partition: 2,
      sequence: 7,
      payload: { kind: 'batch', batch, count: 2 },
    });
    if (command.op !== 'publish' || command.payload.kind !== 'batch') throw new Error('not a publish of a batch');
    expect(command.payload.batch.buffer).toBe(bytes.buffer);
  });

  it('is refused as BAD_BATCH with its id when the batch is malformed or missing', () => {
    const header = { op: 'publish', id: 'x', topic: 't' };
    expect(refused(parseBinaryCommand(frame(header)))).toEqual({
      code: 'BAD_BATCH',
      message: 'a batch has at least 8 bytes; got 0',
      id: 'x',
    });
    expect(refused(parseBinaryCommand(frame(header, batch.subarray(0, batch.length - 1))))).toEqual({
      code: 'BAD_BATCH',
      message: 'record 1 of 2 goes 1 bytes past the end of the batch',
      id: 'x',
    });
  });

  it('is refused like a text one when a field of its header is wrong', () => {
    const result = parseBinaryCommand(frame({ op: 'publish', id: 3, topic: 't', sequence: -1 }, batch));
    expect(refused(result)).toEqual({ code: 'BAD_REQUEST', message: INTEGER('sequence', 0, '-1'), id: 3 });
  });
});

describe('a binary frame of another command', () => {
  it('is refused as BAD_FRAME, which ends the connection, when it has a body', () => {
    const result = parseBinaryCommand(frame({ op: 'ping', id: 4 }, new Uint8Array(2)));
    expect(refused(result)).toEqual({
      code: 'BAD_FRAME',
      message: 'a frame of op "ping" has no body; got 2 bytes',
      id: 4,
    });
    expect(result.fault?.closeCode).toBe(1002);
  });

  it('is refused as UNKNOWN_OP, body or not, when there is no such command', () => {
    expect(refused(parseBinaryCommand(frame({ op: 'later', id: 4 }, new Uint8Array(2))))).toMatchObject({
      code: 'UNKNOWN_OP',
      id: 4,
    });
  });

  it('is refused as BAD_FRAME when it is half a frame', () => {
    expect(refused(parseBinaryCommand(frame({ op: 'ping' }).subarray(0, 9))).code).toBe('BAD_FRAME');
  });
});
