/** Where the parts of a JSON text lie, in small: each kind of value, of space and of key. */
import { describe, expect, it } from 'vitest';
import { elementsAt, memberAt, skipSpace, valueEnd } from '../../src/protocol/json-text.ts';

describe('the end of a value', () => {
  it.each([
    ['1,2', 1],
    ['12]', 2],
    ['12}', 2],
    ['12 ', 2],
    ['12\n', 2],
    ['-1.5e+7', 7],
    ['true,', 4],
    ['null', 4],
    ['"a",', 3],
    ['"a\\"b",', 6],
    ['"a\\\\",', 5],
    ['"a\\\\\\"",', 7],
    ['""', 2],
    ['[]', 2],
    ['{}]', 2],
    ['[1,[2]],3', 7],
    ['{"a":{"b":[]}}}', 14],
    ['["]"]', 5],
    ['{"}":"{"}', 9],
    ['["[",{"]":1}],', 13],
  ])('of %j is at %d', (json, end) => {
    expect(valueEnd(json, 0)).toBe(end);
    expect(valueEnd(`[ ${json}`, 2)).toBe(end + 2);
  });

  it('of what is never closed is the end of the text', () => {
    expect(valueEnd('[1,[2]', 0)).toBe(6);
  });
});

describe('space', () => {
  it('is skipped, all four kinds of it, and nothing else is', () => {
    expect(skipSpace(' \t\r\n1', 0)).toBe(4);
    expect(skipSpace('  1 2', 3)).toBe(4);
    expect(skipSpace('!', 0)).toBe(0);
    expect(skipSpace('', 0)).toBe(0);
  });
});

describe('a member', () => {
  it.each([
    ['{"value":1}', 9],
    ['{ "value" : 1 }', 12],
    ['{"a":0,"value":1}', 15],
    ['{"value":0,"value":1}', 19],
    ['{"values":0}', -1],
    ['{"valu":0}', -1],
    ['{"valux":0}', -1],
    ['{"a":{"value":0}}', -1],
    ['{"a":"value"}', -1],
    ['{}', -1],
    ['{ }', -1],
    ['{"\\u0076alue":1}', 14],
    ['{"\\u0076\\u0061\\u006c\\u0075\\u0065":1}', 34],
    ['{"\\u0077alue":0}', -1],
  ])('of %j lies at %d', (json, at) => {
    expect(memberAt(json, 0, 'value')).toBe(at);
    expect(memberAt(`[7,${json}]`, 3, 'value')).toBe(at < 0 ? -1 : at + 3);
  });
});

describe('the elements of an array', () => {
  it.each<[string, number[]]>([
    ['[]', []],
    ['[ ]', []],
    ['[1]', [1]],
    ['[1,"a,b",[2,3],{"c":4}]', [1, 3, 9, 15]],
    ['[ 1 , 2 ]', [2, 6]],
  ])('of %j lie at %j', (json, places) => {
    expect(elementsAt(json, 0)).toEqual(places);
    expect(elementsAt(`{"a":${json}}`, 5)).toEqual(places.map((at) => at + 5));
  });
});
