/**
 * `inspect`: the console for any XState 5 actor system, in one line and with no broker, and `record`: the same into a
 * file or memory. `inspect` costs the system nothing until the page is opened.
 */
import { hostname } from 'node:os';
import type { AnyActorRef } from 'xstate';
import { messageOf } from '../errors.ts';
import { type Clock, systemClock } from '../ports/clock.ts';
import { InspectionHub } from './hub.ts';
import { PageServer } from './page-server.ts';
import { shortText } from './summary.ts';
import type { Sink } from './viewer.ts';

export interface InspectOptions {
  /** Port of the page; 7072 by default, 0 for one that is free. */
  readonly port?: number;
  /** Address that it listens on; 127.0.0.1 by default. Another than loopback needs a token. */
  readonly host?: string;
  /** What the page calls the system; the id of its root by default. */
  readonly title?: string;
  /** Asked for by the page; none by default. */
  readonly token?: string;
  /** The page may send events to the actors. False by default. */
  readonly send?: boolean;
}

export interface Inspection {
  /** Of the page. */
  readonly url: string;
  /** Takes the page down; the actors go on. */
  close(): Promise<void>;
}

export interface Recorder {
  /** Looks no more; the last frame says why. What is in a file is whole when its `end` has resolved. */
  stop(reason?: string): void;
}

const PORT = 7072;

/**
 * Serves the page for the system that `actor` belongs to. Resolves when it listens; rejects with LISTEN_FAILED when the
 * port is taken, and BAD_REQUEST when it is to listen beyond this machine without a token. It keeps no process alive.
 */
export async function inspect(actor: AnyActorRef, options: InspectOptions = {}): Promise<Inspection> {
  const { port = PORT, host = '127.0.0.1', title = actor.id, token = '', send = false } = options;
  const hub = hubOf(actor, title, send);
  const server = new PageServer({ host, port, token, clock, hub, answer: async () => false, failed });
  const url = await server.listen();
  return { url, close: () => server.close('the inspection was closed') };
}

/**
 * Writes what the system that `actor` belongs to does into `sink`, a `FileRecording` or a `MemoryRecording`, from now
 * until `stop`. It keeps no process alive. For `sluice replay`, or the Time view of the console.
 */
export function record(
  actor: AnyActorRef,
  sink: Sink,
  { title = actor.id }: { readonly title?: string } = {},
): Recorder {
  const seat = hubOf(actor, title, false).join(sink);
  return { stop: (reason = 'the recording was stopped') => seat.leave(reason) };
}

function hubOf(actor: AnyActorRef, title: string, send: boolean): InspectionHub {
  return new InspectionHub({
    source: { name: shortText(title), version: '', pid: process.pid, startedAt: clock.now(), host: hostname() },
    actor: () => actor,
    may: { send, act: false },
    clock,
    facts: null,
    crowd: null,
    failed,
  });
}

function failed(error: unknown, what: string): void {
  process.emitWarning(`${what}: ${messageOf(error)}`, { type: 'SluiceInspectWarning' });
}

/** Timers that keep no process alive. */
const clock: Clock = {
  ...systemClock,
  setTimeout: (callback, ms) => {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return timer;
  },
};
