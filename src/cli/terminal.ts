/**
 * All that a command has of the world: standard streams, environment, clock, signals. `processTerminal` is the real
 * one; tests pass their own.
 */
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { WebSocketConstructor } from '../client/index.ts';
import { Output } from './output.ts';
import { socketConstructor } from './socket.ts';

export interface Interrupts {
  /** Aborted by the first SIGINT or SIGTERM: come to an orderly end. The reason is the signal's name. */
  readonly first: AbortSignal;
  /** Aborted by the second: end now. A third one ends the process as if nobody listened. */
  readonly second: AbortSignal;
  /** Gives the signals back. */
  release(): void;
}

export interface Terminal {
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Where a progress bar is drawn; null when standard error is no terminal. */
  readonly progressStream: NodeJS.WriteStream | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What the client connects with. */
  readonly WebSocket: WebSocketConstructor;
  /** Monotonic, ms. */
  now(): number;
  /** Rejects when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Listens for SIGINT and SIGTERM until released. A command that does not ask for this is ended by them at once. */
  interrupts(): Interrupts;
}

/** Exit code of a process that a signal told to stop, as shells have it. */
export function interruptedExit(reason: unknown): number {
  return reason === 'SIGTERM' ? 143 : 130;
}

export function processTerminal(): Terminal {
  return {
    stdin: process.stdin,
    stdout: new Output(process.stdout),
    stderr: new Output(process.stderr),
    progressStream: process.stderr.isTTY ? process.stderr : null,
    environment: process.env,
    WebSocket: socketConstructor,
    now: () => performance.now(),
    sleep: (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }),
    interrupts: processInterrupts,
  };
}

function processInterrupts(): Interrupts {
  const first = new AbortController();
  const second = new AbortController();
  const release = (): void => {
    process.off('SIGINT', listen);
    process.off('SIGTERM', listen);
  };
  const listen = (signal: NodeJS.Signals): void => {
    if (!first.signal.aborted) first.abort(signal);
    else {
      second.abort(signal);
      release();
    }
  };
  process.on('SIGINT', listen);
  process.on('SIGTERM', listen);
  return { first: first.signal, second: second.signal, release };
}
