/**
 * One client connection over a WebSocket: the socket port on `ws`. Made by the WebSocket listener for a session.
 *
 * Frames out are written here rather than by `ws`, which copies or splits what this need not: the header is a few
 * bytes, the server's frames are not masked, and compression is off, so `ws` never holds a frame back and the order
 * on the wire is the order of calls, closes and pings of `ws` included.
 */
import type { Socket } from 'node:net';
import { assert } from '../errors.ts';
import type { Connection, ConnectionEvents } from '../ports/connection.ts';
import { closeReason } from '../protocol/close-code.ts';

/** What is used of a `WebSocket` of `ws`. */
export interface ServerWebSocket {
  readonly readyState: number;
  ping(): void;
  pause(): void;
  resume(): void;
  close(code: number, reason: string): void;
  terminate(): void;
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): unknown;
  on(event: 'pong', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: (code: number, reason: Buffer) => void): unknown;
}

const OPEN = 1;
const TEXT = 0x81;
const BINARY = 0x82;
const FRAME_HEADER_BYTES_MAX = 10;

/** A part at least this long is handed to the socket as it is; shorter ones are copied together. */
const REFERENCE_BYTES = 16 * 1024;

const ignoring: ConnectionEvents = { text() {}, binary() {}, pong() {}, drained() {}, closed() {} };

export class WebSocketConnection implements Connection {
  readonly remote: string;
  events: ConnectionEvents = ignoring;
  readonly #webSocket: ServerWebSocket;
  readonly #socket: Socket;
  #corked = false;
  #drainNoted = false;
  #closing = false;
  /** Why the receiver gave up on the client's bytes; told instead of the code that the close ends with. */
  #fault: { readonly code: number; readonly reason: string } | null = null;

  constructor(webSocket: ServerWebSocket, socket: Socket) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.remote = remoteOf(socket);
    webSocket.on('message', (data, isBinary) => this.#received(data, isBinary));
    webSocket.on('pong', () => this.events.pong());
    webSocket.on('error', (error) => this.#failed(error));
    webSocket.on('close', (code, reason) => this.#closed(code, reason));
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  sendText(text: string): void {
    if (!this.#begin()) return;
    const bytes = Buffer.byteLength(text);
    const frame = Buffer.allocUnsafe(headerBytes(bytes) + bytes);
    frame.write(text, writeHeader(frame, TEXT, bytes));
    this.#socket.write(frame, this.#written);
  }

  sendBinary(parts: readonly Uint8Array[]): void {
    if (!this.#begin()) return;
    let bytes = 0;
    let copied = 0;
    for (const part of parts) {
      bytes += part.length;
      if (part.length < REFERENCE_BYTES) copied += part.length;
    }
    // One buffer takes the header and every short part; long parts go between slices of it.
    const gathered = Buffer.allocUnsafe(headerBytes(bytes) + copied);
    let start = 0;
    let at = writeHeader(gathered, BINARY, bytes);
    for (const part of parts) {
      if (part.length < REFERENCE_BYTES) {
        gathered.set(part, at);
        at += part.length;
        continue;
      }
      if (at > start) this.#socket.write(gathered.subarray(start, at));
      start = at;
      this.#socket.write(part, this.#written);
    }
    if (at > start) this.#socket.write(gathered.subarray(start, at), this.#written);
  }

  ping(): void {
    if (this.#begin()) this.#webSocket.ping();
  }

  pause(): void {
    if (!this.#closing) this.#webSocket.pause();
  }

  resume(): void {
    if (!this.#closing) this.#webSocket.resume();
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    assert(isCloseCode(code), `${code} is not a close code that may be sent`);
    if (!this.#begin()) {
      // The other end has ended without a close: it takes no answer, and what waits for it may never leave.
      this.terminate();
      return;
    }
    this.#closing = true;
    this.#webSocket.close(code, closeReason(reason));
    // Paused, the client's answer would never be read.
    this.#webSocket.resume();
  }

  terminate(): void {
    this.#closing = true;
    this.#webSocket.terminate();
  }

  /**
   * False when nothing can be sent any more. Otherwise holds back what is written until this turn is over, so that
   * all of it leaves as one write: a tick comes after the present callback and, within it, after every promise.
   */
  #begin(): boolean {
    if (this.#closing || this.#webSocket.readyState !== OPEN) return false;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(this.#uncork);
    }
    return true;
  }

  readonly #uncork = (): void => {
    this.#corked = false;
    this.#socket.uncork();
  };

  /** Called for every write that the socket got rid of, many at a time: told once. */
  readonly #written = (): void => {
    if (this.#drainNoted) return;
    this.#drainNoted = true;
    process.nextTick(this.#drained);
  };

  readonly #drained = (): void => {
    this.#drainNoted = false;
    if (!this.#socket.destroyed) this.events.drained();
  };

  #received(data: Buffer, isBinary: boolean): void {
    // Nothing said from here on can be answered.
    if (this.#closing) return;
    if (isBinary) this.events.binary(kept(data));
    else this.events.text(data.toString());
  }

  /** `ws` answers a malformed frame with its close code by itself; an error of the socket ends in a close as well. */
  #failed(error: Error): void {
    this.#fault ??= faultOf(error);
  }

  #closed(code: number, reason: Buffer): void {
    this.#closing = true;
    const { events } = this;
    this.events = ignoring;
    if (this.#fault !== null) events.closed(this.#fault.code, this.#fault.reason);
    else events.closed(code, reason.toString());
  }
}

/**
 * The bytes of a message, to keep. They view the chunk that the socket read, 64 KiB as a rule, unless they are large;
 * a small one is copied, so that whoever keeps it does not keep the chunk.
 */
function kept(data: Buffer): Uint8Array {
  return data.length * 4 < data.buffer.byteLength ? new Uint8Array(data) : data;
}

/** Close code and reason for an error of the receiver; null for one of the socket, which has none. */
function faultOf(error: Error): { code: number; reason: string } | null {
  const name = (error as NodeJS.ErrnoException).code ?? '';
  if (!name.startsWith('WS_ERR_')) return null;
  return { code: receiverCloseCodes[name] ?? 1002, reason: error.message };
}

/** The errors of the receiver of `ws` that close with something else than 1002; see its `doc/ws.md`. */
const receiverCloseCodes: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
};

function isCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

function headerBytes(bytes: number): number {
  if (bytes < 126) return 2;
  return bytes < 65_536 ? 4 : FRAME_HEADER_BYTES_MAX;
}

/** Writes the header of an unmasked, unfragmented frame (RFC 6455, section 5.2); returns where it ends. */
function writeHeader(frame: Buffer, firstByte: number, bytes: number): number {
  frame[0] = firstByte;
  if (bytes < 126) {
    frame[1] = bytes;
    return 2;
  }
  if (bytes < 65_536) {
    frame[1] = 126;
    return frame.writeUInt16BE(bytes, 2);
  }
  frame[1] = 127;
  frame.writeUInt32BE(Math.floor(bytes / 0x1_0000_0000), 2);
  return frame.writeUInt32BE(bytes >>> 0, 6);
}

function remoteOf({ remoteAddress, remotePort }: Socket): string {
  if (remoteAddress === undefined) return 'unknown';
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
