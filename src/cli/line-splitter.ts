/**
 * Splits a stream of bytes into lines, byte for byte: no decoding, empty lines kept, a carriage return kept, a last
 * line without its end kept. Memory is bounded by the longest line allowed.
 */

export class LineTooLong extends Error {
  /** From 1. */
  readonly line: number;

  constructor(line: number, bytesMax: number) {
    super(`line ${line} has more than ${bytesMax} bytes`);
    this.line = line;
  }
}

export interface LineSplitterOptions {
  /** Most bytes of one line, without its end. */
  readonly bytesMax: number;
  /** The byte that ends a line; 10 (newline) by default. */
  readonly end?: number;
  /** The end byte stays part of its line. */
  readonly keepEnd?: boolean;
}

export class LineSplitter {
  readonly #bytesMax: number;
  readonly #end: number;
  readonly #kept: number;
  /** The beginning of a line whose end has not come yet, in pieces. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #lines = 0;

  constructor(options: LineSplitterOptions) {
    this.#bytesMax = options.bytesMax;
    this.#end = options.end ?? 10;
    this.#kept = options.keepEnd === true ? 1 : 0;
  }

  /** The lines that end within `chunk`; views into it where they lie in it whole. Throws LineTooLong. */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let start = 0;
    for (let end = chunk.indexOf(this.#end); end >= 0; end = chunk.indexOf(this.#end, start)) {
      const piece = chunk.subarray(start, end + this.#kept);
      this.#measure(end - start);
      start = end + 1;
      yield this.#pendingBytes === 0 ? this.#line(piece) : this.#line(this.#joined(piece));
    }
    if (start === chunk.length) return;
    this.#measure(chunk.length - start);
    this.#pending.push(chunk.subarray(start));
    this.#pendingBytes += chunk.length - start;
  }

  /** The last line when the input does not end with a line's end; null when it does. */
  finish(): Buffer | null {
    return this.#pendingBytes === 0 ? null : this.#line(this.#joined(Buffer.alloc(0)));
  }

  #measure(bytes: number): void {
    if (this.#pendingBytes + bytes > this.#bytesMax) throw new LineTooLong(this.#lines + 1, this.#bytesMax);
  }

  #line(bytes: Buffer): Buffer {
    this.#lines += 1;
    return bytes;
  }

  #joined(last: Buffer): Buffer {
    const bytes = Buffer.concat([...this.#pending, last]);
    this.#pending = [];
    this.#pendingBytes = 0;
    return bytes;
  }
}
