/**
 * A producer and a consumer by hand, from `docs/protocol.md` alone: it asks now and then whether the broker lives, gives
 * its connection up when nothing comes, comes back, and sends again what was not answered, in order, under the sequences
 * that it had.
 */
import WebSocket from 'ws';
import { LOOK_MS, type Load, type LoadOptions, type LoadReport, numberedValue, type Placed, WINDOW } from './load.ts';

const PING_MS = 500;
/** Silence after which a connection is given up; also the bound of an attempt. */
const SILENCE_MS = 3000;
const RETRY_MS = 100;

type Reply = Readonly<Record<string, unknown>>;

export class WireLoad implements Load {
  readonly #options: LoadOptions;
  readonly #sent: string[] = [];
  readonly #acked: Placed[] = [];
  readonly #refused: [string, string][] = [];
  readonly #answeredTwice: string[] = [];
  /** Numbers without an answer, in order. The number is the sequence, and the id. */
  readonly #waiting = new Set<number>();
  readonly #given: Placed[] = [];
  readonly #publishing: NodeJS.Timeout;
  readonly #pinging: NodeJS.Timeout;
  #socket: WebSocket | null = null;
  #heardAt = 0;
  #welcomes = 0;
  #closed = false;
  #described: ((highWatermark: number) => void) | null = null;
  connectedSince = 0;

  static async begin(options: LoadOptions): Promise<WireLoad> {
    const load = new WireLoad(options);
    while (load.connectedSince === 0) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    return load;
  }

  private constructor(options: LoadOptions) {
    this.#options = options;
    this.#publishing = setInterval(() => this.#publish(), Math.max(1, 1000 / options.perSecond));
    this.#pinging = setInterval(() => this.#ping(), PING_MS);
    this.#connect();
  }

  #connect(): void {
    const socket = new WebSocket(this.#options.url);
    this.#socket = socket;
    this.#heardAt = performance.now();
    const { topic, name } = this.#options;
    socket.on('open', () => {
      this.#say({ op: 'hello', id: 'hello', producer: `wire-${name}` });
      this.#say({ op: 'create', id: 'create', topic, partitions: 1 });
    });
    socket.on('message', (data) => this.#take(JSON.parse(String(data)) as Reply));
    socket.on('error', () => {});
    socket.on('close', () => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      this.connectedSince = 0;
      if (!this.#closed) setTimeout(() => this.#connect(), RETRY_MS);
    });
  }

  #say(command: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(command));
  }

  #ping(): void {
    if (performance.now() - this.#heardAt > SILENCE_MS) this.#socket?.terminate();
    else this.#say({ op: 'ping' });
  }

  #publish(): void {
    if (this.#waiting.size >= WINDOW || this.connectedSince === 0) return;
    const number = this.#sent.length;
    this.#sent.push(numberedValue(this.#options.name, number, this.#options.bytes));
    this.#waiting.add(number);
    this.#send(number);
  }

  #send(number: number): void {
    const { topic } = this.#options;
    this.#say({ op: 'publish', id: number, topic, partition: 0, sequence: number, value: this.#sent[number] });
  }

  #take(reply: Reply): void {
    this.#heardAt = performance.now();
    const { op, id } = reply;
    if (op === 'created') this.#ready();
    else if (op === 'records') this.#takeRecords(reply);
    else if (op === 'described')
      this.#described?.((reply['state'] as { highWatermark: number }[])[0]?.highWatermark ?? 0);
    else if (typeof id === 'number') this.#answered(id, reply);
  }

  #ready(): void {
    const { topic } = this.#options;
    this.#welcomes += 1;
    this.connectedSince = Date.now();
    const from = { offset: this.#given.length };
    this.#say({ op: 'subscribe', id: 'subscribe', topic, from, credit: 1_000_000 });
    for (const number of this.#waiting) this.#send(number);
    if (this.#described !== null) this.#describe();
  }

  #answered(number: number, reply: Reply): void {
    const value = this.#sent[number] ?? '';
    if (!this.#waiting.delete(number)) this.#answeredTwice.push(value);
    else if (reply['op'] === 'published') this.#acked.push({ partition: 0, offset: reply['offset'] as number, value });
    else this.#refused.push([value, String(reply['code'])]);
  }

  #takeRecords(reply: Reply): void {
    for (const { offset, value } of reply['records'] as { offset: number; value: string }[])
      this.#given.push({ partition: 0, offset, value });
  }

  #describe(): void {
    this.#say({ op: 'describe', id: 'describe', topic: this.#options.topic });
  }

  async finish(): Promise<LoadReport> {
    clearInterval(this.#publishing);
    const look = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    while (this.#waiting.size > 0) await look();
    const highWatermark = await new Promise<number>((resolve) => {
      this.#described = resolve;
      this.#describe();
    });
    while (this.#given.length < highWatermark) await look();
    clearInterval(this.#pinging);
    this.#closed = true;
    this.#socket?.terminate();
    return {
      topic: this.#options.topic,
      encoding: 'json',
      sent: this.#sent,
      acked: this.#acked,
      refused: this.#refused,
      answeredTwice: this.#answeredTwice,
      given: this.#given,
      gaps: 0,
      reconnects: this.#welcomes - 1,
    };
  }
}
