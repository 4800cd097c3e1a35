import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { Output } from '../../src/cli/output.ts';
import { Sink } from './fake-terminal.ts';

/** Takes a chunk only when told to. */
class SlowSink extends Writable {
  readonly taken: Buffer[] = [];
  #next: (() => void) | null = null;

  constructor() {
    super({ highWaterMark: 10 });
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.taken.push(chunk);
    this.#next = callback;
  }

  release(): void {
    const next = this.#next;
    this.#next = null;
    next?.();
  }
}

function failing(code: string): Writable {
  return new Writable({
    write: (_chunk, _encoding, callback) => callback(Object.assign(new Error(`write ${code}`), { code })),
  });
}

describe('Output', () => {
  it('gathers small writes into one, in order', async () => {
    const sink = new Sink();
    const output = new Output(sink);
    output.write('a');
    output.write(Uint8Array.of(98));
    expect(sink.chunks).toHaveLength(0);
    await output.flush();
    expect(sink.chunks.map(String)).toEqual(['ab']);
  });

  it('hands on what is large without being asked', () => {
    const sink = new Sink();
    new Output(sink).write(Buffer.alloc(64 * 1024));
    expect(sink.bytes).toHaveLength(64 * 1024);
  });

  it('waits while the reader is behind', async () => {
    const sink = new SlowSink();
    const output = new Output(sink);
    output.write('more than ten bytes');
    let flushed = false;
    const flush = output.flush().then(() => {
      flushed = true;
    });
    await new Promise(setImmediate);
    expect([flushed, output.full]).toEqual([false, true]);
    sink.release();
    await flush;
    expect(output.full).toBe(false);
  });

  it('finishes only when the last byte has been taken', async () => {
    const sink = new SlowSink();
    const output = new Output(sink);
    output.write('abc');
    let finished = false;
    const finish = output.finish().then(() => {
      finished = true;
    });
    await new Promise(setImmediate);
    expect(finished).toBe(false);
    sink.release();
    await new Promise(setImmediate);
    sink.release();
    await finish;
    expect(Buffer.concat(sink.taken).toString()).toBe('abc');
  });

  it('takes a reader that went away for the end, not for an error', async () => {
    const output = new Output(failing('EPIPE'));
    output.write('x');
    await output.flush();
    await new Promise(setImmediate);
    expect(output.gone.aborted).toBe(true);
    output.write('y');
    await output.finish();
  });

  it('wakes whoever waits for a reader that goes away', async () => {
    const sink = new SlowSink();
    const output = new Output(sink);
    output.write('more than ten bytes');
    const flush = output.flush();
    sink.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    await flush;
    await output.finish();
  });

  it('rejects for any other failure of the stream', async () => {
    const output = new Output(failing('ENOSPC'));
    output.write('x');
    await output.flush();
    await new Promise(setImmediate);
    await expect(output.finish()).rejects.toThrow('write ENOSPC');
  });
});
