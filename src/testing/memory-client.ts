/** The client's end of a connection in memory, as a test drives it. Made by `dial` of the network in memory. */

import type { Item, MemoryFrame } from '../embedding/memory-pipe.ts';
import { assert } from '../errors.ts';
import type { MemoryLink } from './memory-link.ts';

export interface ClientEvents {
  open(subprotocol: string | undefined): void;
  frame(frame: MemoryFrame): void;
  /** Once, last; also when the connection was refused. */
  close(code: number, reason: string): void;
}

export interface ClientRefusal {
  /** HTTP status; 0 when nobody listens. */
  readonly status: number;
  readonly line: string;
  readonly retryAfterSeconds?: number;
}

/** The client's end, as a test drives it. Pings are answered, and a close is, as every WebSocket does by itself. */
export class MemoryClient {
  state: 'connecting' | 'open' | 'closing' | 'closed' = 'connecting';
  /** Every frame received, in order. */
  readonly frames: MemoryFrame[] = [];
  pingsReceived = 0;
  subprotocol: string | undefined;
  /** How it ended. */
  closed: { readonly code: number; readonly reason: string } | null = null;
  /** Why it never opened. */
  refusal: ClientRefusal | null = null;
  /** False leaves pings unanswered, as a client that is dead would. */
  answersPings = true;
  /** Told what happens, beside its being kept above. */
  events: ClientEvents | null = null;
  readonly #link: MemoryLink;

  constructor(link: MemoryLink) {
    this.#link = link;
  }

  /** Bytes sent that the server has not read. */
  get bufferedBytes(): number {
    return this.#link.toServer.bytes;
  }

  /** The text frames received, as JSON. */
  get replies(): unknown[] {
    return this.frames.filter((frame) => typeof frame === 'string').map((frame) => JSON.parse(frame) as unknown);
  }

  sendText(text: string): void {
    this.#send({ is: 'frame', data: text });
  }

  /** Sends a command as a text frame. */
  sendJson(command: unknown): void {
    this.sendText(JSON.stringify(command));
  }

  sendBinary(bytes: Uint8Array): void {
    this.#send({ is: 'frame', data: bytes.slice() });
  }

  /** Begins the closing handshake behind everything sent. */
  close(code = 1000, reason = ''): void {
    if (this.state === 'open') this.#link.toServer.put({ is: 'close', code, reason });
    else if (this.state === 'connecting') this.#link.cut();
    else return;
    this.state = 'closing';
  }

  /** Dies: the server gets what was sent before and then an end without a close. */
  terminate(): void {
    if (this.state === 'closed') return;
    if (this.state !== 'connecting') this.#link.toServer.put({ is: 'end' });
    this.gone(1006, '');
  }

  /** The connection breaks: what is under way is lost, and both sides learn of it a turn later. */
  cut(): void {
    if (this.state !== 'closed') this.#link.cut();
  }

  /** The connection falls silent for good, and neither side is told: half open, as behind a dead router. */
  stall(): void {
    this.#link.stall();
  }

  /** Stops reading: what the server sends stays in its buffer. */
  pauseReading(): void {
    this.#link.toClient.pause();
  }

  resumeReading(): void {
    this.#link.toClient.resume();
  }

  opened(subprotocol: string | undefined): void {
    assert(this.state === 'connecting', 'a connection opens once');
    this.state = 'open';
    this.subprotocol = subprotocol;
    this.events?.open(subprotocol);
  }

  refused(refusal: ClientRefusal): void {
    this.refusal = refusal;
    this.gone(1006, '');
  }

  receive(item: Item): void {
    if (this.state === 'closed') return;
    if (item.is === 'frame') {
      this.frames.push(item.data);
      this.events?.frame(item.data);
    } else if (item.is === 'ping') {
      this.pingsReceived += 1;
      if (this.answersPings) this.#link.toServer.put({ is: 'pong' });
    } else if (item.is === 'close') {
      if (this.state === 'open') this.#link.toServer.put(item);
      this.gone(item.code, item.reason);
    }
  }

  gone(code: number, reason: string): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.closed = { code, reason };
    this.events?.close(code, reason);
  }

  #send(item: Item): void {
    assert(this.state !== 'connecting', 'a frame was sent before the connection was open');
    if (this.state === 'open') this.#link.toServer.put(item);
  }
}
