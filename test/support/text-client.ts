/** A client that speaks JSON frames and keeps what it is told: what a stranger would write, and nothing of ours. */
import { once } from 'node:events';
import WebSocket from 'ws';

export type Frame = Record<string, unknown>;

export class TextClient {
  readonly frames: Frame[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #socket: WebSocket;
  #waiters: { matches: (frame: Frame) => boolean; resolve: (frame: Frame) => void }[] = [];

  private constructor(url: string) {
    this.#socket = new WebSocket(url);
    this.#socket.on('message', (data) => this.#take(JSON.parse(String(data)) as Frame));
    this.#socket.on('error', () => {});
    this.closed = once(this.#socket, 'close').then(([code, reason]) => ({
      code: code as number,
      reason: String(reason),
    }));
  }

  static async open(url: string): Promise<TextClient> {
    const client = new TextClient(url);
    await client.frame((frame) => frame['op'] === 'welcome');
    return client;
  }

  send(frame: Frame): void {
    this.#socket.send(JSON.stringify(frame));
  }

  /** Sends a command and waits for the frame with its id. */
  async ask(frame: Frame & { readonly id: number }): Promise<Frame> {
    this.send(frame);
    return this.frame((reply) => reply['id'] === frame.id);
  }

  /** The first frame, come already or still to come, that matches. */
  frame(matches: (frame: Frame) => boolean): Promise<Frame> {
    const found = this.frames.find(matches);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve) => this.#waiters.push({ matches, resolve }));
  }

  /** Stops reading: what a stuck client does. */
  stall(): void {
    this.#socket.pause();
  }

  end(): void {
    this.#socket.terminate();
  }

  #take(frame: Frame): void {
    this.frames.push(frame);
    for (const waiter of this.#waiters.filter(({ matches }) => matches(frame))) {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.resolve(frame);
    }
  }
}
