/**
 * A broker in memory for tests of the command: topics, publishes with their sequences, subscriptions up to credit,
 * commits, and what is scripted: refusals, held acks, lost connections, gaps. Speaks by a class like WebSocket.
 */
import { decodeFrame, encodeHeader } from '../../src/client/frame.ts';
import type { WebSocketConstructor } from '../../src/client/index.ts';
import {
  batchCount,
  DELIVERED_HEADER_BYTES,
  decodeBatch,
  encodeBatch,
  type RecordView,
  writeDeliveredHeader,
} from '../../src/domain/record-batch.ts';

interface Command {
  readonly op: string;
  readonly id?: number | string;
  readonly topic: string;
  readonly [field: string]: unknown;
}

interface Stored {
  readonly record: RecordView;
  readonly producer: string;
  readonly sequence: number;
}

interface Standing {
  readonly socket: FakeSocket;
  readonly id: number;
  readonly topic: string;
  readonly next: Map<number, number>;
  credit: number;
}

export class FakeBroker {
  readonly topics = new Map<string, Stored[][]>();
  readonly committed = new Map<string, number>();
  readonly connections: FakeSocket[] = [];
  /** Answers a publish with this code instead of storing it. */
  refuse: (record: RecordView) => string | null = () => null;
  /** Stores, and keeps the ack until `releaseAcks`. */
  holdAcks = false;
  /** Answers no connection at all. */
  dead = false;
  frameBytes = 1_048_576;
  /** First offset held; subscriptions before it get a gap. */
  logStart = 0;
  #held: (() => void)[] = [];
  #standing: Standing[] = [];
  #subscriptions = 0;

  get WebSocket(): WebSocketConstructor {
    const broker = this;
    return class extends FakeSocket {
      constructor() {
        super(broker);
      }
    };
  }

  /** Values of a partition as text. */
  values(topic: string, partition: number): string[] {
    return (this.topics.get(topic)?.[partition] ?? []).map(({ record }) => String(Buffer.from(record.value ?? [])));
  }

  seed(topic: string, partitions: readonly (readonly string[])[]): void {
    const encode = new TextEncoder();
    const stored = partitions.map((values) =>
      values.map((value, sequence) => {
        const batch = encodeBatch([{ key: null, headers: null, value: encode.encode(value), encoding: 'utf8' }]);
        return { record: [...decodeBatch(batch)][0] as RecordView, producer: 'seed', sequence };
      }),
    );
    this.topics.set(topic, stored);
  }

  releaseAcks(): void {
    this.holdAcks = false;
    for (const release of this.#held.splice(0)) release();
  }

  cut(): void {
    for (const socket of this.connections.splice(0)) socket.end(1006);
  }

  answer(socket: FakeSocket, command: Command, body: Uint8Array): void {
    const { op, id, topic } = command;
    const reply = (fields: object): void => socket.receive(JSON.stringify({ id, ...fields }));
    const partitions = this.topics.get(topic);
    const error = (code: string): void => reply({ op: 'error', code, retryable: false, message: `scripted ${code}` });
    switch (op) {
      case 'hello':
        socket.producer = String(command['producer']);
        reply(this.#welcome());
        break;
      case 'create':
        this.#create(command, reply, error);
        break;
      case 'topics':
        reply({ op: 'topics', topics: [...this.topics.keys()].map((name) => this.#topic(name)) });
        break;
      case 'delete':
        if (this.topics.delete(topic)) reply({ op: 'deleted', topic });
        else error('UNKNOWN_TOPIC');
        break;
      case 'describe':
        if (partitions === undefined && command['create'] === true) this.topics.set(topic, [[], [], [], []]);
        if (!this.topics.has(topic)) error('UNKNOWN_TOPIC');
        else reply({ op: 'described', ...this.#topic(topic), state: this.#state(topic) });
        break;
      case 'producer':
        reply({ op: 'producer', topic, producer: socket.producer, partitions: this.#sequences(topic, socket) });
        break;
      case 'publish':
        this.#publish(socket, command, body);
        break;
      case 'subscribe':
        if (partitions === undefined) error('UNKNOWN_TOPIC');
        else this.#subscribe(socket, command);
        break;
      case 'credit':
        for (const standing of this.#standing) {
          if (standing.id === command['subscription']) standing.credit += Number(command['records']);
        }
        this.#deliver();
        break;
      case 'commit':
        this.committed.set(`${command['partition']}`, Number(command['offset']));
        reply({ op: 'committed', partition: command['partition'], offset: command['offset'] });
        break;
      case 'unsubscribe':
        this.#standing = this.#standing.filter((standing) => standing.id !== command['subscription']);
        reply({ op: 'unsubscribed', subscription: command['subscription'] });
        break;
    }
  }

  #welcome() {
    const limits = {
      frameBytes: this.frameBytes,
      inFlightBytes: 8_388_608,
      inFlightPublishes: 1024,
      subscriptions: 256,
      topics: 1000,
      keyBytes: 4096,
    };
    return { op: 'welcome', session: 's', protocol: 1, broker: 'fake', limits, draining: false };
  }

  #topic(topic: string) {
    const partitions = this.topics.get(topic)?.length ?? 0;
    return { topic, partitions, durability: 'sync', retention: { ms: null, bytes: 1_073_741_824 } };
  }

  #state(topic: string) {
    return (this.topics.get(topic) ?? []).map((records, partition) => ({
      partition,
      epoch: 1,
      start: this.logStart,
      highWatermark: records.length,
    }));
  }

  #create(command: Command, reply: (fields: object) => void, error: (code: string) => void): void {
    const partitions = Number(command['partitions'] ?? 4);
    const known = this.topics.get(command.topic);
    if (known !== undefined && known.length !== partitions) {
      error('TOPIC_EXISTS');
      return;
    }
    if (known === undefined)
      this.topics.set(
        command.topic,
        Array.from({ length: partitions }, () => []),
      );
    reply({ op: 'created', ...this.#topic(command.topic) });
  }

  #sequences(topic: string, socket: FakeSocket) {
    return (this.topics.get(topic) ?? []).flatMap((records, partition) => {
      const own = records.filter(({ producer }) => producer === socket.producer);
      return own.length === 0 ? [] : [{ partition, sequence: own[own.length - 1]?.sequence }];
    });
  }

  #publish(socket: FakeSocket, command: Command, batch: Uint8Array): void {
    const partition = Number(command['partition']);
    const stored = this.topics.get(command.topic)?.[partition];
    const code =
      stored === undefined ? 'UNKNOWN_PARTITION' : ([...decodeBatch(batch)].map(this.refuse).find((c) => c) ?? null);
    if (stored === undefined || code !== null) {
      const message = `scripted ${code}`;
      socket.receive(JSON.stringify({ op: 'error', id: command.id, code, retryable: false, message }));
      return;
    }
    const first = Number(command['sequence']);
    const before = stored.findIndex(({ producer, sequence }) => producer === socket.producer && sequence === first);
    const offset = before >= 0 ? before : stored.length;
    if (before < 0) {
      for (const record of decodeBatch(batch.slice())) {
        stored.push({ record, producer: socket.producer, sequence: first + record.index });
      }
    }
    const row = [command.id, partition, 1, offset, batchCount(batch), ...(before >= 0 ? [1] : [])];
    const ack = (): void => socket.receive(encodeHeader({ op: 'published', acks: [row] }));
    if (this.holdAcks) this.#held.push(ack);
    else ack();
    this.#deliver();
  }

  #subscribe(socket: FakeSocket, command: Command): void {
    const { from, positions } = command as { from?: unknown; positions?: { partition: number; offset: number }[] };
    const asked = command['partitions'] as readonly number[] | undefined;
    const next = new Map<number, number>();
    for (const { partition, start, highWatermark } of this.#state(command.topic)) {
      if (asked !== undefined && !asked.includes(partition)) continue;
      const committed = this.committed.get(`${partition}`) ?? start;
      const at =
        from === 'earliest' ? 0 : (from ?? command['group'] ?? 'latest') === 'latest' ? highWatermark : committed;
      next.set(partition, positions?.find((position) => position.partition === partition)?.offset ?? at);
    }
    this.#subscriptions += 1;
    const id = this.#subscriptions;
    const partitions = this.#state(command.topic)
      .filter(({ partition }) => next.has(partition))
      .map((state) => ({ ...state, offset: next.get(state.partition) }));
    socket.receive(
      encodeHeader({ op: 'subscribed', id: command.id, topic: command.topic, subscription: id, partitions }),
    );
    for (const [partition, offset] of next) {
      if (offset >= this.logStart) continue;
      const gap = { op: 'gap', subscription: id, partition, reason: 'retention', from: offset, to: this.logStart };
      socket.receive(JSON.stringify({ ...gap, epoch: 1, offset: this.logStart }));
      next.set(partition, this.logStart);
    }
    this.#standing.push({ socket, id, topic: command.topic, next, credit: Number(command['credit']) });
    this.#deliver();
  }

  /** A batch of up to three records at a time, while there is credit. */
  #deliver(): void {
    for (const standing of this.#standing) {
      for (const [partition, offset] of standing.next) {
        const records = this.topics.get(standing.topic)?.[partition] ?? [];
        let at = offset;
        while (at < records.length && standing.credit > 0) {
          const views = records.slice(at, at + 3).map(({ record }) => record);
          const batch = encodeBatch(views);
          const body = new Uint8Array(DELIVERED_HEADER_BYTES + batch.length);
          const view = new DataView(body.buffer);
          writeDeliveredHeader(view, 0, { baseOffset: at, time: 1000 + at, epoch: 1, bytes: batch.length });
          body.set(batch, DELIVERED_HEADER_BYTES);
          const header = {
            op: 'records',
            subscription: standing.id,
            partition,
            epoch: 1,
            highWatermark: records.length,
          };
          standing.socket.receive(new Uint8Array(Buffer.concat([encodeHeader(header), body])));
          at += views.length;
          standing.credit -= views.length;
        }
        standing.next.set(partition, at);
      }
    }
  }
}

export class FakeSocket {
  producer = '';
  binaryType = '';
  onopen: ((event: object) => void) | null = null;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null = null;
  onerror: ((event: { message: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly #broker: FakeBroker;
  #open = true;

  constructor(broker: FakeBroker) {
    this.#broker = broker;
    setImmediate(() => {
      if (broker.dead) {
        this.onerror?.({ message: 'connect ECONNREFUSED' });
        this.end(1006);
        return;
      }
      broker.connections.push(this);
      this.onopen?.({});
    });
  }

  /** From the client. */
  send(frame: string | Uint8Array): void {
    if (!this.#open) return;
    const { reply, body } = decodeFrame(typeof frame === 'string' ? frame : frame.slice());
    setImmediate(() => {
      if (this.#open) this.#broker.answer(this, reply as unknown as Command, body);
    });
  }

  /** From the broker. */
  receive(frame: string | Uint8Array<ArrayBuffer>): void {
    setImmediate(() => {
      if (!this.#open) return;
      this.onmessage?.({ data: typeof frame === 'string' ? frame : frame.slice().buffer });
    });
  }

  end(code: number): void {
    if (!this.#open) return;
    this.#open = false;
    setImmediate(() => this.onclose?.({ code, reason: '' }));
  }

  close(): void {
    this.end(1000);
  }
}
