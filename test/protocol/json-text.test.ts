import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementsAt, memberAt, skipSpace, valueEnd } from '../../src/protocol/json-text.ts';

/** JSON texts as people and other libraries write them: with space, escapes and members that come twice. */
const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
const nasty = fc.stringMatching(/^[\\"{}[\],: a]{0,8}$/);
const strings = fc
  .oneof(nasty, fc.string({ unit: 'binary', maxLength: 6 }))
  .chain((text) => fc.boolean().map((escaped) => (escaped ? escapedString(text) : JSON.stringify(text))));
const scalars = fc.oneof(
  strings,
  fc.constantFrom('true', 'false', 'null', '0', '-1', '1e20', '-0.5E-7', '12345678901234567890'),
);
const texts = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, scalars, tie('array'), tie('object')),
  array: fc
    .tuple(fc.array(tie('value'), { maxLength: 4 }), space)
    .map(([values, gap]) => `[${gap}${values.join(`${gap},${gap}`)}${gap}]`),
  object: fc
    .tuple(fc.array(fc.tuple(fc.oneof(strings, names()), tie('value')), { maxLength: 4 }), space)
    .map(([members, gap]) => {
      const written = members.map(([key, value]) => `${gap}${key}${gap}:${gap}${value}${gap}`);
      return `{${gap}${written.join(',')}}`;
    }),
}));

/** Keys that are often the one looked for, sometimes in disguise. */
function names(): fc.Arbitrary<string> {
  return fc.constantFrom('"value"', '"valu\\u0065"', '"\\u0076alue"', '"values"', '"valu"', '"\\"value"');
}

function escapedString(text: string): string {
  const units = Array.from({ length: text.length }, (_, at) => text.charCodeAt(at).toString(16).padStart(4, '0'));
  return `"${units.map((unit) => `\\u${unit}`).join('')}"`;
}

describe('the text of a JSON value', () => {
  it('ends where the value ends, whatever stands behind it', () => {
    fc.assert(
      fc.property(texts.value, fc.constantFrom('', ',1', ']', '}', ' ', '\n,"a":1}'), (json, behind) => {
        expect(valueEnd(json + behind, 0)).toBe(json.length);
      }),
      { numRuns: 1000 },
    );
  });

  it('is that of the member which JSON.parse takes', () => {
    fc.assert(
      fc.property(texts.object, (json) => {
        const at = memberAt(json, skipSpace(json, 0), 'value');
        const parsed: object = JSON.parse(json);
        if (!Object.hasOwn(parsed, 'value')) {
          expect(at).toBe(-1);
          return;
        }
        expect(JSON.parse(json.slice(at, valueEnd(json, at)))).toEqual((parsed as { value: unknown }).value);
      }),
      { numRuns: 2000 },
    );
  });

  it('is found for every element of an array', () => {
    fc.assert(
      fc.property(texts.array, (json) => {
        const found = elementsAt(json, 0).map((at) => JSON.parse(json.slice(at, valueEnd(json, at))) as unknown);
        expect(found).toEqual(JSON.parse(json));
      }),
      { numRuns: 1000 },
    );
  });

  it('is that of the last of two members with one name, as with JSON.parse', () => {
    const json = '{"value":1,"a":{"value":2},"value": 3 }';
    expect(json.slice(memberAt(json, 0, 'value')).startsWith('3')).toBe(true);
  });

  it.each<[string, (length: number) => string]>([
    ['quotes', (length) => `{"a":"${'\\"'.repeat(length / 2)}","value":1}`],
    ['backslashes', (length) => `{"a":"${'\\\\'.repeat(length / 2)}","value":1}`],
    ['open brackets', (length) => `{"a":${'['.repeat(length / 2)}${']'.repeat(length / 2)},"value":1}`],
    ['members', (length) => `{${'"valuf":1,'.repeat(length / 10)}"value":1}`],
    ['disguised members', (length) => `{${'"valu\\u0066":1,'.repeat(length / 16)}"value":1}`],
  ])(
    'is found in linear time and without recursion behind a million characters of %s',
    (_, make) => {
      const json = make(1_000_000);
      const begun = performance.now();
      const at = memberAt(json, 0, 'value');
      // A hundredth of what quadratic time would take, and far above what linear time does on a busy machine.
      expect(performance.now() - begun).toBeLessThan(20_000);
      expect(json.slice(at)).toBe('1}');
    },
    60_000,
  );
});
