/**
 * A standard stream to write to: gathers small writes, waits when the reader is slow, and takes a reader that went
 * away (`| head`) for the end of what was wanted, not for an error.
 */
import type { Writable } from 'node:stream';
import { systemCodeOf } from '../errors.ts';

/** Gathered bytes that are handed on at once. */
const GATHER_BYTES = 64 * 1024;

export class Output {
  readonly #stream: Writable;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #failure: unknown = null;
  readonly #gone = new AbortController();

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error: unknown) => {
      if (systemCodeOf(error) !== 'EPIPE') this.#failure ??= error;
      this.#gone.abort(error);
    });
  }

  /** Aborted once nobody reads any more, or the stream has failed. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Takes bytes or text, in order. Bytes must not change until the next `flush` has resolved. */
  write(chunk: Uint8Array | string): void {
    if (this.#gone.signal.aborted) return;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk;
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    if (this.#gatheredBytes >= GATHER_BYTES) this.#send();
  }

  /** True when the reader is behind; the caller should await `flush` before it writes more. */
  get full(): boolean {
    return this.#stream.writableNeedDrain;
  }

  /** Hands on what was gathered and resolves when there is room again. Rejects when the stream failed, not on EPIPE. */
  async flush(): Promise<void> {
    this.#send();
    if (this.#stream.writableNeedDrain && !this.#gone.signal.aborted) await this.#room();
    if (this.#failure !== null) throw this.#failure;
  }

  /** Resolves when all that was written has left the process, or, with `gone` aborted, can no longer. Rejects as `flush`. */
  async finish(): Promise<void> {
    await this.flush();
    if (this.#gone.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#gone.signal.removeEventListener('abort', done);
        resolve();
      };
      this.#gone.signal.addEventListener('abort', done);
      // Behind everything before it. Where that failed, the stream's error follows, and with it `gone`.
      this.#stream.write('', (error) => {
        if (error === undefined || error === null) done();
      });
    });
    if (this.#failure !== null) throw this.#failure;
  }

  #send(): void {
    if (this.#gatheredBytes === 0) return;
    const chunk = this.#gathered.length === 1 ? this.#gathered[0] : Buffer.concat(this.#gathered, this.#gatheredBytes);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (!this.#gone.signal.aborted) this.#stream.write(chunk);
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done);
        this.#gone.signal.removeEventListener('abort', done);
        resolve();
      };
      this.#stream.on('drain', done);
      this.#gone.signal.addEventListener('abort', done);
    });
  }
}
