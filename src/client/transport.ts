/**
 * What carries frames between client and broker: a WebSocket, or anything that behaves as these interfaces say (an
 * embedded broker without a socket, a test).
 */
import { clientError } from './error.ts';

export interface TransportEvents {
  opened(): void;
  /** A whole frame; binary as bytes that are the receiver's to keep. */
  frame(data: string | Uint8Array): void;
  /** Once, last, also when the connection was never made. `code` is a WebSocket close code, 1006 without one. */
  closed(code: number, reason: string): void;
}

export interface TransportConnection {
  /** Sends one frame behind those before it. Bytes must not change afterwards and are not changed. */
  send(frame: string | Uint8Array): void;
  /** Ends the connection behind everything sent; `closed` follows. */
  close(code: number, reason: string): void;
  /** Ends the connection at once; nothing is called any more. */
  abandon(): void;
}

export interface Transport {
  /** Begins one connection. No event comes before this returned. Throws when a connection can never be made. */
  open(events: TransportEvents): TransportConnection;
}

/** The part of the WebSocket API that is used: that of browsers, Node ≥ 22 and the `ws` package. */
export interface WebSocketLike {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

// biome-ignore lint/suspicious/noExplicitAny: constructors of several platforms, whose event types differ, all fit.
export type WebSocketConstructor = new (url: string, protocols?: any) => any;

const SUBPROTOCOL = 'sluice.v1';

/** Throws NO_WEBSOCKET. */
export function webSocketTransport(url: string | URL, given?: WebSocketConstructor): Transport {
  const WebSocket = given ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (WebSocket === undefined) {
    throw clientError('NO_WEBSOCKET', 'no WebSocket here: connect(url, { WebSocket }), that of "ws"');
  }
  return { open: (events) => openSocket(new WebSocket(String(url), SUBPROTOCOL) as WebSocketLike, events) };
}

function openSocket(socket: WebSocketLike, events: TransportEvents): TransportConnection {
  // What a browser hides and `ws` tells (ECONNREFUSED, HTTP 503): the only reason there is when the upgrade failed.
  let failure = '';
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => events.opened();
  socket.onmessage = ({ data }: { data: string | ArrayBuffer }) =>
    events.frame(typeof data === 'string' ? data : new Uint8Array(data));
  socket.onerror = (event: { message?: string }) => {
    failure = event.message ?? '';
  };
  socket.onclose = ({ code, reason }: { code: number; reason: string }) => events.closed(code, reason || failure);
  return {
    send: (frame) => socket.send(frame as string | Uint8Array<ArrayBuffer>),
    close: (code, reason) => socket.close(code, reason),
    abandon: () => {
      socket.onopen = socket.onmessage = socket.onclose = null;
      // Stays set: `ws` reports a connection given up while connecting as an error, and unheard ones are thrown.
      socket.onerror = () => {};
      const terminate = (socket as { terminate?: () => void }).terminate;
      if (terminate !== undefined) terminate.call(socket);
      else socket.close();
    },
  };
}
