/**
 * One WebSocket connection, command by command: what a client library would hide (every reply as it came, their order,
 * the close) is what process tests look at. Of a binary reply it keeps the header.
 */
import { once } from 'node:events';
import WebSocket from 'ws';

export type Reply = Readonly<Record<string, unknown>>;

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export class Wire {
  /** Everything that came, in order. */
  readonly replies: Reply[] = [];
  readonly closed: Promise<Closed>;
  readonly socket: WebSocket;
  #ids = 0;
  #waiters: { matches: (reply: Reply) => boolean; take: (reply: Reply) => void; fail: (error: Error) => void }[] = [];
  #listener: (reply: Reply) => void = () => {};
  #ended: Error | null = null;

  private constructor(url: string, headers: Readonly<Record<string, string>>) {
    this.socket = new WebSocket(url, { headers });
    this.socket.on('message', (data: Buffer, isBinary) => {
      const text = isBinary ? data.subarray(4, 4 + data.readUInt32BE(0)) : data;
      this.#take(JSON.parse(text.toString()) as Reply);
    });
    // A broker that is killed resets its connections; the close that follows tells.
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => {
        this.#ended = new Error(`the connection was closed with ${code} ${String(reason)}`);
        for (const { fail } of this.#waiters.splice(0)) fail(this.#ended);
        resolve({ code, reason: String(reason) });
      });
    });
  }

  /** Connects and waits for `welcome`. Rejects when the connection is closed before. */
  static async open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Wire> {
    const wire = new Wire(url, headers);
    await wire.reply(({ op }) => op === 'welcome');
    return wire;
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  onReply(listener: (reply: Reply) => void): void {
    this.#listener = listener;
  }

  /** Text goes as text, bytes as a binary frame, anything else as JSON. */
  send(frame: string | Buffer | object): void {
    this.socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));
  }

  /** Sends a command under an id of its own and resolves with its reply, an `error` included. */
  ask(command: object): Promise<Reply> {
    this.#ids += 1;
    const id = `ask-${this.#ids}`;
    const answer = this.reply((reply) => reply['id'] === id);
    this.send({ ...command, id });
    return answer;
  }

  /** The first reply, come already or still to come, that matches. Rejects when the connection ends before. */
  reply(matches: (reply: Reply) => boolean): Promise<Reply> {
    const found = this.replies.find(matches);
    if (found !== undefined) return Promise.resolve(found);
    if (this.#ended !== null) return Promise.reject(this.#ended);
    return new Promise((take, fail) => this.#waiters.push({ matches, take, fail }));
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }

  #take(reply: Reply): void {
    this.replies.push(reply);
    this.#listener(reply);
    const waiting = this.#waiters.filter(({ matches }) => matches(reply));
    this.#waiters = this.#waiters.filter((waiter) => !waiting.includes(waiter));
    for (const { take } of waiting) take(reply);
  }
}

/** The HTTP status of an upgrade that is refused, with its headers. */
export async function refusedUpgrade(
  url: string,
): Promise<{ status: number | undefined; headers: NodeJS.Dict<string | string[]> }> {
  const socket = new WebSocket(url);
  socket.on('error', () => {});
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    { statusCode?: number; headers: NodeJS.Dict<string | string[]>; resume(): void },
  ];
  response.resume();
  socket.terminate();
  return { status: response.statusCode, headers: response.headers };
}

export interface StoredRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key?: string;
  readonly value?: unknown;
}

/** Every record of a topic, from its first to the high watermark, in order for each partition. */
export async function recordsOf(url: string, topic: string): Promise<StoredRecord[]> {
  const wire = await Wire.open(url);
  const described = await wire.ask({ op: 'describe', topic });
  if (described['op'] !== 'described') throw new Error(`cannot describe ${topic}: ${JSON.stringify(described)}`);
  const state = described['state'] as { start: number; highWatermark: number }[];
  const due = state.reduce((sum, { start, highWatermark }) => sum + highWatermark - start, 0);
  const stored: StoredRecord[] = [];
  const all = new Promise<void>((done) => {
    if (due === 0) done();
    wire.onReply((reply) => {
      if (reply['op'] !== 'records') return;
      const partition = reply['partition'] as number;
      for (const record of reply['records'] as Omit<StoredRecord, 'partition'>[]) stored.push({ partition, ...record });
      if (stored.length >= due) done();
    });
  });
  await wire.ask({ op: 'subscribe', topic, from: 'earliest', credit: 1_000_000 });
  await all;
  await wire.close();
  return stored;
}
