/** Records of text frames: what a client writes, what is stored, and what another reads. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeBatch, type RecordInput } from '../../src/domain/record-batch.ts';
import { BrokerError } from '../../src/errors.ts';
import { FieldReader } from '../../src/protocol/field.ts';
import { parseObject } from '../../src/protocol/frame.ts';
import { skipSpace } from '../../src/protocol/json-text.ts';
import { recordFromJson, recordsText } from '../../src/protocol/record-json.ts';
import type { TextRecord } from '../../src/protocol/replies.ts';
import { recordLists } from '../support/record-arbitraries.ts';

const TIME = 1_700_000_000_000;

function read(json: string): RecordInput {
  return recordFromJson(new FieldReader(parseObject(json)), { json, at: skipSpace(json, 0) });
}

function refusalOf(json: string): { code: string; message: string } {
  try {
    read(json);
  } catch (error) {
    if (error instanceof BrokerError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error(`${json.slice(0, 80)} was taken`);
}

/** What a text consumer reads of records. */
function shown(records: readonly RecordInput[], baseOffset = 0, first = 0): TextRecord[] {
  return JSON.parse(`[${recordsText(encodeBatch(records), baseOffset, TIME, first)}]`) as TextRecord[];
}

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());

describe('a record of a text publish', () => {
  it.each<[string, string]>([
    ['{"value":{"a": [1, 2]}}', '{"a": [1, 2]}'],
    ['{"value":12345678901234567890}', '12345678901234567890'],
    ['{"value":1e20}', '1e20'],
    ['{"value":0.10}', '0.10'],
    ['{"value":-0}', '-0'],
    ['{"value":null}', 'null'],
    ['{"value":"é\\u00e9"}', '"é\\u00e9"'],
    ['{"value":1,"value":2}', '2'],
    ['{"a":{"value":1},"value" :\n[ ] }', '[ ]'],
    ['{"\\u0076alue":7}', '7'],
  ])('keeps the text of a JSON value as it was written: %s', (json, stored) => {
    const { value, encoding } = read(json);
    expect([text(value), encoding]).toEqual([stored, 'json']);
  });

  it('stores text as text, and base64 as bytes', () => {
    expect(read('{"value":"é","encoding":"utf8"}')).toMatchObject({ encoding: 'utf8', value: Buffer.from('é') });
    expect(read('{"value":"AP+/","encoding":"base64"}')).toMatchObject({
      encoding: 'bytes',
      value: Buffer.from([0, 255, 191]),
    });
    expect(read('{"value":"","encoding":"base64"}').value?.length).toBe(0);
    expect(text(read('{"value":"x","encoding":"json"}').value)).toBe('"x"');
  });

  it('has a key of text or bytes, or none', () => {
    expect(text(read('{"key":"é","value":1}').key)).toBe('é');
    expect(read('{"key":"/wA=","keyEncoding":"base64","value":1}').key).toEqual(Buffer.from([255, 0]));
    expect(read('{"key":"","value":1}').key?.length).toBe(0);
    expect(read('{"key":null,"value":1}').key).toBeNull();
    expect(read('{"value":1}').key).toBeNull();
  });

  it('is a tombstone without a value, when it has a key', () => {
    expect(read('{"key":"k"}')).toEqual({ key: Buffer.from('k'), value: null, encoding: 'bytes', headers: null });
    expect(refusalOf('{"headers":{"a":"b"}}')).toEqual({
      code: 'BAD_REQUEST',
      message: '"value" is missing; a record without one is a tombstone and needs a "key"',
    });
  });

  it('has headers as one JSON object, none when it is empty', () => {
    expect(text(read('{"value":1,"headers":{"a": "b", "__proto__": "c"}}').headers)).toBe('{"a":"b","__proto__":"c"}');
    expect(read('{"value":1,"headers":{}}').headers).toBeNull();
  });

  it.each<[string, string]>([
    ['{"key":7,"value":1}', '"key" must be a string; got 7'],
    ['{"key":{},"value":1}', '"key" must be a string; got an object'],
    ['{"key":"a","keyEncoding":"hex","value":1}', '"keyEncoding" must be "base64"; got "hex"'],
    ['{"key":"\\ud800","value":1}', '"key" must be text that UTF-8 can hold'],
    ['{"value":"\\udc00x","encoding":"utf8"}', '"value" must be text that UTF-8 can hold'],
    ['{"value":7,"encoding":"utf8"}', '"value" must be a string, since "encoding" is "utf8"; got 7'],
    ['{"value":[1],"encoding":"base64"}', '"value" must be a string, since "encoding" is "base64"; got an array of 1'],
    ['{"value":"a","encoding":"hex"}', '"encoding" must be "utf8" or "base64" or "json"; got "hex"'],
    ['{"value":"a","encoding":null}', '"encoding" must be "utf8" or "base64" or "json"; got null'],
    ['{"value":"YQ","encoding":"base64"}', '"value" must be base64 (RFC 4648, with its padding); got "YQ"'],
    ['{"value":"Y Q=","encoding":"base64"}', '"value" must be base64'],
    ['{"value":"YR==","encoding":"base64"}', '"value" must be base64'],
    ['{"value":"_w==","encoding":"base64"}', '"value" must be base64'],
    ['{"value":"====","encoding":"base64"}', '"value" must be base64'],
    ['{"value":1,"headers":[]}', '"headers" must be an object; got an array of 0'],
    ['{"value":1,"headers":"a"}', '"headers" must be an object; got "a"'],
    ['{"value":1,"headers":{"a":1}}', '"headers" must be an object of strings; "a" is none; got 1'],
  ])('is refused in words: %s', (json, message) => {
    const refusal = refusalOf(json);
    expect(refusal.code).toBe('BAD_REQUEST');
    expect(refusal.message).toContain(message);
  });

  it('is refused as RECORD_TOO_LARGE over the limits of key and headers, in bytes', () => {
    expect(read(JSON.stringify({ key: 'k'.repeat(4096) })).key?.length).toBe(4096);
    expect(refusalOf(JSON.stringify({ key: 'é'.repeat(2049) }))).toEqual({
      code: 'RECORD_TOO_LARGE',
      message: '"key" may have 4096 bytes; got 4098',
    });
    expect(refusalOf(JSON.stringify({ value: 1, headers: { h: 'x'.repeat(65_528) } }))).toEqual({
      code: 'RECORD_TOO_LARGE',
      message: '"headers" may have 65535 bytes; got 65536',
    });
    expect(read(JSON.stringify({ value: 1, headers: { h: 'x'.repeat(65_527) } })).headers?.length).toBe(65_535);
  });

  it('is refused with a short message, however long its fields are', () => {
    const long = 'x'.repeat(500_001);
    for (const record of [{ key: [long] }, { value: long, encoding: 'base64' }, { value: 1, headers: { [long]: 1 } }]) {
      expect(refusalOf(JSON.stringify(record)).message.length).toBeLessThan(300);
    }
  });
});

describe('a record of a text delivery', () => {
  it('is written as it is documented', () => {
    const record: RecordInput = {
      key: Buffer.from('k1'),
      headers: Buffer.from('{"h":"v"}'),
      value: Buffer.from('{"n":1}'),
      encoding: 'json',
    };
    expect(recordsText(encodeBatch([record]), 17, TIME, 0)).toBe(
      '{"offset":17,"time":1700000000000,"key":"k1","headers":{"h":"v"},"value":{"n":1}}',
    );
  });

  it.each<[string, Partial<RecordInput>, Partial<TextRecord>]>([
    ['JSON in place', { value: Buffer.from(' [1,2] '), encoding: 'json' }, { value: [1, 2] }],
    ['text', { value: Buffer.from('é\n'), encoding: 'utf8' }, { value: 'é\n', encoding: 'utf8' }],
    [
      'text with its byte order mark',
      { value: Buffer.from('\ufeffa'), encoding: 'utf8' },
      { value: '\ufeffa', encoding: 'utf8' },
    ],
    ['bytes as base64', { value: Buffer.from([0, 255]), encoding: 'bytes' }, { value: 'AP8=', encoding: 'base64' }],
    ['nothing as empty base64', { value: Buffer.alloc(0), encoding: 'bytes' }, { value: '', encoding: 'base64' }],
    [
      'garbage marked as JSON as text',
      { value: Buffer.from('}],"'), encoding: 'json' },
      { value: '}],"', encoding: 'utf8' },
    ],
    ['nothing marked as JSON as text', { value: Buffer.alloc(0), encoding: 'json' }, { value: '', encoding: 'utf8' }],
    [
      'two values marked as JSON as text',
      { value: Buffer.from('1,2'), encoding: 'json' },
      { value: '1,2', encoding: 'utf8' },
    ],
    [
      'bytes marked as JSON as base64',
      { value: Buffer.from([0x22, 0xff, 0x22]), encoding: 'json' },
      { value: 'Iv8i', encoding: 'base64' },
    ],
    [
      'bytes marked as text as base64',
      { value: Buffer.from([0xff]), encoding: 'utf8' },
      { value: '/w==', encoding: 'base64' },
    ],
    ['a key of bytes as base64', { key: Buffer.from([0xff]), value: null }, { key: '/w==', keyEncoding: 'base64' }],
    ['an empty key', { key: Buffer.alloc(0), value: null }, { key: '' }],
    ['headers', { value: null, headers: Buffer.from('{"a":"b"}') }, { headers: { a: 'b' } }],
    ['no headers when they are no object', { value: null, headers: Buffer.from('["a"]') }, {}],
    ['no headers when one is no string', { value: null, headers: Buffer.from('{"a":1}') }, {}],
    ['no headers when they are no JSON', { value: null, headers: Buffer.from('{"a"') }, {}],
    ['no headers when they are no UTF-8', { value: null, headers: Buffer.from([0x7b, 0xff, 0x7d]) }, {}],
  ])('shows %s', (_, record, expected) => {
    const whole: RecordInput = { key: null, headers: null, value: null, encoding: 'bytes', ...record };
    expect(shown([whole])).toEqual([{ offset: 0, time: TIME, ...expected }]);
  });

  it('is JSON that parses for any sound batch, each record at its offset', () => {
    fc.assert(
      fc.property(recordLists, fc.nat(1e6), fc.nat(9), (records, baseOffset, first) => {
        const offsets = shown(records, baseOffset, first).map(({ offset }) => offset);
        expect(offsets).toEqual(records.map((_, index) => baseOffset + index).slice(first));
      }),
      { numRuns: 1000 },
    );
  });

  it('says exactly what is stored: bytes, key and headers come back out of it', () => {
    fc.assert(
      fc.property(recordLists, (records) => {
        const lines = recordsText(encodeBatch(records), 0, TIME, 0);
        (JSON.parse(`[${lines}]`) as TextRecord[]).forEach((record, index) => {
          const stored = records[index] as RecordInput;
          expect(bytesOf(record.key, record.keyEncoding ?? 'utf8')).toEqual(stored.key);
          if (record.encoding !== undefined || stored.value === null) {
            expect(bytesOf(record.value as string | undefined, record.encoding ?? 'utf8')).toEqual(stored.value);
          } else {
            expect(record.value).toEqual(JSON.parse(Buffer.from(stored.value).toString()));
          }
        });
      }),
      { numRuns: 1000 },
    );
  });

  it('is what was published as text', () => {
    const record = fc.record(
      {
        key: fc.string({ unit: 'grapheme', maxLength: 8 }),
        headers: fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), { minKeys: 1, maxKeys: 3 }),
        value: fc.jsonValue({ maxDepth: 3 }),
      },
      { requiredKeys: ['key'] },
    );
    fc.assert(
      fc.property(record, (published) => {
        const json = JSON.stringify(published);
        const [{ offset, time, ...received } = {}] = shown([read(json)]);
        expect(received).toEqual(JSON.parse(json));
      }),
    );
  });
});

function bytesOf(value: string | undefined, encoding: 'utf8' | 'base64'): Uint8Array | null {
  return value === undefined ? null : new Uint8Array(Buffer.from(value, encoding));
}
