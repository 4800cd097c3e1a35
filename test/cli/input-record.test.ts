import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type InputRecord, inputFault, JsonValue, jsonRecord, plainRecord } from '../../src/cli/input-record.ts';
import { jsonLine, recordText } from '../../src/cli/record-text.ts';

const none = { key: null, headers: null };
const line = (text: string | Uint8Array): Buffer => Buffer.from(text as string, 'utf8');

/** The bytes that the client stores for a value, and how it marks them. */
function stored({ value }: InputRecord): { value: Uint8Array | null; encoding: 'bytes' | 'utf8' | 'json' } {
  if (value === null) return { value, encoding: 'bytes' };
  if (typeof value === 'string') return { value: Buffer.from(new TextEncoder().encode(value)), encoding: 'utf8' };
  if (value instanceof JsonValue) return { value: Buffer.from(JSON.stringify(value)), encoding: 'json' };
  return { value, encoding: 'bytes' };
}

describe('a plain line', () => {
  it('is stored byte for byte, marked as text only where it is UTF-8', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 50 }).map(Buffer.from), fc.string({ unit: 'binary' }).map(line)),
        (bytes) => {
          const record = plainRecord(bytes, none, 'f:1');
          expect(Buffer.compare(Buffer.from(stored(record).value ?? []), bytes)).toBe(0);
          expect(record.bytes).toBe(bytes.length);
        },
      ),
    );
    expect(typeof plainRecord(Buffer.from([0xff]), none, '').value).toBe('object');
    expect(typeof plainRecord(line('é'), none, '').value).toBe('string');
  });

  it('keeps a byte order mark', () => {
    const bytes = Buffer.from([0xef, 0xbb, 0xbf, 97]);
    expect(Buffer.from(stored(plainRecord(bytes, none, '')).value ?? [])).toEqual(bytes);
  });
});

describe('a JSON line', () => {
  it('takes key, headers, partition and value in all their forms', () => {
    const record = jsonRecord(line('{"key":"k","value":"text","headers":{"h":"v"},"partition":3}'), none, 'f:1');
    expect(record).toMatchObject({ headers: { h: 'v' }, partition: 3, place: 'f:1' });
    expect(String(record.key)).toBe('k');
    expect(stored(record)).toEqual({ value: line('"text"'), encoding: 'json' });
    expect(stored(jsonRecord(line('{"value":"aGk=","encoding":"base64"}'), none, ''))).toEqual({
      value: line('hi'),
      encoding: 'bytes',
    });
    expect(stored(jsonRecord(line('{"value":"hi","encoding":"utf8"}'), none, ''))).toEqual({
      value: line('hi'),
      encoding: 'utf8',
    });
    expect(stored(jsonRecord(line('{"value":null}'), none, ''))).toEqual({ value: line('null'), encoding: 'json' });
    expect(jsonRecord(line('{"key":"k"}'), none, '').value).toBeNull();
    expect(jsonRecord(line('{"key":"/w==","keyEncoding":"base64"}'), none, '').key).toEqual(Buffer.from([0xff]));
  });

  it('prefers its own key and headers to those of the command', () => {
    const defaults = { key: line('d'), headers: { a: '1', b: '1' } };
    const record = jsonRecord(line('{"key":"k","value":1,"headers":{"b":"2"}}'), defaults, '');
    expect(String(record.key)).toBe('k');
    expect(record.headers).toEqual({ a: '1', b: '2' });
    expect(String(jsonRecord(line('{"value":1}'), defaults, '').key)).toBe('d');
  });

  it.each([
    ['', /^not JSON in UTF-8/],
    ['{', /^not JSON in UTF-8/],
    ['[1]', /^not a JSON object/],
    ['null', /^not a JSON object/],
    ['{"valeu":1}', /^unknown field "valeu"; known are key/],
    ['{"__proto__":1}', /^unknown field "__proto__"/],
    ['{"key":1}', /^"key" must be a string; got number/],
    ['{"key":"a","keyEncoding":"hex"}', /^"keyEncoding" must be/],
    ['{"key":"a","keyEncoding":"base64"}', /^"key" is not base64/],
    ['{"value":"a b=","encoding":"base64"}', /^"value" is not base64/],
    ['{"value":1,"encoding":"utf8"}', /^"value" must be a string/],
    ['{"value":1,"encoding":"hex"}', /^"encoding" must be/],
    ['{"value":1,"headers":["a"]}', /^"headers" must be an object/],
    ['{"value":1,"headers":{"a":1}}', /^header "a" must be a string/],
    ['{"value":1,"partition":-1}', /^"partition" must be a whole number/],
    ['{"value":1,"partition":"0"}', /^"partition" must be a whole number/],
  ])('refuses %s', (text, message) => expect(() => jsonRecord(line(text), none, '')).toThrow(message));

  it('refuses bytes that are not UTF-8', () => {
    expect(() => jsonRecord(Buffer.from([0x22, 0xff, 0x22]), none, '')).toThrow(/^not JSON in UTF-8/);
  });
});

describe('inputFault', () => {
  const max = 10_000;
  it.each([
    ['{}', /needs a "key"/],
    [`{"key":"${'k'.repeat(4097)}","value":1}`, /the key has 4097 bytes; at most 4096 fit/],
    [`{"value":1,"headers":{"h":"${'v'.repeat(65_535)}"}}`, /the headers have \d+ bytes as JSON; at most 65535 fit/],
    [`{"value":"${'v'.repeat(max)}"}`, /the record has 10002 bytes; the broker takes at most 10000/],
  ])('finds what the client would refuse: %#', (text, message) => {
    expect(inputFault(jsonRecord(line(text), none, ''), max)).toMatch(message);
  });

  it('finds nothing in a sound record', () => {
    expect(inputFault(jsonRecord(line('{"key":"k"}'), none, ''), max)).toBeNull();
    expect(inputFault(plainRecord(line(''), none, ''), max)).toBeNull();
  });
});

describe('what subscribe prints', () => {
  const base = { topic: 't', partition: 1, offset: 2, epoch: 3, time: 4, key: null, headers: null } as const;

  it('is the value and a line end, or the value alone', () => {
    const record = { ...base, value: Buffer.from([0xff, 10]), encoding: 'bytes' } as const;
    const bytes = (form: 'lines' | 'raw') =>
      Buffer.concat(recordText(record, form).map((part) => Buffer.from(part as Uint8Array)));
    expect([...bytes('lines')]).toEqual([0xff, 10, 10]);
    expect([...bytes('raw')]).toEqual([0xff, 10]);
    expect(Buffer.concat(recordText({ ...record, value: null }, 'lines') as Uint8Array[])).toEqual(Buffer.from('\n'));
  });

  it('is a line of JSON in a fixed order of fields', () => {
    expect(jsonLine({ ...base, key: line('k'), headers: { h: 'v' }, value: line('{"a": 1}'), encoding: 'json' })).toBe(
      '{"topic":"t","partition":1,"offset":2,"epoch":3,"time":4,"key":"k","headers":{"h":"v"},"value":{"a": 1}}',
    );
    expect(jsonLine({ ...base, value: null, encoding: 'bytes' })).toBe(
      '{"topic":"t","partition":1,"offset":2,"epoch":3,"time":4}',
    );
  });

  it('keeps every digit of a JSON number', () => {
    expect(jsonLine({ ...base, value: line('12345678901234567890'), encoding: 'json' })).toContain(
      '"value":12345678901234567890}',
    );
  });

  it('puts JSON with line breaks on one line, and what is only marked as JSON as the text or bytes it is', () => {
    expect(jsonLine({ ...base, value: line('{\n"a":\r\n1}'), encoding: 'json' })).toContain('"value":{"a":1}}');
    expect(jsonLine({ ...base, value: line('{oops'), encoding: 'json' })).toContain(
      '"value":"{oops","encoding":"utf8"}',
    );
    expect(jsonLine({ ...base, value: Buffer.from([0xff]), encoding: 'json' })).toContain('"encoding":"base64"}');
  });

  it('is taken back by publish as the same record, whatever bytes it has', () => {
    const bytes = fc.uint8Array({ maxLength: 30 });
    const record = fc.record({
      key: fc.option(fc.oneof(bytes, fc.string().map(line))),
      headers: fc.option(fc.dictionary(fc.string(), fc.string())),
      value: fc.option(fc.oneof(bytes, fc.string().map(line), fc.json().map(line))),
      encoding: fc.constantFrom('bytes' as const, 'utf8' as const),
    });
    fc.assert(
      fc.property(record, (given) => {
        const text = jsonLine({ ...base, ...given, headers: given.headers === null ? null : { ...given.headers } });
        expect(text).not.toMatch(/[\r\n]/);
        const read = jsonRecord(line(text), none, '');
        expect(read.key === null ? null : [...read.key]).toEqual(given.key === null ? null : [...given.key]);
        expect(read.headers === null ? null : Object.entries(read.headers)).toEqual(
          given.headers === null ? null : Object.entries(given.headers),
        );
        const { value } = stored(read);
        expect(value === null ? null : [...value]).toEqual(given.value === null ? null : [...given.value]);
      }),
    );
  });

  it('gives JSON back as JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        const read = jsonRecord(line(jsonLine({ ...base, value: line(text), encoding: 'json' })), none, '');
        expect(stored(read)).toEqual({ value: line(text), encoding: 'json' });
      }),
    );
  });
});
