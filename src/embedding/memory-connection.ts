/**
 * The broker's end of a connection without a socket: the socket port over two pipes. Used for clients in the same
 * process (`local-link.ts`) and for those of tests (`sluice/testing`).
 */
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Connection, ConnectionEvents } from '../ports/connection.ts';
import { closeReason } from '../protocol/close-code.ts';
import { bytesOf, type Item, type Pipe } from './memory-pipe.ts';

/** Time for the other side to answer a close, as with a real socket. */
const CLOSE_TIMEOUT_MS = 1000;

const ignoring: ConnectionEvents = { text() {}, binary() {}, pong() {}, drained() {}, closed() {} };

/** What the server's end needs of the connection that it is an end of. */
export interface MemoryPair {
  readonly clock: Clock;
  readonly remote: string;
  readonly toServer: Pipe;
  readonly toClient: Pipe;
  /** A longer frame from the client ends the connection with 1009. */
  readonly frameBytesMax: number;
  /** Called once, when the server's end is gone. */
  onEnd(): void;
  /** Ends the connection at once; both ends learn of it. */
  cut(): void;
}

export class MemoryConnection implements Connection {
  events: ConnectionEvents = ignoring;
  readonly #link: MemoryPair;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #timer: TimerHandle | null = null;

  constructor(link: MemoryPair) {
    this.#link = link;
  }

  get remote(): string {
    return this.#link.remote;
  }

  get bufferedBytes(): number {
    return this.#link.toClient.bytes;
  }

  sendText(text: string): void {
    this.#send({ is: 'frame', data: text });
  }

  sendBinary(parts: readonly Uint8Array[]): void {
    this.#send({ is: 'frame', data: joined(parts) });
  }

  ping(): void {
    this.#send({ is: 'ping' });
  }

  pause(): void {
    if (this.#state === 'open') this.#link.toServer.pause();
  }

  resume(): void {
    this.#link.toServer.resume();
  }

  close(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    this.#send({ is: 'close', code, reason: closeReason(reason) });
    this.#state = 'closing';
    this.#link.toServer.resume();
    this.#timer = this.#link.clock.setTimeout(() => this.terminate(), CLOSE_TIMEOUT_MS);
  }

  terminate(): void {
    if (this.#state !== 'closed') this.#link.cut();
  }

  receive(item: Item): void {
    if (this.#state === 'closed') return;
    if (item.is === 'close') {
      if (this.#state === 'open') this.#link.toClient.put(item);
      this.gone(item.code, item.reason);
    } else if (item.is === 'end') {
      this.gone(1006, '');
    } else if (this.#state === 'open') {
      this.#hear(item);
    }
  }

  #hear(item: Item): void {
    if (item.is === 'pong') this.events.pong();
    if (item.is !== 'frame') return;
    if (bytesOf(item) > this.#link.frameBytesMax) {
      this.#link.toClient.put({ is: 'close', code: 1009, reason: '' });
      this.gone(1009, 'Max payload size exceeded');
    } else if (typeof item.data === 'string') this.events.text(item.data);
    else this.events.binary(item.data);
  }

  noteSent(): void {
    if (this.#state !== 'closed') this.events.drained();
  }

  gone(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    if (this.#timer !== null) this.#link.clock.clearTimeout(this.#timer);
    this.#link.onEnd();
    this.events.closed(code, reason);
  }

  #send(item: Item): void {
    if (this.#state === 'open') this.#link.toClient.put(item);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
