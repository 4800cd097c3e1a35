/** A WebSocket listener on a real port for its tests, with `ws` as a client and raw TCP for what no client would say. */
import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { listen } from '../../src/actors/websocket-listener.ts';
import { defaults } from '../../src/config.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { Connection, ConnectionRequest, Listener, ListenOptions } from '../../src/ports/connection.ts';
import { RecordingLogger } from '../../src/testing/recording-logger.ts';

type Happening =
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'binary'; readonly bytes: Uint8Array }
  | { readonly is: 'pong' | 'drained' }
  | { readonly is: 'closed'; readonly code: number; readonly reason: string };

export class Served {
  readonly connection: Connection;
  readonly request: ConnectionRequest;
  readonly happenings: Happening[] = [];
  #wake: (() => void)[] = [];

  constructor(connection: Connection, request: ConnectionRequest) {
    this.connection = connection;
    this.request = request;
    connection.events = {
      text: (text) => this.#note({ is: 'text', text }),
      binary: (bytes) => this.#note({ is: 'binary', bytes }),
      pong: () => this.#note({ is: 'pong' }),
      drained: () => this.#note({ is: 'drained' }),
      closed: (code, reason) => this.#note({ is: 'closed', code, reason }),
    };
  }

  count(is: Happening['is']): number {
    return this.happenings.filter((one) => one.is === is).length;
  }

  /** The first happening of a kind, now or later. */
  async next<Is extends Happening['is']>(is: Is, skip = 0): Promise<Extract<Happening, { is: Is }>> {
    for (;;) {
      const found = this.happenings.filter((one) => one.is === is)[skip];
      if (found !== undefined) return found as Extract<Happening, { is: Is }>;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  #note(happening: Happening): void {
    this.happenings.push(happening);
    for (const wake of this.#wake.splice(0)) wake();
  }
}

export class Bench {
  readonly logger = new RecordingLogger();
  readonly served: Served[] = [];
  readonly sockets: Socket[] = [];
  readonly clients: WebSocket[] = [];
  listener: Listener | null = null;
  #wake: (() => void)[] = [];

  async listen(config: Partial<ListenOptions['config']> = {}, over: Partial<ListenOptions> = {}): Promise<Listener> {
    this.listener = await listen({
      host: '127.0.0.1',
      port: 0,
      config: { ...defaults, ...config },
      clock: systemClock,
      logger: this.logger,
      onConnection: (connection, request) => {
        this.served.push(new Served(connection, request));
        for (const wake of this.#wake.splice(0)) wake();
      },
      ...over,
    });
    return this.listener;
  }

  get port(): number {
    return this.listener?.port ?? 0;
  }

  async connection(index = 0): Promise<Served> {
    for (;;) {
      const found = this.served[index];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  client(options: ClientOptions = {}, path = '/v1', protocols: string[] = []): WebSocket {
    const client = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, protocols, options);
    client.on('error', () => undefined);
    this.clients.push(client);
    return client;
  }

  async open(options: ClientOptions = {}): Promise<{ client: WebSocket; served: Served }> {
    const index = this.served.length;
    const client = this.client(options);
    await once(client, 'open');
    return { client, served: await this.connection(index) };
  }

  /** The answer that an upgrade got instead of a connection. */
  async refused(options: ClientOptions = {}, path = '/v1', protocols: string[] = []): Promise<Answer> {
    const client = this.client(options, path, protocols);
    return await new Promise((resolve, reject) => {
      client.on('open', () => reject(new Error('the upgrade was not refused')));
      client.on('unexpected-response', (_request, response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      });
    });
  }

  async tcp(): Promise<Socket> {
    const socket = connectTcp(this.port, '127.0.0.1');
    socket.on('error', () => undefined);
    this.sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  }

  /** A raw socket behind its upgrade. */
  async rawClient(): Promise<{ socket: Socket; served: Served }> {
    const index = this.served.length;
    const socket = await this.tcp();
    socket.write(upgradeText());
    await once(socket, 'data');
    return { socket, served: await this.connection(index) };
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.terminate();
    for (const socket of this.sockets) socket.destroy();
    for (const { connection } of this.served) connection.terminate();
    await this.listener?.close();
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const benches: Bench[] = [];
export function bench(): Bench {
  const made = new Bench();
  benches.push(made);
  return made;
}
afterEach(async () => {
  await Promise.all(benches.splice(0).map((one) => one.close()));
});

export function upgradeText(lines: readonly string[] = []): string {
  const head = ['GET /v1 HTTP/1.1', 'Host: 127.0.0.1', 'Connection: Upgrade', 'Upgrade: websocket'];
  const key = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
  return `${[...head, ...key, ...lines].join('\r\n')}\r\n\r\n`;
}

export async function http(
  port: number,
  over: { method?: string; headers?: Record<string, string>; body?: string } = {},
) {
  return await new Promise<Answer>((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', path: '/', ...over }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    request.on('error', reject);
    request.end(over.body);
  });
}

/** A masked client frame; the mask is zero, so the payload stands as it is. */
export function frame(firstByte: number, payload: Uint8Array | string, declared?: number): Buffer {
  const body = Buffer.from(payload);
  const length = declared ?? body.length;
  const head = length < 126 ? [firstByte, 0x80 | length] : [firstByte, 0x80 | 126, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), body]);
}

export async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  await once(socket, 'close');
  return text;
}

/** Resolves once `condition` holds; looks at it each turn of the loop. The test's own time limit bounds it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
