/** A producer and a consumer that use the client library, as an application would: it comes back by itself. */
import WebSocket from 'ws';
import { type Client, connect, SluiceError } from '../../../src/client/index.ts';
import {
  LOOK_MS,
  type Load,
  type LoadOptions,
  type LoadReport,
  liveness,
  numberedValue,
  PARTITIONS,
  type Placed,
  WINDOW,
} from './load.ts';

/** Longest pause before it tries again. */
const BACKOFF_MS = 500;

export class LibraryLoad implements Load {
  readonly #options: LoadOptions;
  readonly #client: Client;
  readonly #sent: string[] = [];
  readonly #acked: Placed[] = [];
  readonly #refused: [string, string][] = [];
  readonly #given: Placed[] = [];
  readonly #answers = new Map<string, number>();
  readonly #next = new Map<number, number>();
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  readonly #reading: Promise<void>;
  #gaps = 0;
  #welcomes = 0;
  connectedSince = 0;

  static async begin(options: LoadOptions): Promise<LibraryLoad> {
    const client = await connect(options.url, {
      WebSocket,
      producer: `library-${options.name}`,
      backoff: { minMs: 50, maxMs: BACKOFF_MS },
      liveness,
    });
    await client.createTopic(options.topic, { partitions: PARTITIONS });
    return new LibraryLoad(options, client);
  }

  private constructor(options: LoadOptions, client: Client) {
    this.#options = options;
    this.#client = client;
    this.connectedSince = Date.now();
    client.on('state', (state) => {
      if (state === 'ready') this.#welcomes += 1;
      this.connectedSince = state === 'ready' ? Date.now() : 0;
    });
    client.on('gap', () => {
      this.#gaps += 1;
    });
    this.#reading = this.#read();
    this.#timer = setInterval(() => this.#publish(), Math.max(1, 1000 / options.perSecond));
  }

  #publish(): void {
    if (this.#client.outstanding >= WINDOW) return;
    const number = this.#sent.length;
    const value = numberedValue(this.#options.name, number, this.#options.bytes);
    this.#sent.push(value);
    const publishing = this.#client.publish(this.#options.topic, { value, partition: number % PARTITIONS }).then(
      ({ partition, offset }) => {
        this.#acked.push({ partition, offset, value });
        this.#answered(value);
      },
      (error: unknown) => {
        this.#refused.push([value, error instanceof SluiceError ? error.code : String(error)]);
        this.#answered(value);
      },
    );
    this.#pending.add(publishing);
    void publishing.then(() => this.#pending.delete(publishing));
  }

  #answered(value: string): void {
    this.#answers.set(value, (this.#answers.get(value) ?? 0) + 1);
  }

  async #read(): Promise<void> {
    for await (const record of this.#client.subscribe<string>(this.#options.topic, { from: 'earliest' })) {
      const { partition, offset, value } = record;
      this.#given.push({ partition, offset, value: value as string });
      this.#next.set(partition, offset + 1);
    }
  }

  async finish(): Promise<LoadReport> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    const { state } = await this.#client.describe(this.#options.topic);
    const behind = (): boolean =>
      state.some(({ partition, highWatermark }) => (this.#next.get(partition) ?? 0) < highWatermark);
    while (behind()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    await this.#client.close();
    await this.#reading;
    return {
      topic: this.#options.topic,
      encoding: 'utf8',
      sent: this.#sent,
      acked: this.#acked,
      refused: this.#refused,
      answeredTwice: [...this.#answers].filter(([, times]) => times > 1).map(([value]) => value),
      given: this.#given,
      gaps: this.#gaps,
      reconnects: this.#welcomes,
    };
  }
}
