/**
 * The listener port on `node:http` and `ws`: binds the client port, checks every upgrade, and hands each connection
 * to the gateway. The only file of the broker that knows `ws`. Started and stopped by the gateway.
 *
 * Guarantees: a request that is not an upgrade is told what this is; one that may not come in is told why; neither
 * costs more than a bounded header for a bounded time. Nothing that a client sends raises an error in the process.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { assert, BrokerError, errorTable, messageOf } from '../errors.ts';
import { isLoopback } from '../inspection/request-check.ts';
import type { Listen, Listener, ListenOptions } from '../ports/connection.ts';
import { chosenSubprotocol, type Refusal, SUBPROTOCOL, upgradeRefusal } from './upgrade-check.ts';
import { WebSocketConnection } from './websocket-connection.ts';

/** Bytes of a request's headers: a browser sends the cookies of every page on the same host. */
const HEADER_BYTES_MAX = 16 * 1024;
const HEADERS_MAX = 64;
/** Fragments of one message, and chunks held of an unfinished one. */
const FRAGMENTS_MAX = 1024;
const CHUNKS_MAX = 16 * 1024;
/** Time for the client to answer a close before its socket is destroyed. */
const CLOSE_TIMEOUT_MS = 1000;
/** Sockets beyond the connections that are served: those that are being refused, and plain HTTP. */
const SPARE_SOCKETS = 256;
/** Least time between two log lines about sockets that could not be taken. */
const COMPLAINT_MS = 1000;

const DEFAULT_PATH = '/v1';

/** `closeTimeout` is read by `ws` 8.23 and not yet in its types: ms that a closing handshake may take. */
type WebSocketServerOptions = ServerOptions & { readonly closeTimeout: number };

export const listen: Listen = async (options) => {
  const listener = new WebSocketListener(options);
  await listener.bind();
  return listener;
};

class WebSocketListener implements Listener {
  readonly #options: ListenOptions;
  readonly #path: string;
  readonly #server: Server;
  readonly #upgrades: WebSocketServer;
  #connections = 0;
  #retryAfterSeconds: number | null = null;
  #loopback = true;
  #complainedAt = Number.NEGATIVE_INFINITY;
  #bound: AddressInfo | null = null;
  #closed: Promise<void> | null = null;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#path = options.path ?? DEFAULT_PATH;
    const { frameBytes, connectionsMax, helloTimeoutMs } = options.config;
    const serverOptions: WebSocketServerOptions = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      skipUTF8Validation: false,
      allowSynchronousEvents: true,
      maxPayload: frameBytes,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: CHUNKS_MAX,
      closeTimeout: CLOSE_TIMEOUT_MS,
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    };
    this.#upgrades = new WebSocketServer(serverOptions);
    this.#server = createServer({
      maxHeaderSize: HEADER_BYTES_MAX,
      // Bounds the headers as well, and a socket that sends nothing at all; ends with the upgrade.
      requestTimeout: helloTimeoutMs,
      connectionsCheckingInterval: Math.max(50, Math.min(1000, Math.floor(helloTimeoutMs / 4))),
      keepAliveTimeout: 1,
      noDelay: true,
    });
    this.#server.maxHeadersCount = HEADERS_MAX;
    this.#server.maxRequestsPerSocket = 1;
    this.#server.maxConnections = connectionsMax + SPARE_SOCKETS;
    this.#server.on('request', (request, response) => this.#answer(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('clientError', (error, socket) => this.#malformed(error, socket));
    this.#server.on('drop', () => this.#complain(`more than ${connectionsMax} + ${SPARE_SOCKETS} sockets`));
  }

  get port(): number {
    assert(this.#bound !== null, 'a listener has a port once it is bound');
    return this.#bound.port;
  }

  get address(): string {
    assert(this.#bound !== null, 'a listener has an address once it is bound');
    return `${urlHost(this.#bound.address)}:${this.#bound.port}`;
  }

  async bind(): Promise<void> {
    const { host, port } = this.#options;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ host, port }, () => {
          this.#server.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      throw listenError(error, host, port);
    }
    this.#bound = this.#server.address() as AddressInfo;
    this.#loopback = isLoopback(this.#bound.address);
    // Such as EMFILE on accept: the listener lives on and takes the next one.
    this.#server.on('error', (error) => this.#complain(messageOf(error)));
  }

  refuse(retryAfterSeconds: number): void {
    this.#retryAfterSeconds = Math.max(0, Math.ceil(retryAfterSeconds));
  }

  accept(): void {
    this.#retryAfterSeconds = null;
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      // The callback of `close` waits for every connection, those of sessions included; the port is free sooner.
      this.#server.close();
      this.#server.closeAllConnections();
      this.#upgrades.close();
      setImmediate(resolve);
    });
    return this.#closed;
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    // An HTTP server's streams are net sockets; its type allows for others that an embedder could feed it.
    const socket = stream as Socket;
    socket.on('error', destroyOnError);
    const refusal = this.#refusalOf(request);
    if (refusal !== null) {
      refuse(socket, refusal);
      return;
    }
    socket.off('error', destroyOnError);
    this.#upgrades.handleUpgrade(request, socket, head, (webSocket) => this.#connect(webSocket, socket, request));
  }

  #refusalOf({ url = '/', headers }: IncomingMessage): Answer | null {
    const draining = this.#draining();
    if (draining !== null) return draining;
    // Some HTTP clients offer to upgrade to HTTP/2 on every request.
    if (headers.upgrade?.toLowerCase() !== 'websocket') return this.#notAnUpgrade(headers.host);
    const refusal = upgradeRefusal(
      { url, host: headers.host, origin: headers.origin, subprotocols: headers['sec-websocket-protocol'] },
      { path: this.#path, origins: this.#options.config.origins, loopback: this.#loopback },
    );
    if (refusal !== null) return refusal;
    const { connectionsMax } = this.#options.config;
    if (this.#connections < connectionsMax) return null;
    this.#complain(`${connectionsMax} connections are served, as many as may be`);
    return {
      status: 503,
      line: `TOO_MANY_CONNECTIONS: ${errorTable.TOO_MANY_CONNECTIONS.meaning}`,
      headers: { 'Retry-After': '1' },
    };
  }

  #connect(webSocket: WebSocket, socket: Socket, { headers }: IncomingMessage): void {
    this.#connections += 1;
    webSocket.once('close', () => {
      this.#connections -= 1;
    });
    const connection = new WebSocketConnection(webSocket, socket);
    try {
      this.#options.onConnection(connection, {
        origin: headers.origin,
        userAgent: headers['user-agent'],
        subprotocol: chosenSubprotocol(headers['sec-websocket-protocol']),
      });
    } catch (error) {
      this.#options.logger.error({ remote: connection.remote, error }, 'a connection could not be taken in');
      connection.close(errorTable.INTERNAL.closeCode ?? 1011, 'INTERNAL');
    }
  }

  /** Plain HTTP. The request's body, if it has one, is not read: the connection ends with the answer. */
  #answer({ headers }: IncomingMessage, response: ServerResponse): void {
    const answer = this.#draining() ?? this.#notAnUpgrade(headers.host);
    const body = `${answer.line}\n`;
    response.writeHead(answer.status, { ...bodyHeaders(body), Connection: 'close', ...answer.headers });
    response.end(body);
  }

  #draining(): Answer | null {
    if (this.#retryAfterSeconds === null) return null;
    return {
      status: 503,
      line: `DRAINING: The broker is shutting down. Come back in ${this.#retryAfterSeconds} s.`,
      headers: { 'Retry-After': String(this.#retryAfterSeconds) },
    };
  }

  #notAnUpgrade(host: string | undefined): Answer {
    const where = host !== undefined && /^[\w.:[\]-]{1,255}$/.test(host) ? host : this.address;
    return {
      status: 426,
      line: `This is Sluice, a message broker. Connect with a WebSocket: ws://${where}${this.#path} (${SUBPROTOCOL})`,
      headers: { Connection: 'Upgrade, close', Upgrade: 'websocket' },
    };
  }

  /** A request that does not parse, is too large or too slow. */
  #malformed(error: Error, socket: Duplex): void {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    refuse(socket as Socket, malformedAnswers[code ?? ''] ?? { status: 400, line: 'The request is not HTTP' });
  }

  #complain(reason: string): void {
    const now = this.#options.clock.monotonic();
    if (now - this.#complainedAt < COMPLAINT_MS) return;
    this.#complainedAt = now;
    this.#options.logger.warn({ reason, connections: this.#connections }, 'connections are refused');
  }
}

interface Answer extends Refusal {
  readonly headers?: Readonly<Record<string, string>>;
}

const malformedAnswers: Readonly<Record<string, Answer>> = {
  HPE_HEADER_OVERFLOW: { status: 431, line: `The headers are larger than ${HEADER_BYTES_MAX} bytes` },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, line: 'The request took too long' },
};

const phrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  426: 'Upgrade Required',
  431: 'Request Header Fields Too Large',
  503: 'Service Unavailable',
};

/** Answers on a socket that HTTP has let go of, and ends it. */
function refuse(socket: Socket, { status, line, headers }: Answer): void {
  const body = `${line}\n`;
  const all = { ...bodyHeaders(body), Connection: 'close', ...headers };
  const text = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${phrases[status] ?? ''}\r\n${text.join('')}\r\n${body}`);
}

function bodyHeaders(body: string): Record<string, string> {
  return { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': String(Buffer.byteLength(body)) };
}

function destroyOnError(this: Duplex): void {
  this.destroy();
}

/** A host as it stands in a URL. */
function urlHost(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}

function listenError(cause: unknown, host: string, port: number): BrokerError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  return new BrokerError('LISTEN_FAILED', listenFault(code, urlHost(host), port) ?? messageOf(cause), { cause });
}

function listenFault(code: string, host: string, port: number): string | null {
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} on ${host} is in use; choose another with --port`;
    case 'EACCES':
      return `port ${port} on ${host} is not open to this user; choose one from 1024 up with --port`;
    case 'EADDRNOTAVAIL':
      return `${host} is not an address of this machine; choose one that is with --host`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${host} does not resolve; choose an address of this machine with --host`;
    default:
      return null;
  }
}
