/**
 * Serves the built page as a broker does, under the same strict policy for content, with a simulated source behind
 * `/inspect`; or a recording, as `sluice replay` does. On a free port of 127.0.0.1.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, resolve } from 'node:path';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Batch, inspectProtocol, tokenProtocolPrefix, type ViewerMessage } from '../../src/inspection/frames.ts';
import type { SimulatedSource } from './simulated-source.ts';

export const consoleFolder = resolve(import.meta.dirname, '../../dist/console');

/** The page is a client of the broker, too, at the port of that. */
const policyOf = (clientPort: number): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `connect-src 'self' ws://127.0.0.1:${clientPort}`,
    "img-src 'self' data:",
    "font-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export interface ConsoleServerOptions {
  readonly source: SimulatedSource | null;
  /** Served at `/recording.jsonl`. */
  readonly recording?: string;
  readonly token?: string;
  readonly port?: number;
}

export class ConsoleServer {
  source: SimulatedSource | null;
  /** POSTs that came: path and body. */
  readonly calls: { readonly path: string; readonly body: unknown }[] = [];
  /** What viewers said. */
  readonly said: ViewerMessage[] = [];
  readonly #options: ConsoleServerOptions;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, handleProtocols: () => inspectProtocol });
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: ConsoleServerOptions) {
    this.#options = options;
    this.source = options.source;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
    });
    this.#server.on('upgrade', (request, socket, head) => {
      if (this.source === null || !this.#admits(request)) {
        socket.destroy();
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (viewer) => this.#welcome(viewer));
    });
  }

  static async start(options: ConsoleServerOptions): Promise<ConsoleServer> {
    const server = new ConsoleServer(options);
    server.#server.listen(options.port ?? 0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Runs the source by the wall clock, to its end. */
  run(): void {
    this.#timer ??= setInterval(() => this.advance(50), 50);
  }

  halt(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Runs the source for so many ms of its own time at once. */
  advance(ms: number): void {
    for (let done = 0; done < ms && this.source !== null; done += 50) {
      if (this.source.ended) {
        this.halt();
        return;
      }
      this.send(this.source.step());
    }
  }

  send(batch: Batch): void {
    const text = JSON.stringify(batch);
    for (const viewer of this.#sockets.clients) viewer.send(text);
  }

  /** The source goes as a broker does: its last frame, then the port. */
  async close(): Promise<void> {
    this.halt();
    for (const viewer of this.#sockets.clients) viewer.close();
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, 'close');
    for (const viewer of this.#sockets.clients) viewer.terminate();
  }

  #welcome(viewer: WebSocket): void {
    if (this.source === null) return;
    viewer.send(JSON.stringify(this.source.greeting()));
    viewer.on('message', (data) => {
      const message = JSON.parse(String(data)) as ViewerMessage;
      this.said.push(message);
      if (this.source === null) return;
      if (message.type === 'context') viewer.send(JSON.stringify(this.source.context(message.id)));
      if (message.type === 'send') viewer.send(JSON.stringify(this.source.notice('this build sends no events')));
    });
  }

  #admits(request: IncomingMessage): boolean {
    const { token } = this.#options;
    if (token === undefined) return true;
    const given = tokenProtocolPrefix + Buffer.from(token).toString('base64url');
    return (request.headers['sec-websocket-protocol'] ?? '').split(/, */).includes(given);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://console').pathname;
    if (request.method === 'POST') return this.#act(path, request, response);
    if (path === '/status') {
      const { token } = this.#options;
      const refused = token !== undefined && request.headers.authorization !== `Bearer ${token}`;
      response.writeHead(refused ? 401 : this.source === null ? 404 : 200).end('{}');
      return;
    }
    if (path === '/recording.jsonl' && this.#options.recording !== undefined) {
      response.writeHead(200, { 'content-type': 'application/jsonl' }).end(this.#options.recording);
      return;
    }
    const name = path === '/' ? 'index.html' : path.slice(1);
    const body = /^[\w./-]+$/.test(name) && !name.includes('..') ? await read(name) : null;
    if (body === null) {
      response.writeHead(404).end();
      return;
    }
    const type = types[extname(name)] ?? 'application/octet-stream';
    response.writeHead(200, {
      'content-type': type,
      'content-security-policy': policyOf(this.source?.options.clientPort ?? 7070),
      'x-content-type-options': 'nosniff',
    });
    response.end(body);
  }

  async #act(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    this.calls.push({ path, body: JSON.parse(Buffer.concat(chunks).toString() || '{}') });
    if (path === '/drain') this.source?.drain();
    else if (path === '/drain/cancel') this.source?.cancelDrain();
    else if (path === '/stop') this.source?.stop();
    response.writeHead(202, { 'content-type': 'application/json' }).end('{}');
  }
}

async function read(name: string): Promise<Buffer | null> {
  try {
    return await readFile(resolve(consoleFolder, name));
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EISDIR')) return null;
    throw error;
  }
}
