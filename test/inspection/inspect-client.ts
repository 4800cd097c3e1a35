/** A viewer over the network: connects to `/inspect`, keeps every frame. */
import { WebSocket } from 'ws';
import { type Batch, type Frame, inspectProtocol, tokenProtocolPrefix } from '../../src/inspection/frames.ts';

export interface InspectOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Offered as a browser has to: among the subprotocols. */
  readonly token?: string;
  readonly path?: string;
}

type FrameOf<T extends Frame['type']> = Extract<Frame, { readonly type: T }>;

export class InspectClient {
  readonly batches: Batch[] = [];
  readonly frames: Frame[] = [];
  readonly socket: WebSocket;
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
  #waiting: (() => void)[] = [];

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data) => {
      const batch = JSON.parse(String(data)) as Batch;
      this.batches.push(batch);
      this.frames.push(...batch.frames);
      for (const look of this.#waiting.splice(0)) look();
    });
    this.closed = new Promise((resolve) => socket.on('close', resolve));
  }

  /** Rejects with the status of the answer where the upgrade is refused. */
  static async connect(
    port: number,
    { headers = {}, token, path = '/inspect' }: InspectOptions = {},
  ): Promise<InspectClient> {
    const offered = token === undefined ? [] : [`${tokenProtocolPrefix}${Buffer.from(token).toString('base64url')}`];
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, [inspectProtocol, ...offered], { headers });
    const client = new InspectClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('unexpected-response', (request, response) => {
        reject(new Error(`refused with ${response.statusCode}`));
        request.destroy();
      });
      socket.once('error', reject);
    });
    return client;
  }

  of<T extends Frame['type']>(type: T): FrameOf<T>[] {
    return this.frames.filter((frame): frame is FrameOf<T> => frame.type === type);
  }

  /** Resolves once `found` finds something; rejects after `ms`. */
  async until<T>(found: (client: this) => T | undefined | false, ms = 10_000): Promise<T> {
    const deadline = Date.now() + ms;
    for (;;) {
      const value = found(this);
      if (value !== undefined && value !== false) return value;
      const left = deadline - Date.now();
      if (left <= 0)
        throw new Error(
          `not seen within ${ms} ms; last frames: ${JSON.stringify(this.frames.slice(-5)).slice(0, 2000)}`,
        );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }

  /** States that an actor of this name was told to be in, in their order, the first name of each. */
  statesOf(name: string): string[] {
    const id = this.of('actor').find((actor) => actor.name === name)?.id;
    const values = this.frames.flatMap((frame) => {
      if (frame.type !== 'actor' && frame.type !== 'step' && frame.type !== 'state') return [];
      if (frame.id !== id || frame.value === null) return [];
      return [typeof frame.value === 'string' ? frame.value : (Object.keys(frame.value)[0] ?? '')];
    });
    return values.filter((value, index) => value !== values[index - 1]);
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }
}
