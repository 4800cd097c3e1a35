/**
 * A client of the simulation that speaks the protocol by hand, from `docs/protocol.md`: it pipelines, sends again what
 * was refused or not answered from the first such publish on, in order, and can be rude. A second opinion beside the
 * client library, and the one whose every frame is in the history.
 */

import { encodeBatch } from '../../src/domain/record-batch.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { decodeFrame, encodeFrame } from '../../src/protocol/frame.ts';
import type { MemoryClient, MemoryFrame } from '../../src/testing/memory-sockets.ts';
import type { ClientHost } from './app-client.ts';
import { payloadOf } from './payload.ts';
import type { GarbageKind, PublishStep } from './plan.ts';

export interface WireClientOptions extends ClientHost {
  readonly name: string;
  readonly producer: string;
  readonly dial: () => MemoryClient;
}

/** A publish with a sequence, until it is stored or refused for good. */
interface Publish {
  readonly topic: string;
  readonly partition: number;
  readonly ids: readonly string[];
  readonly sequence: number;
  readonly batch: Uint8Array;
  state: 'waiting' | 'sent' | 'stored' | 'dropped';
  sends: number;
}

/** One sending of it, or of a text publish. */
interface Sending {
  readonly publish: Publish | null;
  readonly topic: string;
  readonly ids: readonly string[];
  readonly partition: number;
  readonly connection: number;
}

const RECONNECT_MS = 150;
const RETRY_MS = 200;
const REMEMBERED = 200;

type Reply = Readonly<Record<string, unknown>> & { readonly op?: string; readonly code?: string };

export class WireClient {
  readonly name: string;
  readonly #options: WireClientOptions;
  readonly #clock: Clock;
  #socket: MemoryClient | null = null;
  #connection = 0;
  #welcomed = false;
  /** What is not stored yet, by `topic/partition`, in order. */
  readonly #lanes = new Map<string, Publish[]>();
  /** Lanes whose first publish was refused: nothing goes out until it does again. */
  readonly #held = new Set<string>();
  readonly #sendings = new Map<number, Sending>();
  #stored: Publish[] = [];
  #sequence = 0;
  #closed = false;

  constructor(options: WireClientOptions) {
    this.name = options.name;
    this.#options = options;
    this.#clock = options.clock;
    this.#connect();
  }

  get waitsFor(): string {
    const waiting = [...this.#lanes.values()].flat().length;
    return waiting === 0 ? '' : `${this.name}: ${waiting} publishes not stored`;
  }

  get socket(): MemoryClient | null {
    return this.#socket;
  }

  publish({ topic, partition = 0, bytes, text }: PublishStep, ids: readonly string[]): void {
    if (text === true) {
      this.#publishText(topic, partition, ids, bytes);
      return;
    }
    const records = ids.map((id) => ({
      key: null,
      headers: null,
      value: Buffer.from(payloadOf(id, bytes)),
      encoding: 'utf8' as const,
    }));
    const { sequence, batch } = { sequence: this.#sequence, batch: encodeBatch(records) };
    this.#sequence += ids.length;
    const publish: Publish = { topic, partition, ids, sequence, batch, state: 'waiting', sends: 0 };
    const lane = `${topic}/${partition}`;
    this.#lanes.set(lane, [...(this.#lanes.get(lane) ?? []), publish]);
    if (this.#welcomed && !this.#held.has(lane)) this.#send(publish);
  }

  /** Sends a publish that is stored once more. */
  duplicate(back: number): void {
    const publish = this.#stored[this.#stored.length - 1 - (back % Math.max(1, this.#stored.length))];
    if (publish !== undefined && this.#welcomed) this.#send(publish);
  }

  garbage(kind: GarbageKind): void {
    const socket = this.#socket;
    if (socket === null || socket.state !== 'open') return;
    if (kind === 'short-header') socket.sendBinary(Uint8Array.of(0, 0, 4, 0, 123));
    else if (kind === 'bad-json') socket.sendText('{"op":');
    else if (kind === 'unknown-op') socket.sendText('{"op":"dance","id":"garbage"}');
    else if (kind === 'half-batch')
      this.#sendBinary(
        { op: 'publish', id: 'garbage', topic: 's0', partition: 0 },
        Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 9),
      );
    else socket.terminate();
  }

  pause(forMs: number): void {
    const socket = this.#socket;
    socket?.pauseReading();
    this.#clock.setTimeout(() => socket?.resumeReading(), forMs);
  }

  /** For good. */
  close(): void {
    this.#closed = true;
    this.#socket?.close();
  }

  #connect(): void {
    this.#connection += 1;
    this.#welcomed = false;
    const socket = this.#options.dial();
    const lane = this.#lane;
    this.#socket = socket;
    socket.events = {
      open: () => {
        this.#options.history.add({ e: 'connected', client: this.name, lane });
        socket.sendText(
          JSON.stringify({ op: 'hello', id: 'hello', client: this.name, producer: this.#options.producer }),
        );
      },
      frame: (frame) => this.#take(frame),
      close: (code) => this.#lost(lane, code),
    };
  }

  get #lane(): string {
    return `${this.name}#${this.#connection}`;
  }

  #lost(lane: string, code: number): void {
    this.#options.history.add({ e: 'disconnected', client: this.name, lane, code });
    if (lane !== this.#lane) return;
    this.#socket = null;
    this.#welcomed = false;
    this.#held.clear();
    if (!this.#closed) this.#clock.setTimeout(() => this.#connect(), RECONNECT_MS + this.#options.dice.int(0, 200));
  }

  #take(frame: MemoryFrame): void {
    const reply = (typeof frame === 'string' ? JSON.parse(frame) : decodeFrame(frame).header) as Reply;
    if (reply.op === 'welcome' && reply['id'] === 'hello') {
      this.#welcomed = true;
      for (const lane of this.#lanes.keys()) this.#sendLane(lane);
    } else if (reply.op === 'goaway') {
      const { stage } = reply as unknown as { readonly stage: string };
      this.#options.history.add({ e: 'goaway', client: this.name, lane: this.#lane, stage });
    } else if (reply.op === 'published') this.#takePublished(reply);
    else if (reply.op === 'error' && typeof reply['id'] === 'number') this.#refused(reply['id'], reply);
    else if (reply.op === 'error' && reply.code === 'INTERNAL') {
      this.#options.history.add({ e: 'defect', text: `${this.name} was told ${JSON.stringify(reply)}` });
    }
  }

  #takePublished(reply: Reply): void {
    const { acks, id, partition, epoch, offset, positions } = reply as unknown as {
      readonly acks?: readonly (readonly [number, number, number, number, number, number?])[];
      readonly id: number;
      readonly partition: number;
      readonly epoch: number;
      readonly offset: number;
      readonly positions?: readonly { readonly partition: number; readonly offset: number; readonly epoch: number }[];
    };
    for (const [sending, at, of, first, count, duplicate] of acks ?? []) {
      const places = Array.from({ length: count }, (_, index) => ({ partition: at, offset: first + index, epoch: of }));
      this.#wasStored(sending, places, duplicate === 1);
    }
    if (acks === undefined) this.#wasStored(id, positions ?? [{ partition, offset, epoch }], false);
  }

  #wasStored(
    number: number,
    at: readonly { readonly partition: number; readonly offset: number; readonly epoch: number }[],
    duplicate: boolean,
  ): void {
    const sending = this.#sendings.get(number);
    if (sending === undefined) {
      this.#options.history.add({ e: 'defect', text: `${this.name}: an answer to ${number}, which waits for none` });
      return;
    }
    this.#sendings.delete(number);
    const { topic, ids, publish } = sending;
    const places = at.map((place, index) => ({ id: ids[index] ?? '?', ...place }));
    this.#options.history.add({ e: 'stored', client: this.name, sending: number, topic, places, duplicate });
    if (publish === null || publish.state === 'stored') return;
    this.#done(publish, 'stored');
    this.#stored.push(publish);
    if (this.#stored.length > REMEMBERED) this.#stored = this.#stored.slice(REMEMBERED / 2);
  }

  #refused(number: number, reply: Reply): void {
    const sending = this.#sendings.get(number);
    if (sending === undefined) return;
    this.#sendings.delete(number);
    const { topic, publish } = sending;
    const code = reply.code ?? '?';
    this.#options.history.add({ e: 'refused', client: this.name, sending: number, topic, code });
    if (publish === null || publish.state === 'stored') return;
    if (reply['retryable'] !== true) {
      this.#done(publish, 'dropped');
      return;
    }
    const lane = laneOf(publish);
    publish.state = 'waiting';
    if (this.#held.has(lane)) return;
    this.#held.add(lane);
    const connection = this.#connection;
    const after = typeof reply['retryAfterMs'] === 'number' ? Math.min(reply['retryAfterMs'], 1000) : RETRY_MS;
    this.#clock.setTimeout(() => connection === this.#connection && this.#sendLane(lane), after + 1);
  }

  #done(publish: Publish, state: 'stored' | 'dropped'): void {
    publish.state = state;
    const lane = laneOf(publish);
    const left = (this.#lanes.get(lane) ?? []).filter((each) => each !== publish);
    if (left.length === 0) this.#lanes.delete(lane);
    else this.#lanes.set(lane, left);
  }

  /** Everything of the lane that is not stored, from the first on. */
  #sendLane(lane: string): void {
    this.#held.delete(lane);
    if (!this.#welcomed) return;
    for (const publish of this.#lanes.get(lane) ?? []) this.#send(publish);
  }

  #send(publish: Publish): void {
    const { topic, partition, ids, sequence, batch } = publish;
    if (this.#socket?.state !== 'open') return;
    const again = publish.sends > 0;
    publish.sends += 1;
    if (publish.state === 'waiting') publish.state = 'sent';
    const id = this.#noteSend({ publish, topic, ids, partition }, again, sequence);
    this.#sendBinary({ op: 'publish', id, topic, partition, sequence }, batch);
  }

  #publishText(topic: string, partition: number, ids: readonly string[], bytes: number): void {
    for (const each of ids) {
      if (this.#socket?.state !== 'open' || !this.#welcomed) return;
      const id = this.#noteSend({ publish: null, topic, ids: [each], partition }, false, null);
      const command = { op: 'publish', id, topic, partition, value: payloadOf(each, bytes), encoding: 'utf8' };
      this.#socket.sendText(JSON.stringify(command));
    }
  }

  #noteSend(sending: Omit<Sending, 'connection'>, again: boolean, sequence: number | null): number {
    const { history, number, producer } = this.#options;
    const { topic, ids, partition } = sending;
    const id = number();
    this.#sendings.set(id, { ...sending, connection: this.#connection });
    const who = { client: this.name, sending: id, topic, ids, partition, again, lane: this.#lane };
    history.add({ e: 'send', ...who, producer: sequence === null ? null : producer, sequence });
    return id;
  }

  #sendBinary(header: Readonly<Record<string, unknown>>, body: Uint8Array): void {
    this.#socket?.sendBinary(Buffer.concat(encodeFrame(JSON.stringify(header), [body])));
  }
}

function laneOf({ topic, partition }: Publish): string {
  return `${topic}/${partition}`;
}
