/** A client that speaks the wire protocol frame by frame, over the network in memory. */
import { encodeBatch, type RecordInput, readDeliveredBatches } from '../../src/domain/record-batch.ts';
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.ts';
import type { MemoryClient } from '../../src/testing/memory-sockets.ts';
import { turns } from './rig.ts';

/** A reply as it came. */
export interface Heard {
  readonly kind: 'text' | 'binary';
  // biome-ignore lint/suspicious/noExplicitAny: what the broker said, looked at field by field
  readonly reply: any;
  readonly body: Uint8Array;
}

export class WireClient {
  readonly socket: MemoryClient;
  #seen = 0;
  #ids = 0;

  constructor(socket: MemoryClient) {
    this.socket = socket;
  }

  /** Everything received, in order. */
  get all(): Heard[] {
    return this.socket.frames.map((frame) => {
      if (typeof frame === 'string') return { kind: 'text', reply: JSON.parse(frame), body: new Uint8Array() };
      const { header, body } = decodeFrame(frame);
      return { kind: 'binary', reply: header, body };
    });
  }

  /** What came since the last look, once everything has run that needs no time. */
  async heard(): Promise<Heard['reply'][]> {
    await turns();
    const news = this.all.slice(this.#seen);
    this.#seen += news.length;
    return news.map(({ reply }) => reply);
  }

  /** Every reply of one op so far. */
  of(op: string): Heard['reply'][] {
    return this.all.filter(({ reply }) => reply.op === op).map(({ reply }) => reply);
  }

  /** Values of all records delivered as text on a subscription so far, by partition. */
  delivered(subscription = 1): Map<number, unknown[]> {
    const values = new Map<number, unknown[]>();
    for (const reply of this.of('records')) {
      if (reply.subscription !== subscription) continue;
      const known = values.get(reply.partition) ?? [];
      known.push(...reply.records.map((record: { value: unknown }) => record.value));
      values.set(reply.partition, known);
    }
    return values;
  }

  /** Batches delivered as binary so far. */
  get batches(): { readonly partition: number; readonly baseOffset: number; readonly batch: Uint8Array }[] {
    return this.all.flatMap(({ kind, reply, body }) =>
      kind === 'binary' && reply.op === 'records'
        ? [...readDeliveredBatches(body)].map(({ baseOffset, batch }) => ({
            partition: reply.partition as number,
            baseOffset,
            batch,
          }))
        : [],
    );
  }

  send(command: Readonly<Record<string, unknown>>): void {
    this.socket.sendJson(command);
  }

  sendBinary(header: Readonly<Record<string, unknown>>, body: Uint8Array = new Uint8Array()): void {
    this.socket.sendBinary(Buffer.concat(encodeFrame(JSON.stringify(header), [body])));
  }

  /** Sends a command with an id of its own; the reply that carries it, or undefined when there is none yet. */
  async ask(command: Readonly<Record<string, unknown>>): Promise<Heard['reply']> {
    this.#ids += 1;
    const id = `ask-${this.#ids}`;
    this.send({ id, ...command });
    await turns();
    return this.replyTo((command['id'] as string | undefined) ?? id);
  }

  replyTo(id: string | number): Heard['reply'] {
    return this.all.find(({ reply }) => reply.id === id)?.reply;
  }

  /** Publishes values one after another, each a batch of its own. */
  async publishAll(topic: string, partition: number, values: readonly unknown[]): Promise<void> {
    for (const value of values) await this.ask({ op: 'publish', topic, partition, value });
  }

  /** High watermarks of a topic's partitions: how many records each holds. */
  async counts(topic: string): Promise<number[]> {
    const { state } = await this.ask({ op: 'describe', topic });
    return state.map(({ highWatermark }: { highWatermark: number }) => highWatermark);
  }

  hello(producer: string): Promise<Heard['reply']> {
    return this.ask({ op: 'hello', producer });
  }

  /** Makes a topic of one partition, unless told otherwise. */
  create(topic: string, settings: Readonly<Record<string, unknown>> = {}): Promise<Heard['reply']> {
    return this.ask({ op: 'create', topic, partitions: 1, ...settings });
  }
}

/** A batch of JSON values without keys. */
export function batchOf(...values: readonly unknown[]): Uint8Array {
  const records = values.map(
    (value): RecordInput => ({ key: null, headers: null, value: Buffer.from(JSON.stringify(value)), encoding: 'json' }),
  );
  return encodeBatch(records);
}

/** `count` whole numbers from `from` on. */
export function upTo(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}
