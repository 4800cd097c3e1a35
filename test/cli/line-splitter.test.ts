import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineSplitter, type LineSplitterOptions, LineTooLong } from '../../src/cli/line-splitter.ts';

function split(chunks: readonly Buffer[], options: Partial<LineSplitterOptions> = {}): Buffer[] {
  const splitter = new LineSplitter({ bytesMax: 1 << 20, ...options });
  const lines: Buffer[] = [];
  for (const chunk of chunks) lines.push(...splitter.push(chunk));
  const last = splitter.finish();
  return last === null ? lines : [...lines, last];
}

/** Cuts bytes at the given places, in any order, repeated ones giving empty chunks. */
function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [0, ...at.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

/** Bytes with many ends of lines of every kind, and anything else. */
const input = fc
  .array(fc.oneof(fc.constantFrom(10, 13, 0, 0xff, 0xc3, 97), fc.integer({ min: 0, max: 255 })), { maxLength: 200 })
  .map((bytes) => Buffer.from(bytes));
const cuts = fc.array(fc.nat(), { maxLength: 20 });

/** What the lines of a text are, said in another way: by the whole of it. */
function linesOf(bytes: Buffer, end: number): string[] {
  const hex: string[] = [];
  let line: number[] = [];
  for (const byte of bytes) {
    if (byte === end) {
      hex.push(Buffer.from(line).toString('hex'));
      line = [];
    } else line.push(byte);
  }
  if (line.length > 0) hex.push(Buffer.from(line).toString('hex'));
  return hex;
}

describe('LineSplitter', () => {
  it('keeps empty lines, carriage returns and a last line without its end', () => {
    expect(split([Buffer.from('\n\na\r\n\nb')]).map(String)).toEqual(['', '', 'a\r', '', 'b']);
    expect(split([Buffer.from('a\n')]).map(String)).toEqual(['a']);
    expect(split([])).toEqual([]);
    expect(split([Buffer.from('\n')]).map(String)).toEqual(['']);
  });

  it('gives the same lines, byte for byte, however the input is cut', () => {
    fc.assert(
      fc.property(input, cuts, fc.constantFrom(10, 0), (bytes, at, end) => {
        const lines = split(cut(bytes, at), { end });
        expect(lines.map((line) => line.toString('hex'))).toEqual(linesOf(bytes, end));
      }),
    );
  });

  it('gives back the input whole when line ends are kept', () => {
    fc.assert(
      fc.property(input, cuts, (bytes, at) => {
        expect(Buffer.concat(split(cut(bytes, at), { keepEnd: true })).equals(bytes)).toBe(true);
      }),
    );
  });

  it('refuses a line over the bound as soon as it is over it, and says which', () => {
    const splitter = new LineSplitter({ bytesMax: 4 });
    expect([...splitter.push(Buffer.from('abcd\nab'))].map(String)).toEqual(['abcd']);
    expect([...splitter.push(Buffer.from('cd'))]).toEqual([]);
    expect(() => [...splitter.push(Buffer.from('e'))]).toThrow(new LineTooLong(2, 4));
  });

  it('measures a line that lies in one chunk too', () => {
    expect(() => split([Buffer.from('ok\n12345\n')], { bytesMax: 4 })).toThrow('line 2 has more than 4 bytes');
    expect(split([Buffer.from('1234\n')], { bytesMax: 4 }).map(String)).toEqual(['1234']);
  });
});
