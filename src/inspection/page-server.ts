/**
 * The console page on a port of its own, where no broker serves it: with a hub behind it (`inspect`), or a recording
 * (`sluice replay`). On loopback, or with a token; closed to pages of other origins. Keeps no process from ending.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIPv6, type Socket } from 'node:net';
import { BrokerError, messageOf, systemCodeOf } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { InspectionHub } from './hub.ts';
import { InspectSocket, viewerRefusal } from './inspect-socket.ts';
import { pageFile } from './page-files.ts';
import { foreignRequest, isLoopback, knowsToken, TOKEN_REQUIRED } from './request-check.ts';

/** Longest that a client takes in what it was sent last, ms, and longest request. */
const CLOSE_MS = 200;
const REQUEST_MS = 5000;
const CONNECTIONS_MAX = 256;

export interface PageServerOptions {
  readonly host: string;
  /** 0 for one that is free. */
  readonly port: number;
  /** Asked for where it is not empty; must be there where `host` is not this machine alone. */
  readonly token: string;
  readonly clock: Clock;
  /** What viewers see; null where there is no live source. */
  readonly hub: InspectionHub | null;
  /** Answers a path that is no file of the page, for those who may ask; false when it has no answer. */
  readonly answer: (path: string, response: ServerResponse) => Promise<boolean>;
  readonly failed: (error: unknown, what: string) => void;
}

export class PageServer {
  readonly #options: PageServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #inspect: InspectSocket | null;

  constructor(options: PageServerOptions) {
    this.#options = options;
    const { hub, clock, failed } = options;
    this.#server = createServer(
      { maxHeaderSize: 8 * 1024, requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
      (request, response) => {
        this.#handle(request, response).catch((error: unknown) => {
          failed(error, 'a request');
          if (!response.headersSent) plain(response, 500, messageOf(error));
          else response.destroy();
        });
      },
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.unref();
    this.#server.on('connection', (socket) => {
      socket.unref();
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    const refusal = (request: IncomingMessage) => viewerRefusal(request, options);
    const inspect = hub === null ? null : new InspectSocket({ hub, clock, refusal, failed });
    this.#inspect = inspect;
    if (inspect !== null) this.#server.on('upgrade', (request, socket, head) => inspect.upgrade(request, socket, head));
  }

  /** Binds; resolves with the address of the page. BAD_REQUEST without a token where one is needed; LISTEN_FAILED. */
  async listen(): Promise<string> {
    const { host, port, token } = this.#options;
    if (token === '' && !isLoopback(host)) {
      throw new BrokerError('BAD_REQUEST', `${host} is open to others: give a token, or bind to 127.0.0.1`);
    }
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(error, host, port)));
      this.#server.listen(port, host, resolve);
    });
    const address = this.#server.address();
    const bound = typeof address === 'object' && address !== null ? address.port : port;
    return `http://${isIPv6(host) ? `[${host}]` : host}:${bound}/`;
  }

  /** Tells viewers the end, and resolves when the port is free. */
  async close(reason: string): Promise<void> {
    this.#inspect?.close(reason);
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      const cut = this.#options.clock.setTimeout(() => {
        for (const socket of this.#sockets) socket.destroy();
      }, CLOSE_MS);
      this.#server.close(() => {
        this.#options.clock.clearTimeout(cut);
        resolve();
      });
      for (const socket of this.#sockets) socket.destroySoon();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const foreign = foreignRequest(request, this.#options.host);
    if (foreign !== null) return plain(response, 403, foreign);
    if (request.method !== 'GET' && request.method !== 'HEAD') return plain(response, 405, 'GET is all there is here');
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const file = await pageFile(path);
    if (file !== null) {
      response.writeHead(file.status, { ...file.headers, 'content-length': Buffer.byteLength(file.body) });
      response.end(file.body);
      return;
    }
    if (!knowsToken(request.headers.authorization, this.#options.token)) return plain(response, 401, TOKEN_REQUIRED);
    if (!(await this.#options.answer(path, response))) plain(response, 404, 'there is nothing here');
  }
}

function plain(response: ServerResponse, status: number, line: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(`${line}\n`);
}

function listenError(cause: Error, host: string, port: number): BrokerError {
  const why = systemCodeOf(cause) === 'EADDRINUSE' ? 'is in use' : `can't be listened on: ${messageOf(cause)}`;
  return new BrokerError('LISTEN_FAILED', `port ${port} on ${host} ${why}`, { cause });
}
