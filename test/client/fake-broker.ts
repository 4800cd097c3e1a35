/**
 * A broker in memory, as far as the wire goes: topics, partitions, producers' sequences, subscriptions with credit,
 * goaway. It answers by itself unless a test takes a step over, and it judges clients: a sequence that runs backwards,
 * more records than credit allows, or a frame before hello is kept in `complaints`, which every test wants empty.
 */
import {
  batchCount,
  batchFault,
  DELIVERED_HEADER_BYTES,
  decodeBatch,
  writeDeliveredHeader,
} from '../../src/domain/record-batch.ts';
import type { FakeClock } from './fake-clock.ts';
import type { FakeSocket } from './fake-socket.ts';

// biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes, read by field.
export type Message = Record<string, any>;

export interface StoredRecord {
  readonly key: string | null;
  readonly value: string | null;
  readonly sequence: number;
  readonly producer: string;
}

interface StoredBatch {
  readonly base: number;
  readonly count: number;
  readonly epoch: number;
  readonly bytes: Uint8Array;
}

export class FakePartition {
  readonly records: StoredRecord[] = [];
  readonly batches: StoredBatch[] = [];
  /** First sequence → first offset and count, by producer. */
  readonly windows = new Map<string, { last: number; first: Map<number, number> }>();
  epoch = 1;
  start = 0;

  get end(): number {
    return this.records.length;
  }
}

interface FakeSubscription {
  readonly id: number;
  readonly topic: string;
  readonly group: string | undefined;
  readonly next: Map<number, number>;
  /** Gaps to be told before the next delivery. */
  readonly gaps: Message[];
  credit: number;
}

export interface Session {
  readonly socket: FakeSocket;
  producer: string;
  welcomed: boolean;
  readonly subscriptions: Map<number, FakeSubscription>;
  /** Refused first sequence by topic/partition: those above it are refused too until it comes again. */
  readonly refused: Map<string, number>;
}

export interface Refusal {
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
}

const limits = {
  frameBytes: 1024 * 1024,
  inFlightBytes: 8 * 1024 * 1024,
  inFlightPublishes: 1024,
  subscriptions: 256,
  topics: 1000,
  keyBytes: 4096,
};
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export class FakeBroker {
  readonly clock: FakeClock;
  readonly topics = new Map<string, FakePartition[]>();
  readonly committed = new Map<string, number>();
  readonly sessions = new Set<Session>();
  /** Every command with its session's number, in order of arrival. */
  readonly log: Message[] = [];
  readonly complaints: string[] = [];
  limits = { ...limits };
  partitions = 4;
  /** Time of one way on the wire, ms. */
  latencyMs = 1;
  /** Null: no token asked for. */
  token: string | null = null;
  /** False: an upgrade fails. */
  reachable = true;
  /** Connections that were there before hear nothing and say nothing, and do not end. */
  readonly deaf = new Set<Session>();
  /** Welcomes say so. */
  draining = false;
  dials = 0;
  /** Decides on a command before the broker does; null lets it pass. */
  refuse: (command: Message, session: Session) => Refusal | null = () => null;
  /** Told of each publish that was stored; true keeps the ack from being sent. */
  withholdAck: (command: Message, session: Session) => boolean = () => false;
  #lastSubscription = 0;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  /** The only session there is. */
  get session(): Session {
    const [session, ...others] = this.sessions;
    if (session === undefined || others.length > 0) throw new Error(`${this.sessions.size} sessions`);
    return session;
  }

  topic(name: string, partitions = this.partitions): FakePartition[] {
    let found = this.topics.get(name);
    if (found === undefined) {
      found = Array.from({ length: partitions }, () => new FakePartition());
      this.topics.set(name, found);
    }
    return found;
  }

  commands(op: string): Message[] {
    return this.log.filter((command) => command['op'] === op);
  }

  /** Values stored on a partition, in order. */
  values(topic: string, partition: number): (string | null)[] {
    return (this.topics.get(topic)?.[partition]?.records ?? []).map((record) => record.value);
  }

  // --- sockets

  opened(socket: FakeSocket): Session {
    const session: Session = {
      socket,
      producer: '',
      welcomed: false,
      subscriptions: new Map(),
      refused: new Map(),
    };
    this.sessions.add(session);
    socket.deliver(JSON.stringify(this.#welcome(undefined)));
    return session;
  }

  gone(session: Session): void {
    this.sessions.delete(session);
  }

  /** Ends every connection, as seen by both sides at once. */
  cut(code = 1006, reason = ''): void {
    for (const session of [...this.sessions]) session.socket.cut(code, reason);
  }

  goaway(fields: Message): void {
    for (const { socket } of this.sessions)
      socket.deliver(JSON.stringify({ op: 'goaway', reason: 'shutdown', ...fields }));
  }

  /** Every connection that stands is dead from now on, and neither side is told. */
  deafen(): void {
    for (const session of this.sessions) this.deaf.add(session);
    this.sessions.clear();
  }

  receive(session: Session, data: string | Uint8Array): void {
    if (this.deaf.has(session)) return;
    const binary = typeof data !== 'string';
    let body = new Uint8Array(0);
    let json = data as string;
    if (binary) {
      const length = new DataView(data.buffer, data.byteOffset).getUint32(0);
      json = decoder.decode(data.subarray(4, 4 + length));
      body = data.slice(4 + length);
      if (data.length > this.limits.frameBytes) this.complaints.push(`a frame of ${data.length} bytes`);
    }
    const command = JSON.parse(json) as Message;
    this.log.push({ ...command, at: this.clock.monotonic() });
    if (!session.welcomed && command['op'] !== 'hello') this.complaints.push(`${command['op']} before hello`);
    const refusal = this.#chainRefusal(command, session) ?? this.refuse(command, session);
    if (refusal !== null) {
      if (command['op'] === 'publish') this.#noteRefusal(command, session, refusal);
      this.reply(session, { op: 'error', message: refusal.code, ...refusal }, command, binary);
      return;
    }
    const answer = this.#answer(session, command, body);
    if (answer !== null) this.reply(session, answer, command, binary);
    this.pump(session);
  }

  reply(session: Session, reply: Message, command: Message, binary: boolean): void {
    const message =
      command['id'] === undefined || reply['acks'] !== undefined ? reply : { ...reply, id: command['id'] };
    session.socket.deliver(binary ? frameOf(message) : JSON.stringify(message));
  }

  #welcome(id: unknown): Message {
    return {
      op: 'welcome',
      id,
      session: 's',
      protocol: 1,
      broker: 'fake',
      limits: this.limits,
      draining: this.draining,
    };
  }

  // --- commands

  #answer(session: Session, command: Message, body: Uint8Array): Message | null {
    const topic = command['topic'] as string;
    switch (command['op']) {
      case 'hello':
        return this.#hello(session, command);
      case 'ping':
        return { op: 'pong' };
      case 'describe':
        if (!this.topics.has(topic) && command['create'] !== true) return unknownTopic;
        return { op: 'described', topic, partitions: this.topic(topic).length, state: [] };
      case 'create':
        return { op: 'created', topic, partitions: this.topic(topic, command['partitions']).length };
      case 'delete':
        return this.topics.delete(topic) ? { op: 'deleted', topic } : unknownTopic;
      case 'topics':
        return { op: 'topics', topics: [...this.topics.keys()].map((name) => ({ topic: name })) };
      case 'producer':
        return { op: 'producer', topic, producer: session.producer, partitions: this.#sequences(session, topic) };
      case 'publish':
        return this.#publish(session, command, body);
      case 'subscribe':
        return this.#subscribe(session, command);
      case 'unsubscribe':
        session.subscriptions.delete(command['subscription']);
        return { op: 'unsubscribed', subscription: command['subscription'] };
      case 'credit': {
        const subscription = session.subscriptions.get(command['subscription']);
        if (subscription !== undefined) subscription.credit += command['records'];
        return null;
      }
      case 'commit':
        return this.#commit(session, command);
      default:
        return { op: 'error', code: 'UNKNOWN_OP', retryable: false, message: command['op'] };
    }
  }

  #hello(session: Session, command: Message): Message | null {
    if (this.token !== null && command['token'] !== this.token) {
      this.reply(session, { op: 'error', code: 'UNAUTHENTICATED', retryable: false, message: 'no' }, command, false);
      session.socket.close(4000, 'UNAUTHENTICATED');
      return null;
    }
    session.producer = command['producer'];
    session.welcomed = true;
    for (const other of [...this.sessions]) {
      if (other !== session && other.producer === session.producer) other.socket.cut(4001, 'PRODUCER_TAKEN');
    }
    return this.#welcome(command['id']);
  }

  #sequences(session: Session, topic: string): Message[] {
    return this.topic(topic).flatMap((partition, index) => {
      const window = partition.windows.get(session.producer);
      return window === undefined ? [] : [{ partition: index, sequence: window.last }];
    });
  }

  /** The broker's rule: behind a refused sequence the later ones are refused, until it comes again. */
  #chainRefusal(command: Message, session: Session): Refusal | null {
    if (command['op'] !== 'publish') return null;
    const key = `${command['topic']}/${command['partition']}`;
    const refused = session.refused.get(key);
    if (refused === undefined) return null;
    if (command['sequence'] > refused) return { code: 'SHARD_FAILED', retryable: true };
    session.refused.delete(key);
    return null;
  }

  #noteRefusal(command: Message, session: Session, refusal: Refusal): void {
    const key = `${command['topic']}/${command['partition']}`;
    if (refusal.retryable && !session.refused.has(key)) session.refused.set(key, command['sequence']);
  }

  #publish(session: Session, command: Message, body: Uint8Array): Message | null {
    const { id, topic, partition: number, sequence } = command;
    const fault = batchFault(body);
    if (fault !== null) this.complaints.push(fault);
    const partition = this.topic(topic)[number];
    if (partition === undefined) return { op: 'error', code: 'UNKNOWN_PARTITION', retryable: false, message: 'none' };
    let window = partition.windows.get(session.producer);
    if (window === undefined) {
      window = { last: -1, first: new Map() };
      partition.windows.set(session.producer, window);
    }
    const count = batchCount(body);
    if (sequence <= window.last) {
      const offset = window.first.get(sequence);
      if (offset !== undefined) return { op: 'published', acks: [[id, number, partition.epoch, offset, count, 1]] };
      this.complaints.push(`sequence ${sequence} behind ${window.last} on ${topic}/${number}`);
      return { op: 'error', code: 'SEQUENCE_OUT_OF_ORDER', retryable: false, message: 'stale' };
    }
    const offset = this.#store(partition, session.producer, sequence, body);
    window.first.set(sequence, offset);
    window.last = sequence + count - 1;
    for (const other of this.sessions) this.pump(other);
    if (this.withholdAck(command, session)) return null;
    return { op: 'published', acks: [[id, number, partition.epoch, offset, count]] };
  }

  #store(partition: FakePartition, producer: string, sequence: number, body: Uint8Array): number {
    const base = partition.end;
    let at = sequence;
    for (const { key, value } of decodeBatch(body)) {
      partition.records.push({
        key: key === null ? null : decoder.decode(key),
        value: value === null ? null : decoder.decode(value),
        sequence: at,
        producer,
      });
      at += 1;
    }
    partition.batches.push({ base, count: at - sequence, epoch: partition.epoch, bytes: body });
    return base;
  }

  // --- consumers

  #subscribe(session: Session, command: Message): Message {
    const { topic, credit, group } = command;
    const from = command['from'] ?? (group === undefined ? 'latest' : 'committed');
    if (!this.topics.has(topic)) return unknownTopic;
    this.#lastSubscription += 1;
    const subscription: FakeSubscription = {
      id: this.#lastSubscription,
      topic,
      group,
      next: new Map(),
      gaps: [],
      credit,
    };
    const partitions = this.topic(topic).map((partition, index) => {
      const given = (command['positions'] as Message[] | undefined)?.find(
        (position) => position['partition'] === index,
      );
      let offset = partition.end;
      if (given !== undefined) offset = given['offset'];
      else if (from === 'earliest') offset = 0;
      else if (from === 'committed') offset = this.committed.get(`${topic}/${index}/${group}`) ?? 0;
      else if (typeof from === 'object') offset = from['offset'];
      if (offset < partition.start) {
        subscription.gaps.push(gap(subscription.id, index, 'retention', offset, partition.start, partition));
        offset = partition.start;
      }
      subscription.next.set(index, offset);
      return { partition: index, epoch: partition.epoch, offset, highWatermark: partition.end };
    });
    session.subscriptions.set(subscription.id, subscription);
    return { op: 'subscribed', topic, subscription: subscription.id, partitions };
  }

  #commit(session: Session, command: Message): Message {
    const subscription = session.subscriptions.get(command['subscription']);
    if (subscription === undefined) {
      return { op: 'error', code: 'UNKNOWN_SUBSCRIPTION', retryable: false, message: 'none' };
    }
    if (subscription.group === undefined)
      return { op: 'error', code: 'BAD_REQUEST', retryable: false, message: 'no group' };
    const key = `${subscription.topic}/${command['partition']}/${subscription.group}`;
    const offset = Math.max(this.committed.get(key) ?? 0, command['offset']);
    this.committed.set(key, offset);
    return { op: 'committed', partition: command['partition'], offset };
  }

  /** Delivers what subscriptions have credit for, one batch at a time. */
  pump(session: Session): void {
    for (const subscription of session.subscriptions.values()) {
      for (const message of subscription.gaps.splice(0)) session.socket.deliver(frameOf(message));
      for (let more = true; more; ) {
        more = false;
        for (const [index, offset] of subscription.next) {
          const partition = this.topic(subscription.topic)[index];
          const batch = partition?.batches.find(({ base, count }) => base <= offset && offset < base + count);
          if (partition === undefined || batch === undefined || subscription.credit <= 0) continue;
          subscription.credit -= batch.base + batch.count - offset;
          subscription.next.set(index, batch.base + batch.count);
          const header = {
            op: 'records',
            subscription: subscription.id,
            partition: index,
            epoch: batch.epoch,
            highWatermark: partition.end,
          };
          session.socket.deliver(frameOf(header, delivered(batch)));
          more = true;
        }
      }
    }
  }

  /** Stores one batch as another producer would. */
  append(topic: string, partition: number, values: readonly string[], batch: Uint8Array): void {
    const found = this.topic(topic)[partition];
    if (found === undefined) throw new Error('no such partition');
    if (batchCount(batch) !== values.length) throw new Error('the batch holds another number of records');
    this.#store(found, 'other', found.end, batch);
    for (const session of this.sessions) this.pump(session);
  }
}

const unknownTopic = { op: 'error', code: 'UNKNOWN_TOPIC', retryable: false, message: 'no such topic' };

function gap(subscription: number, partition: number, reason: string, from: number, to: number, at: FakePartition) {
  return { op: 'gap', subscription, partition, reason, from, to, epoch: at.epoch, offset: to };
}

function delivered({ base, epoch, bytes }: StoredBatch): Uint8Array {
  const out = new Uint8Array(DELIVERED_HEADER_BYTES + bytes.length);
  writeDeliveredHeader(new DataView(out.buffer), 0, { baseOffset: base, time: 1_000, epoch, bytes: bytes.length });
  out.set(bytes, DELIVERED_HEADER_BYTES);
  return out;
}

export function frameOf(header: Message, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = encoder.encode(JSON.stringify(header));
  const frame = new Uint8Array(4 + json.length + body.length);
  new DataView(frame.buffer).setUint32(0, json.length);
  frame.set(json, 4);
  frame.set(body, 4 + json.length);
  return frame;
}
