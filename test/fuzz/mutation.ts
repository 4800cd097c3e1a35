/**
 * How the fuzzer changes an input: by bits, bytes, pieces, numbers at places where a length may stand, words of the
 * format, and pieces of other inputs. Each takes the input and gives a new one; none is longer than the target allows.
 */
import type { Random } from '../../src/ports/random.ts';

export interface Mutation {
  readonly random: Random;
  readonly dictionary: readonly Uint8Array[];
  /** Another kept input, to take pieces of. */
  readonly other: Uint8Array;
}

export type Mutator = (input: Uint8Array, mutation: Mutation) => Uint8Array;

/** A whole number in [0, below). */
export function draw(random: Random, below: number): number {
  return Math.floor(random.next() * below);
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[draw(random, from.length)] as T;
}

/** Numbers at which code goes another way: ends of widths, signs, powers of two and their neighbours. */
const numbers = [
  0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 24, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 1023, 1024, 4095, 4096,
  4097, 32_767, 32_768, 65_534, 65_535, 65_536, 65_537, 0x00ff_ffff, 0x0100_0000, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000,
  0x8000_0001, 0xffff_fff0, 0xffff_fffe, 0xffff_ffff,
];
const widths = [1, 2, 4, 8] as const;

const flipBit: Mutator = (input, { random }) => {
  if (input.length === 0) return input;
  const bit = draw(random, input.length * 8);
  const at = bit >> 3;
  input[at] = (input[at] as number) ^ (1 << (bit & 7));
  return input;
};

const setByte: Mutator = (input, { random }) => {
  if (input.length > 0) input[draw(random, input.length)] = draw(random, 256);
  return input;
};

/** Writes a number where a length, a count or an offset may stand: often one that is nearly right for this input. */
const setNumber: Mutator = (input, { random }) => {
  const width = pick(random, widths);
  if (input.length < width) return input;
  const at = draw(random, input.length - width + 1);
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const left = input.length - at - width;
  const near = [left, left + 1, left - 1, input.length, at, left >> 1];
  const value = draw(random, 2) === 0 ? pick(random, near) : pick(random, numbers);
  if (width === 1) view.setUint8(at, value);
  else if (width === 2) view.setUint16(at, value);
  else if (width === 4) view.setUint32(at, value);
  else view.setBigUint64(at, draw(random, 4) === 0 ? 2n ** 53n + BigInt(value) : BigInt(Math.max(0, value)));
  return input;
};

/** Adds to or takes from a number by a little. */
const nudge: Mutator = (input, { random }) => {
  const width = pick(random, widths);
  if (input.length < width) return input;
  const at = draw(random, input.length - width + 1) + width - 1;
  input[at] = (input[at] as number) + draw(random, 9) - 4;
  return input;
};

const truncate: Mutator = (input, { random }) => input.subarray(0, draw(random, input.length + 1));

const remove: Mutator = (input, { random }) => {
  const at = draw(random, input.length + 1);
  const count = 1 + draw(random, draw(random, 4) === 0 ? input.length : 8);
  return joined(input.subarray(0, at), input.subarray(Math.min(input.length, at + count)));
};

const insert: Mutator = (input, { random }) => {
  const at = draw(random, input.length + 1);
  const piece = new Uint8Array(1 + draw(random, 8)).fill(draw(random, 256));
  return joined(input.subarray(0, at), piece, input.subarray(at));
};

const duplicate: Mutator = (input, { random }) => {
  const at = draw(random, input.length + 1);
  const piece = input.subarray(at, at + 1 + draw(random, 64));
  const to = draw(random, 2) === 0 ? at : draw(random, input.length + 1);
  return joined(input.subarray(0, to), piece, input.subarray(to));
};

const splice: Mutator = (input, { random, other }) => {
  const from = draw(random, other.length + 1);
  const piece = draw(random, 2) === 0 ? other.subarray(from) : other.subarray(from, from + draw(random, 64));
  const at = draw(random, input.length + 1);
  const rest = draw(random, 2) === 0 ? input.subarray(at) : input.subarray(Math.min(input.length, at + piece.length));
  return joined(input.subarray(0, at), piece, rest);
};

const insertWord: Mutator = (input, { random, dictionary }) => {
  if (dictionary.length === 0) return input;
  const word = pick(random, dictionary);
  const at = draw(random, input.length + 1);
  const rest = draw(random, 2) === 0 ? input.subarray(at) : input.subarray(Math.min(input.length, at + word.length));
  return joined(input.subarray(0, at), word, rest);
};

/** Those that fit every format; a word of the format is drawn as often as two others. */
export const generalMutators: readonly Mutator[] = [
  flipBit,
  setByte,
  setNumber,
  setNumber,
  nudge,
  truncate,
  remove,
  insert,
  duplicate,
  splice,
  insertWord,
  insertWord,
];

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** JSON values at which code goes another way. */
const values = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '-1',
  '1',
  '1.5',
  '1e3',
  '1e400',
  '-1e-7',
  '255',
  '256',
  '1023',
  '1024',
  '1025',
  '9007199254740991',
  '9007199254740992',
  '9007199254740993',
  '2147483648',
  '4294967295',
  '4294967296',
  '""',
  '" "',
  '"a"',
  '"__proto__"',
  '"constructor"',
  '"\\u0000"',
  '"\\ud800"',
  '"\\ud83d\\ude00"',
  '"é"',
  '"\\""',
  '"\\\\"',
  '"AAE="',
  '[]',
  '[0]',
  '[0,0]',
  '[[]]',
  '[null]',
  '[{}]',
  '{}',
  '{"a":1}',
  '{"a":"b"}',
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
]; // prettier-ignore

/** Where the members and elements of a JSON text begin and end, found by a walk that takes any text. */
function jsonSpans(text: string): [start: number, end: number][] {
  const spans: [number, number][] = [];
  const open: number[] = [];
  let start = -1;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at] as string;
    if (letter === '"') {
      const from = at;
      for (at += 1; at < text.length && text[at] !== '"'; at += 1) if (text[at] === '\\') at += 1;
      spans.push([from, Math.min(text.length, at + 1)]);
    } else if (letter === '{' || letter === '[') open.push(at);
    else if ((letter === '}' || letter === ']') && open.length > 0) spans.push([open.pop() as number, at + 1]);
    else if (/[-\w.]/.test(letter)) {
      if (start < 0) start = at;
      if (!/[-+\w.]/.test(text[at + 1] ?? ' ')) {
        spans.push([start, at + 1]);
        start = -1;
      }
    }
  }
  return spans;
}

/** Replaces, takes out, doubles or wraps one value of a JSON text, which stays JSON more often than not. */
export function mutateJson(text: string, random: Random, words: readonly string[]): string {
  const spans = jsonSpans(text);
  if (spans.length === 0) return pick(random, values);
  const [start, end] = pick(random, spans);
  const value = text.slice(start, end);
  const before = text.slice(0, start);
  const after = text.slice(end);
  switch (draw(random, 8)) {
    case 0:
      return `${before}${JSON.stringify(words.length === 0 ? 'a' : pick(random, words))}${after}`;
    case 1:
      return `${before}${value},${value}${after}`;
    case 2:
      return `${before}[${value}]${after}`;
    case 3: {
      const [from, to] = pick(random, spans);
      return `${before}${text.slice(from, to)}${after}`;
    }
    case 4:
      return `${before}${value},${JSON.stringify(words.length === 0 ? 'a' : pick(random, words))}:${pick(random, values)}${after}`;
    case 5:
      return `${before} ${value}\n${after}`;
    default:
      return `${before}${pick(random, values)}${after}`;
  }
}

/** The same for a target whose whole input is a JSON text. */
export function jsonMutator(words: readonly string[]): Mutator {
  return (input, { random }) => Buffer.from(mutateJson(Buffer.from(input).toString(), random, words));
}
