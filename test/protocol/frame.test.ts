import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { decodeFrame, encodeFrame, FRAME_HEADER_BYTES_MAX, parseObject } from '../../src/protocol/frame.ts';

const joined = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** A frame with any header length and any header bytes. */
function frame(length: number, rest: Uint8Array | string): Uint8Array {
  const bytes = Buffer.from(rest);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  return joined([head, bytes]);
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof BrokerError) return error.code;
    throw error;
  }
  return 'none';
}

describe('a binary frame', () => {
  it('is a big-endian length, the header and the body', () => {
    expect(Buffer.from(joined(encodeFrame('{"op":"ping"}', [new Uint8Array([1, 2])]))).toString('hex')).toBe(
      `0000000d${Buffer.from('{"op":"ping"}').toString('hex')}0102`,
    );
  });

  it('counts its header in bytes, not characters', () => {
    const { header } = decodeFrame(joined(encodeFrame('{"id":"é😀"}', [])));
    expect(header).toEqual({ id: 'é😀' });
  });

  it('comes out as it went in', () => {
    const header = fc.dictionary(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(header, fc.array(fc.uint8Array(), { maxLength: 3 }), (fields, body) => {
        const decoded = decodeFrame(joined(encodeFrame(JSON.stringify(fields), body)));
        expect(decoded.header).toEqual(JSON.parse(JSON.stringify(fields)));
        expect(decoded.body).toEqual(joined(body));
      }),
    );
  });

  it('is read from a view into a larger buffer, and its body is a view into it', () => {
    const parts = [new Uint8Array(9), ...encodeFrame('{"a":1}', [new Uint8Array([7, 8])]), new Uint8Array(9)];
    const whole = joined(parts);
    const { header, body } = decodeFrame(whole.subarray(9, whole.length - 9));
    expect(header).toEqual({ a: 1 });
    expect([...body]).toEqual([7, 8]);
    expect(body.buffer).toBe(whole.buffer);
  });

  it('goes out without a copy of its body', () => {
    const body = [new Uint8Array(3), new Uint8Array(5)];
    const [, ...sent] = encodeFrame('{}', body);
    expect(sent[0]).toBe(body[0]);
    expect(sent[1]).toBe(body[1]);
  });

  it.each<[string, Uint8Array]>([
    ['empty', new Uint8Array(0)],
    ['shorter than the header length', new Uint8Array([0, 0, 0])],
    ['with a header longer than the frame', frame(3, '{}')],
    ['with a header length near 2^32', frame(0xffffffff, '{}')],
    ['with a header over its limit', frame(FRAME_HEADER_BYTES_MAX + 1, `{${' '.repeat(FRAME_HEADER_BYTES_MAX)}}`)],
  ])('is refused as BAD_FRAME when %s', (_, bytes) => {
    expect(codeOf(() => decodeFrame(bytes))).toBe('BAD_FRAME');
  });

  it.each<[string, Uint8Array | string]>([
    ['empty', ''],
    ['no JSON', '{op}'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a string', '"ping"'],
    ['two objects', '{}{}'],
    ['begun with a byte order mark', '\ufeff{}'],
    ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22])],
    ['overlong UTF-8', new Uint8Array([0x22, 0xc0, 0xaf, 0x22])],
    ['a lone surrogate in UTF-8', new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ])('is refused as BAD_JSON when its header is %s', (_, header) => {
    expect(codeOf(() => decodeFrame(frame(Buffer.from(header).length, header)))).toBe('BAD_JSON');
  });

  it.each<[Uint8Array, string]>([
    [new Uint8Array(3), 'a binary frame begins with a 4-byte header length; got 3 bytes'],
    [frame(3, '{}'), 'the header length is 3, and 2 bytes follow it'],
    [frame(65_537, Buffer.alloc(65_537)), 'the header length is 65537; at most 65536 are read'],
  ])('is refused with the lengths that do not add up', (bytes, message) => {
    expect(messageOf(() => decodeFrame(bytes))).toBe(message);
  });

  it('is refused in words when its header is no UTF-8', () => {
    expect(messageOf(() => decodeFrame(frame(1, new Uint8Array([0xff]))))).toMatch(
      /^the header of a binary frame is UTF-8: /,
    );
  });

  it('may have a header of exactly the limit', () => {
    const header = `{${' '.repeat(FRAME_HEADER_BYTES_MAX - 2)}}`;
    expect(decodeFrame(joined(encodeFrame(header, []))).header).toEqual({});
  });

  it('never throws but by the error table', () => {
    const near = fc
      .tuple(fc.integer({ min: 0, max: 40 }), fc.oneof(fc.json(), fc.string({ unit: 'binary' })))
      .map(([length, rest]) => frame(length, rest));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), near), (bytes) => {
        expect(['none', 'BAD_FRAME', 'BAD_JSON']).toContain(codeOf(() => decodeFrame(bytes)));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a JSON object', () => {
  it('keeps members that would be inherited as its own', () => {
    const fields = parseObject('{"__proto__":{"op":"ping"},"constructor":1}');
    expect(Object.keys(fields)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(fields)).toBe(Object.prototype);
  });

  it('is refused in words', () => {
    expect(() => parseObject('[1]')).toThrow('a command is a JSON object; got an array');
    expect(() => parseObject('7')).toThrow('a command is a JSON object; got a number');
    expect(() => parseObject('null')).toThrow('a command is a JSON object; got null');
    expect(() => parseObject('true')).toThrow('a command is a JSON object; got a boolean');
    expect(() => parseObject('')).toThrow(/^a command is a JSON object: /);
  });

  it('is refused with a short message, however long it is', () => {
    for (const text of ['x'.repeat(1e6), `{"a":${'x'.repeat(1e6)}`, '['.repeat(1e6)]) {
      expect(messageOf(() => parseObject(text)).length).toBeLessThan(300);
    }
  });
});

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}
