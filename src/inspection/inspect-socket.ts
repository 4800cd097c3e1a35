/**
 * The WebSocket endpoint of a hub, on an HTTP server that somebody else listens with: takes upgrades to `/inspect`, and
 * gives each viewer a seat. Who may come is the caller's to say (`refusal`). Bounded in viewers, in what each may leave
 * unread, and in what each may say. `?format=stately` speaks the shapes of `@statelyai/inspect`.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import { inspectProtocol, tokenProtocolPrefix } from './frames.ts';
import type { InspectionHub, Seat } from './hub.ts';
import { foreignRequest, knowsToken, TOKEN_REQUIRED } from './request-check.ts';
import { statelySink } from './stately-sink.ts';
import type { Sink } from './viewer.ts';
import { readViewerMessage } from './viewer-message.ts';

export const INSPECT_PATH = '/inspect';
export const VIEWERS_MAX = 16;
/** Largest message of a viewer, bytes. */
const MESSAGE_BYTES_MAX = 64 * 1024;
/** A viewer that answers no ping for this long is gone, ms. */
const PING_MS = 15_000;

const CLOSE_GOING_AWAY = 1001;
const CLOSE_INTERNAL = 1011;

export interface Refused {
  readonly status: number;
  readonly line: string;
}

export interface InspectSocketOptions {
  readonly hub: InspectionHub;
  readonly clock: Clock;
  /** Why this request gets no viewer; null when it may. */
  readonly refusal: (request: IncomingMessage) => Refused | null;
  /** An error that viewers can't be told. */
  readonly failed: (error: unknown, what: string) => void;
}

interface Connected {
  readonly leave: (reason: string) => void;
  readonly socket: WebSocket;
  heard: boolean;
}

export class InspectSocket {
  readonly #options: InspectSocketOptions;
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(inspectProtocol) ? inspectProtocol : false),
  });
  readonly #connected = new Set<Connected>();
  #sweeping: TimerHandle | null = null;
  #closed = false;

  constructor(options: InspectSocketOptions) {
    this.#options = options;
  }

  /** Takes an upgrade request of any path; what is not for a viewer is refused. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const refused = this.#refusal(request);
    if (refused !== null) {
      refuse(socket, refused);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (accepted) => this.#accept(accepted, request));
  }

  /** Tells every viewer that this is the end, and why; none is taken any more. */
  close(reason: string): void {
    this.#closed = true;
    for (const { leave, socket } of [...this.#connected]) {
      leave(reason);
      socket.close(CLOSE_GOING_AWAY, 'the source ends');
    }
    this.#stopSweeping();
  }

  #refusal(request: IncomingMessage): Refused | null {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (path !== INSPECT_PATH) {
      return { status: 404, line: `no WebSocket is served at ${path.slice(0, 100)}; connect to ${INSPECT_PATH}` };
    }
    const refused = this.#options.refusal(request);
    if (refused !== null) return refused;
    if (this.#closed) return { status: 503, line: 'the source is ending' };
    if (this.#connected.size >= VIEWERS_MAX) return { status: 503, line: `there are ${VIEWERS_MAX} viewers already` };
    return null;
  }

  #accept(socket: WebSocket, request: IncomingMessage): void {
    const { hub } = this.#options;
    const plain: Sink = {
      send: (text) => socket.send(text),
      get bufferedBytes() {
        return socket.bufferedAmount;
      },
    };
    const stately = new URL(request.url ?? '/', 'http://inspect').searchParams.get('format') === 'stately';
    let seat: Seat;
    try {
      seat = hub.join(stately ? statelySink(plain, (hash) => hub.configOf(hash)) : plain);
    } catch (error) {
      this.#options.failed(error, 'a new viewer');
      socket.close(CLOSE_INTERNAL, 'the system can not be shown');
      return;
    }
    const connected: Connected = { leave: (reason) => seat.leave(reason), socket, heard: true };
    this.#connected.add(connected);
    socket.on('message', (data: RawData, binary: boolean) => {
      const message = readViewerMessage(binary ? null : String(data));
      if (typeof message === 'string') socket.close(1008, message);
      else seat.take(message);
    });
    socket.on('pong', () => {
      connected.heard = true;
    });
    // What `ws` can't read it closes by itself, with the code that fits.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#connected.delete(connected);
      seat.leave();
      if (this.#connected.size === 0) this.#stopSweeping();
    });
    this.#sweeping ??= this.#startSweeping();
  }

  #startSweeping(): TimerHandle {
    return this.#options.clock.setTimeout(() => {
      for (const connected of this.#connected) {
        if (connected.heard) connected.socket.ping();
        else connected.socket.terminate();
        connected.heard = false;
      }
      this.#sweeping = this.#startSweeping();
    }, PING_MS);
  }

  #stopSweeping(): void {
    if (this.#sweeping !== null) this.#options.clock.clearTimeout(this.#sweeping);
    this.#sweeping = null;
  }
}

/** Why a viewer is not let in: a foreign page or name, or a missing token, of the header or of the subprotocols. */
export function viewerRefusal(request: IncomingMessage, guard: { host: string; token: string }): Refused | null {
  const foreign = foreignRequest(request, guard.host);
  if (foreign !== null) return { status: 403, line: foreign };
  const offered = offeredToken(request);
  const given = request.headers.authorization ?? (offered === undefined ? undefined : `Bearer ${offered}`);
  return knowsToken(given, guard.token) ? null : { status: 401, line: TOKEN_REQUIRED };
}

/** The token that a browser offered among its subprotocols; undefined when there is none. */
function offeredToken(request: IncomingMessage): string | undefined {
  const offers = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((offer) => offer.trim());
  const offer = offers.find((name) => name.startsWith(tokenProtocolPrefix));
  return offer === undefined
    ? undefined
    : Buffer.from(offer.slice(tokenProtocolPrefix.length), 'base64url').toString('utf8');
}

const phrases: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  503: 'Service Unavailable',
};

function refuse(socket: Duplex, { status, line }: Refused): void {
  const body = `${line}\n`;
  const head = [
    `HTTP/1.1 ${status} ${phrases[status] ?? ''}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
