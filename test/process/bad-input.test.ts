/**
 * Commands with wrong fields, names, places and batches, against a real broker: each is answered with a code of the table
 * and a message that names what was wrong, the connection goes on, and nothing that was stored is touched.
 */
import { readdir } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { binaryFrame } from '../support/binary-frame.ts';
import { Wire } from '../support/wire.ts';
import { WitnessedBroker } from '../support/witnessed-broker.ts';

let broker: WitnessedBroker;
beforeAll(async () => {
  broker = await WitnessedBroker.start(['--no-auto-create']);
});
afterAll(() => broker.stop());
afterEach(() => broker.isUnharmed());

/** Values of every JSON type; those in `right` are of the field's own. */
const anything: readonly unknown[] = [null, true, 'text', '', 0, -1, 1.5, 1e300, 2 ** 53, [], [null], {}];

interface FieldCase {
  readonly command: Readonly<Record<string, unknown>>;
  readonly field: string;
  /** Which of `anything` may be taken. */
  readonly right?: readonly unknown[];
  /** More that is wrong. */
  readonly wrong?: readonly unknown[];
  readonly code?: string;
}

const topicCases = ['create', 'describe', 'delete', 'publish', 'subscribe', 'producer'].map(
  (op): FieldCase => ({ command: { op, value: 1 }, field: 'topic', right: ['text', ''] }),
);
const subscribe = { op: 'subscribe', topic: 'kept' };
const publish = { op: 'publish', topic: 'kept', key: 'k', value: 'v', partition: 0 };
const fieldCases: readonly FieldCase[] = [
  ...topicCases,
  { command: {}, field: 'op', right: ['text', ''] },
  { command: { op: 'ping' }, field: 'id', right: ['text', '', 0, -1, 1.5, 1e300, 2 ** 53], wrong: ['x'.repeat(257)] },
  { command: { op: 'hello' }, field: 'token', right: ['text', ''], wrong: ['x'.repeat(4097)] },
  { command: { op: 'hello' }, field: 'client', right: ['text', ''], wrong: ['x'.repeat(257)] },
  { command: { op: 'hello' }, field: 'producer', right: ['text'], wrong: ['a b', 'é', '\u0000', 'x'.repeat(129)] },
  { command: { op: 'create', topic: 'new' }, field: 'partitions', wrong: [1025, '4'] },
  { command: { op: 'create', topic: 'new' }, field: 'durability', wrong: ['SYNC', 'none'] },
  { command: { op: 'create', topic: 'new' }, field: 'retention', right: [{}] },
  { command: { op: 'create', topic: 'new' }, field: 'retention.ms', right: [null] },
  { command: { op: 'create', topic: 'new' }, field: 'retention.bytes', right: [null] },
  { command: { op: 'describe', topic: 'kept' }, field: 'create', right: [true], wrong: ['true', 1] },
  { command: publish, field: 'partition', right: [0], wrong: ['0'] },
  { command: publish, field: 'sequence', right: [0], wrong: ['0'] },
  { command: { op: 'publish', topic: 'kept' }, field: 'records', wrong: [[[]], [1], ['x'], Array(10_001).fill({})] },
  { command: publish, field: 'key', right: [null, 'text', ''], wrong: [['k']] },
  { command: publish, field: 'keyEncoding', wrong: ['utf16', 'hex'] },
  { command: publish, field: 'encoding', wrong: ['bytes', 'utf16'] },
  { command: publish, field: 'headers', right: [{}], wrong: [{ a: 1 }, { a: null }, { a: {} }] },
  { command: { ...publish, encoding: 'utf8' }, field: 'value', right: ['text', ''] },
  { command: { ...publish, encoding: 'base64' }, field: 'value', right: ['text', ''], wrong: ['a', '=', 'AP8', '\n'] },
  { command: subscribe, field: 'partition', right: [0] },
  { command: subscribe, field: 'partitions', wrong: [['0'], [-1], [0.5], 0, {}] },
  { command: subscribe, field: 'group', right: ['text'], wrong: ['a..b', 'a b', 'x'.repeat(250)] },
  { command: subscribe, field: 'credit', wrong: ['1'] },
  { command: subscribe, field: 'from', wrong: ['first', { offset: 1, time: 1 }, { at: 1 }] },
  { command: subscribe, field: 'from.offset', right: [0] },
  { command: subscribe, field: 'from.time', right: [0] },
  { command: subscribe, field: 'from.last', right: [0] },
  { command: subscribe, field: 'positions', right: [[]], wrong: [[1], {}, 'x'] },
  { command: { op: 'credit', records: 1 }, field: 'subscription' },
  { command: { op: 'credit', subscription: 1 }, field: 'records', right: [0] },
  { command: { op: 'commit', partition: 0, offset: 0 }, field: 'subscription' },
  { command: { op: 'commit', subscription: 1, offset: 0 }, field: 'partition', right: [0] },
  { command: { op: 'commit', subscription: 1, partition: 0 }, field: 'offset', right: [0] },
  { command: { op: 'unsubscribe' }, field: 'subscription' },
];

function withField(command: Readonly<Record<string, unknown>>, field: string, value: unknown): object {
  const [outer = '', inner] = field.split('.');
  return { ...command, [outer]: inner === undefined ? value : { [inner]: value } };
}

describe('a field of the wrong type', () => {
  it.each(
    fieldCases.map((fieldCase) => [String(fieldCase.command['op'] ?? 'any'), fieldCase.field, fieldCase] as const),
  )(
    'is named in the answer, and the connection goes on: %s %s',
    async (op, field, { command, right = [], wrong = [] }) => {
      const wire = await Wire.open(broker.url);
      const isRight = (value: unknown) => right.some((other) => JSON.stringify(other) === JSON.stringify(value));
      for (const value of [...anything.filter((each) => !isRight(each)), ...wrong]) {
        const given = withField(command, field, value);
        // A wrong `id` can't come back with the answer.
        const answer =
          field === 'id' ? await errorWithoutId(wire, given) : await wire.ask(given as Record<string, unknown>);
        const what = `${op} with ${field} = ${JSON.stringify(value)?.slice(0, 80)}`;
        expect(answer, what).toMatchObject({ op: 'error', code: 'BAD_REQUEST', retryable: false });
        expect(answer['message'], what).toContain(field.split('.').at(-1));
        expect(String(answer['message']).length, what).toBeLessThan(400);
      }
      expect(await wire.ask({ op: 'ping' })).toMatchObject({ op: 'pong' });
      await wire.close();
    },
  );

  it('is named by its place in an array of records', async () => {
    const wire = await Wire.open(broker.url);
    const records = [{ value: 1 }, { value: 2 }, { key: 5, value: 3 }];
    const answer = await wire.ask({ op: 'publish', topic: 'kept', records });
    expect(answer).toMatchObject({ code: 'BAD_REQUEST' });
    expect(answer['message']).toContain('records[2].key');
    await wire.close();
  });

  it('and a field that nobody knows is ignored, an op that nobody knows is not', async () => {
    const wire = await Wire.open(broker.url);
    expect(await wire.ask({ op: 'ping', more: { and: 'more' }, __proto__x: 1 })).toMatchObject({ op: 'pong' });
    expect(await wire.ask({ op: 'pong' })).toMatchObject({ op: 'error', code: 'UNKNOWN_OP' });
    expect(await wire.ask({ op: '__proto__' })).toMatchObject({ op: 'error', code: 'UNKNOWN_OP' });
    await wire.close();
  });
});

async function errorWithoutId(wire: Wire, command: object): Promise<Readonly<Record<string, unknown>>> {
  const seen = wire.replies.length;
  wire.send(command);
  return wire.reply((reply) => wire.replies.indexOf(reply) >= seen && reply['op'] === 'error');
}

/** What lies in a data directory, but for the store's own files, which come and go. */
async function namesBelow(path: string): Promise<string[]> {
  return (await readdir(path, { recursive: true })).filter((name) => !name.includes('meta')).sort();
}

describe('a name that is none', () => {
  const names = [
    '',
    '.',
    '..',
    '../up',
    '../../etc/passwd',
    'a..b',
    '.a',
    'a.',
    'a/b',
    'a\\b',
    'a b',
    'a\u0000b',
    '\u0000',
  ];
  const more = ['é', '😀', 'a\n', '%2e%2e', 'x'.repeat(250), 'x'.repeat(65_536), '../'.repeat(20_000)];

  it.each(['create', 'publish', 'subscribe', 'describe', 'delete', 'producer'])(
    'is INVALID_TOPIC in %s',
    async (op) => {
      const before = await namesBelow(broker.data);
      const wire = await Wire.open(broker.url);
      for (const topic of [...names, ...more]) {
        const answer = await wire.ask({ op, topic, value: 1 });
        expect(answer, JSON.stringify(topic.slice(0, 40))).toMatchObject({ op: 'error', code: 'INVALID_TOPIC' });
        expect(String(answer['message']).length).toBeLessThan(400);
      }
      expect(await wire.ask({ op: 'topics' })).toMatchObject({ topics: [{ topic: 'kept' }] });
      await wire.close();
      expect(await namesBelow(broker.data)).toEqual(before);
    },
  );

  it('is UNKNOWN_TOPIC where it is sound and creation is off, and makes nothing', async () => {
    const wire = await Wire.open(broker.url);
    for (const op of ['publish', 'subscribe', 'describe', 'delete']) {
      const answer = await wire.ask({ op, topic: 'absent', value: 1 });
      expect(answer, op).toMatchObject({ op: 'error', code: 'UNKNOWN_TOPIC', retryable: false });
      expect(answer['message'], op).toContain('absent');
    }
    expect(await wire.ask({ op: 'topics' })).toMatchObject({ topics: [{ topic: 'kept' }] });
    await wire.close();
  });
});

describe('a place that is none', () => {
  it('is OFFSET_OUT_OF_RANGE with the range, for a subscription and for a commit', async () => {
    const wire = await Wire.open(broker.url);
    const range = `0 to ${broker.stored}`;
    for (const offset of [broker.stored + 1, 99_999, Number.MAX_SAFE_INTEGER]) {
      const answer = await wire.ask({ op: 'subscribe', topic: 'kept', from: { offset } });
      expect(answer).toMatchObject({ op: 'error', code: 'OFFSET_OUT_OF_RANGE' });
      expect(answer['message']).toContain(range);
    }
    await wire.ask({ op: 'subscribe', topic: 'kept', from: 'latest', group: 'g' });
    const beyond = await wire.ask({ op: 'commit', subscription: 1, partition: 0, offset: broker.stored + 1 });
    expect(beyond).toMatchObject({ op: 'error', code: 'OFFSET_OUT_OF_RANGE' });
    expect(beyond['message']).toContain(String(broker.stored));
    await wire.close();
  });

  it('is UNKNOWN_PARTITION or UNKNOWN_SUBSCRIPTION', async () => {
    const wire = await Wire.open(broker.url);
    const code = async (command: object) => (await wire.ask(command))['code'];
    expect(await code({ op: 'publish', topic: 'kept', partition: 1, value: 1 })).toBe('UNKNOWN_PARTITION');
    expect(await code({ op: 'subscribe', topic: 'kept', partition: 4096 })).toBe('UNKNOWN_PARTITION');
    expect(await code({ op: 'credit', subscription: 7, records: 1 })).toBe('UNKNOWN_SUBSCRIPTION');
    expect(await code({ op: 'unsubscribe', subscription: 7 })).toBe('UNKNOWN_SUBSCRIPTION');
    expect(await code({ op: 'commit', subscription: 7, partition: 0, offset: 0 })).toBe('UNKNOWN_SUBSCRIPTION');
    await wire.close();
  });

  it('is refused when a key or the headers are too large', async () => {
    const wire = await Wire.open(broker.url);
    const code = async (command: object) => (await wire.ask(command))['code'];
    expect(await code({ op: 'publish', topic: 'kept', key: 'k'.repeat(4097), value: 1 })).toBe('RECORD_TOO_LARGE');
    const headers = { h: 'x'.repeat(65_536) };
    expect(await code({ op: 'publish', topic: 'kept', headers, value: 1 })).toBe('RECORD_TOO_LARGE');
    await wire.close();
  });
});

describe('a batch that is damaged', () => {
  // `k1` → {"n":1}, and a tombstone for `k2`.
  const head = '0100000000000002';
  const batch = Buffer.from(`${head}0000000d060000026b317b226e223a317d00000006140000026b32`, 'hex');

  it('is BAD_BATCH at every cut and at every byte of its structure, and the connection goes on', async () => {
    const wire = await Wire.open(broker.url);
    const codeOf = async (id: number, body: Buffer) => {
      wire.send(binaryFrame(JSON.stringify({ op: 'publish', id, topic: 'kept', partition: 0 }), body));
      return (await wire.reply((reply) => reply['id'] === id))['code'];
    };
    for (let bytes = 0; bytes < batch.length; bytes += 1) {
      expect(await codeOf(bytes, batch.subarray(0, bytes)), `cut to ${bytes} bytes`).toBe('BAD_BATCH');
    }
    for (const at of [0, 1, 2, 4, 8, 9, 10, 11, 12, 13, 14]) {
      const damaged = Buffer.from(batch);
      damaged[at] = 0xff;
      expect(await codeOf(1000 + at, damaged), `0xff at ${at}`).toBe('BAD_BATCH');
    }
    expect(await codeOf(5000, Buffer.concat([batch, Buffer.from([0])])), 'a byte too many').toBe('BAD_BATCH');
    await wire.close();
  });
});
