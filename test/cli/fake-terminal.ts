/** A terminal for tests: gives what stdin says, keeps what is written, and tells its signals when asked. */
import { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Output } from '../../src/cli/output.ts';
import type { Terminal } from '../../src/cli/terminal.ts';
import type { WebSocketConstructor } from '../../src/client/index.ts';

/** Keeps all that is written, at once. */
export class Sink extends Writable {
  readonly chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.chunks.push(Buffer.from(chunk));
    callback();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

export interface FakeTerminal extends Terminal {
  /** What was written to standard output, once flushed. */
  readonly out: Sink;
  readonly err: Sink;
  /** Sends a signal, as Ctrl-C would. */
  signal(name: 'SIGINT' | 'SIGTERM'): void;
}

export interface FakeTerminalOptions {
  readonly stdin?: Iterable<Buffer>;
  readonly environment?: Record<string, string>;
  readonly WebSocket?: WebSocketConstructor;
}

export function fakeTerminal(given: FakeTerminalOptions = {}): FakeTerminal {
  const out = new Sink();
  const err = new Sink();
  const first = new AbortController();
  const second = new AbortController();
  return {
    stdin: Readable.from(given.stdin ?? [], { objectMode: false }),
    stdout: new Output(out),
    stderr: new Output(err),
    out,
    err,
    progressStream: null,
    environment: given.environment ?? {},
    WebSocket: given.WebSocket ?? noWebSocket,
    now: () => performance.now(),
    // As long as asked would only make tests slow; what they wait for is real.
    sleep: (ms) => delay(Math.min(ms, 5)),
    interrupts: () => ({ first: first.signal, second: second.signal, release: () => {} }),
    signal: (name) => (first.signal.aborted ? second : first).abort(name),
  };
}

const noWebSocket = class {
  constructor() {
    throw new Error('this test was to connect nowhere');
  }
};
