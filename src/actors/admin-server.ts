/**
 * The admin endpoint as HTTP: health, status, stop and drain, the console page and its WebSocket. Loopback by default;
 * calls that change something need POST, come from no foreign page (Host and Origin are checked) and carry the token
 * where one is set. It asks the broker through `AdminView` and knows nothing of how it works.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { AnyActorRef } from 'xstate';
import { BrokerError, messageOf, systemCodeOf } from '../errors.ts';
import type { InspectionHub } from '../inspection/hub.ts';
import { InspectSocket, viewerRefusal } from '../inspection/inspect-socket.ts';
import { pageFile, wantsPage } from '../inspection/page-files.ts';
import { foreignRequest, knowsToken, TOKEN_REQUIRED } from '../inspection/request-check.ts';
import type { Logger } from '../logger.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { LoopDelay } from './loop-delay.ts';

export interface AdminRequest {
  readonly mode?: string;
  readonly reason?: string;
  /** False: no broker comes back in its place. */
  readonly returning?: boolean;
}

/** What the endpoint shows and may ask for. */
export interface AdminView {
  /** The process can answer at all: always, until it is gone. */
  live(): boolean;
  /** Clients may be sent here; false from the signal on, for good. */
  ready(): boolean;
  /** Why it is not ready, or what is wrong though it is; for people. */
  readiness(): Readonly<Record<string, unknown>>;
  status(): Readonly<Record<string, unknown>>;
  shutdown(): object;
  /** The actor that all others are below; null before it is there, or where there is none. */
  supervisor?(): AnyActorRef | null;
  /** Prometheus text, version 0.0.4. */
  metrics(): Promise<string>;
  stop(request: AdminRequest): void;
  drain(request: AdminRequest): void;
  /** False when it is too late, or nothing drains. */
  cancelDrain(): boolean;
}

export interface AdminServerOptions {
  readonly host: string;
  readonly port: number;
  readonly token: string;
  readonly view: AdminView;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Measured while it listens. */
  readonly loopDelay: LoopDelay;
  /** What viewers at `/inspect` are shown; without it there is no such endpoint. */
  readonly hub?: InspectionHub;
}

/** Time between looks of a watcher, ms, and bytes that one may leave unread. */
const WATCH_MS = 100;
const WATCH_BUFFER_BYTES = 64 * 1024;
/** Largest body of a request, bytes. */
const BODY_BYTES_MAX = 16 * 1024;
const REQUEST_MS = 5000;
/** Longest that a client takes in what it was sent last. */
const CLOSE_MS = 200;
const CONNECTIONS_MAX = 256;

type Answer = readonly [status: number, body: object | string, contentType?: string];

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #watches = new Set<{ end(): void }>();
  readonly #inspect: InspectSocket | null;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#server = createServer(
      { maxHeaderSize: 8 * 1024, requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
      (request, response) => {
        this.#handle(request, response).catch((error: unknown) => this.#failed(response, error));
      },
    );
    const { hub, clock, logger } = options;
    const refusal = (request: IncomingMessage) => viewerRefusal(request, options);
    const failed = (err: unknown, during: string) => logger.warn({ err, during }, 'inspection failed');
    const inspect = hub === undefined ? null : new InspectSocket({ hub, clock, refusal, failed });
    this.#inspect = inspect;
    if (inspect !== null) this.#server.on('upgrade', (request, socket, head) => inspect.upgrade(request, socket, head));
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Binds. LISTEN_FAILED says why not. Resolves with the port. */
  async bind(): Promise<number> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(error, host, port)));
      this.#server.listen(port, host, resolve);
    });
    this.#options.loopDelay.start();
    return this.port ?? port;
  }

  /** Port as bound; null while not listening. */
  get port(): number | null {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : null;
  }

  /** Stops listening and ends what is open; resolves when the port is free. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    for (const watch of this.#watches) watch.end();
    const { clock, loopDelay } = this.#options;
    // The step that closes it is still under way: viewers see where it leads.
    await new Promise<void>((resolve) => clock.defer(resolve));
    this.#inspect?.close('the admin endpoint closes');
    loopDelay.stop();
    await new Promise<void>((resolve) => {
      // A watcher that does not read would hold the port.
      const cut = clock.setTimeout(() => {
        for (const socket of this.#sockets) socket.destroy();
      }, CLOSE_MS);
      this.#server.close(() => {
        clock.clearTimeout(cut);
        resolve();
      });
      this.#server.closeIdleConnections();
      for (const socket of this.#sockets) socket.destroySoon();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = request.url ?? '/';
    // Such as `//`, which names a host and gives none.
    if (!URL.canParse(target, 'http://admin')) return send(response, [400, { message: 'the target is no path' }]);
    const url = new URL(target, 'http://admin');
    // Probes need no token, and are nobody's page.
    if (url.pathname !== '/livez' && url.pathname !== '/readyz') {
      const foreign = foreignRequest(request, this.#options.host);
      if (foreign !== null) return send(response, [403, { message: foreign }]);
      if (await this.#page(request, response, url.pathname)) return;
      if (!knowsToken(request.headers.authorization, this.#options.token)) {
        return send(response, [401, { message: TOKEN_REQUIRED }]);
      }
    }
    if (request.method === 'GET' && url.pathname === '/shutdown' && url.searchParams.has('watch')) {
      return this.#watch(response);
    }
    if (request.method === 'GET' || request.method === 'HEAD') return send(response, await this.#get(url.pathname));
    if (request.method === 'POST') return send(response, this.#post(url.pathname, await bodyOf(request)));
    return send(response, [405, { message: `${request.method} is not known here; GET to look, POST to act` }]);
  }

  #get(path: string): Answer | Promise<Answer> {
    const { view } = this.#options;
    switch (path) {
      case '/livez':
        return view.live() ? [200, 'ok\n'] : [503, 'not alive\n'];
      case '/readyz':
        return [view.ready() ? 200 : 503, view.readiness()];
      case '/status':
        return [200, view.status()];
      case '/shutdown':
        return [200, view.shutdown()];
      case '/metrics':
        return view.metrics().then((text): Answer => [200, text, METRICS_TYPE]);
      case '/':
        return [200, indexText];
      case '/stop':
      case '/drain':
      case '/drain/cancel':
        return [405, { message: `${path} changes something: POST it` }];
      default:
        return [404, { message: `there is nothing at ${path.slice(0, 100)}` }];
    }
  }

  /** The shutdown as it goes, as server-sent events: one whenever it has changed, until the endpoint closes. */
  #watch(response: ServerResponse): void {
    const { view, clock } = this.#options;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    let told = '';
    let timer: TimerHandle | null = null;
    const look = (): void => {
      const now = JSON.stringify(view.shutdown());
      // A watcher that does not read is not sent more: it gets the newest when it does.
      if (now !== told && response.writableLength < WATCH_BUFFER_BYTES) {
        told = now;
        response.write(`data: ${now}\n\n`);
      }
      timer = clock.setTimeout(look, WATCH_MS);
    };
    const watch = {
      end: () => {
        if (timer !== null) clock.clearTimeout(timer);
        this.#watches.delete(watch);
        response.end(`data: ${JSON.stringify(view.shutdown())}\n\n`);
      },
    };
    this.#watches.add(watch);
    response.on('close', () => watch.end());
    look();
  }

  #post(path: string, body: AdminRequest): Answer {
    const { view } = this.#options;
    switch (path) {
      case '/stop':
        view.stop(body);
        return [202, view.shutdown()];
      case '/drain':
        view.drain(body);
        return [202, view.shutdown()];
      case '/drain/cancel':
        if (view.cancelDrain()) return [202, view.shutdown()];
        return [409, { message: 'there is no drain to cancel, or the flush has begun' }];
      default:
        return [404, { message: `there is nothing to POST at ${path.slice(0, 100)}` }];
    }
  }

  /** The console page, which holds no secret and asks for the token itself; false for what is none of its files. */
  async #page(request: IncomingMessage, response: ServerResponse, path: string): Promise<boolean> {
    const { method, headers } = request;
    if ((method !== 'GET' && method !== 'HEAD') || (path === '/' && !wantsPage(headers.accept))) return false;
    const { port } = this.#options.view.status();
    // It publishes and follows topics through the port of the clients, on the host that it came from.
    const sockets = typeof port === 'number' ? [`ws://${new URL(`http://${headers.host}`).hostname}:${port}`] : [];
    const file = await pageFile(path, sockets);
    if (file === null) return false;
    response.writeHead(file.status, { ...file.headers, 'content-length': Buffer.byteLength(file.body) });
    response.end(file.body);
    return true;
  }

  #failed(response: ServerResponse, error: unknown): void {
    if (error instanceof BrokerError && error.code === 'BAD_REQUEST') {
      send(response, [400, { code: error.code, message: error.message }]);
      return;
    }
    if (systemCodeOf(error) === 'ECONNRESET') {
      this.#options.logger.debug({ err: error }, 'an admin request broke off');
      return;
    }
    this.#options.logger.error({ err: error }, 'an admin request failed');
    send(response, [500, { code: 'INTERNAL', message: messageOf(error) }]);
  }
}

const indexText = `Sluice admin endpoint

GET  /livez          200 while the process answers
GET  /readyz         200 while clients may be sent here
GET  /status         what the broker is doing
GET  /shutdown       how its shutdown goes; ?watch as an event stream
GET  /metrics        figures for Prometheus
GET  /               the console, in a browser; WebSocket /inspect is what it shows
POST /stop           shut down: {"mode":"graceful"|"fast"|"immediate","reason":"…","returning":false}
POST /drain          stop serving and stay; POST /drain/cancel serves again
`;

function send(response: ServerResponse, [status, body, contentType]: Answer): void {
  if (response.headersSent || response.destroyed) return;
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'content-type': contentType ?? (typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json'),
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(text);
}

async function bodyOf(request: IncomingMessage): Promise<AdminRequest> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new BrokerError('BAD_REQUEST', `a body has at most ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  if (bytes === 0) return {};
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString());
  } catch (error) {
    throw BrokerError.from(error, 'BAD_REQUEST', 'the body is not JSON');
  }
  return checkedRequest(body);
}

function checkedRequest(body: unknown): AdminRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BrokerError('BAD_REQUEST', 'the body is to be a JSON object');
  }
  const { mode, reason, returning } = body as Record<string, unknown>;
  if (mode !== undefined && mode !== 'graceful' && mode !== 'fast' && mode !== 'immediate') {
    throw new BrokerError(
      'BAD_REQUEST',
      `"mode" must be "graceful", "fast" or "immediate"; got ${JSON.stringify(mode)}`,
    );
  }
  if (reason !== undefined && (typeof reason !== 'string' || reason.length > 500)) {
    throw new BrokerError('BAD_REQUEST', '"reason" must be a string of at most 500 characters');
  }
  if (returning !== undefined && typeof returning !== 'boolean') {
    throw new BrokerError('BAD_REQUEST', `"returning" must be true or false; got ${JSON.stringify(returning)}`);
  }
  return {
    ...(mode === undefined ? {} : { mode }),
    ...(reason === undefined ? {} : { reason }),
    ...(returning === undefined ? {} : { returning }),
  };
}

function listenError(error: Error, host: string, port: number): BrokerError {
  const code = systemCodeOf(error);
  const why =
    code === 'EADDRINUSE'
      ? 'is in use; choose another with --admin-port'
      : `cannot be listened on: ${messageOf(error)}`;
  return new BrokerError('LISTEN_FAILED', `admin port ${port} on ${host} ${why}`, { cause: error });
}
