/**
 * The web server of a test page: its HTML, its script, what the test wants it to know, input files to fetch, and a place
 * to send files back to. On a free port of 127.0.0.1.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PageServerOptions {
  /** The page's module. */
  readonly script: string;
  /** Bytes of input file number n, when the page may have it. */
  readonly input: (index: number) => Promise<Buffer>;
}

export class PageServer {
  /** What the page gets at `/manifest`. */
  manifest: unknown = {};
  /** Files that the page sent: by what they are, then by number. */
  readonly sent = new Map<string, Map<number, Buffer>>();
  readonly #options: PageServerOptions;
  readonly #server: Server;

  private constructor(options: PageServerOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        response.writeHead(500).end(String(error));
      });
    });
  }

  static async start(options: PageServerOptions): Promise<PageServer> {
    const server = new PageServer(options);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, what = '', number = ''] = (request.url ?? '/').split('/');
    const send = (type: string, body: string | Buffer) => {
      response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
    };
    if (request.method === 'POST') {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      const files = this.sent.get(what) ?? new Map<number, Buffer>();
      this.sent.set(what, files.set(Number(number), Buffer.concat(chunks)));
      return send('text/plain', '');
    }
    switch (what) {
      case '':
        return send('text/html; charset=utf-8', '<!doctype html><script type="module" src="/page.js"></script>');
      case 'page.js':
        return send('text/javascript; charset=utf-8', this.#options.script);
      case 'manifest':
        return send('application/json', JSON.stringify(this.manifest));
      case 'files':
        return send('application/octet-stream', await this.#options.input(Number(number)));
      default:
        response.writeHead(404).end();
    }
  }
}
