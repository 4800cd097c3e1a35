/**
 * Notes in the history what a broker hears and says on one connection, in the very order in which it does: what lies
 * between the broker and its socket, and knows nothing of sessions. Of commands and replies it notes what the checkers
 * of deliveries need, by `docs/protocol.md`.
 */
import { BATCH_HEADER_BYTES, batchCount, readDeliveredBatches } from '../../src/domain/record-batch.ts';
import type { Connection, ConnectionEvents } from '../../src/ports/connection.ts';
import { decodeFrame } from '../../src/protocol/frame.ts';
import type { Heard, Said } from './history.ts';

type Message = Readonly<Record<string, unknown>>;

/** Of a subscription that does not say, by `docs/protocol.md`. */
const CREDIT_DEFAULT = 1000;

export interface TapNotes {
  heard(what: Heard): unknown;
  said(what: Said): unknown;
  /** The broker closes the connection, or cuts it: nothing said afterwards is heard by anybody. */
  closing(code: number | null): unknown;
  /** It is gone. */
  gone(): unknown;
}

export class WireTap implements Connection {
  readonly #connection: Connection;
  readonly #notes: TapNotes;
  #events: ConnectionEvents;

  constructor(connection: Connection, notes: TapNotes) {
    this.#connection = connection;
    this.#notes = notes;
    this.#events = connection.events;
  }

  get remote(): string {
    return this.#connection.remote;
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes;
  }

  get events(): ConnectionEvents {
    return this.#events;
  }

  set events(events: ConnectionEvents) {
    this.#events = events;
    this.#connection.events = {
      text: (text) => {
        this.#hear(parsed(text), null);
        events.text(text);
      },
      binary: (bytes) => {
        const frame = decoded(bytes);
        if (frame !== null) this.#hear(frame.header, frame.body);
        events.binary(bytes);
      },
      pong: () => events.pong(),
      drained: () => events.drained(),
      closed: (code, reason) => {
        this.#notes.gone();
        events.closed(code, reason);
      },
    };
  }

  sendText(text: string): void {
    this.#say(parsed(text), null);
    this.#connection.sendText(text);
  }

  sendBinary(parts: readonly Uint8Array[]): void {
    const frame = decoded(Buffer.concat(parts));
    if (frame !== null) this.#say(frame.header, frame.body);
    this.#connection.sendBinary(parts);
  }

  ping(): void {
    this.#connection.ping();
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }

  close(code: number, reason: string): void {
    this.#notes.closing(code);
    this.#connection.close(code, reason);
  }

  terminate(): void {
    this.#notes.closing(null);
    this.#connection.terminate();
  }

  #hear(command: Message | null, body: Uint8Array | null): void {
    const heard = command === null ? null : heardOf(command, body);
    if (heard !== null) this.#notes.heard(heard);
  }

  #say(reply: Message | null, body: Uint8Array | null): void {
    if (reply !== null) this.#notes.said(saidOf(reply, body));
  }
}

/** Null for what is no command. */
function parsed(text: string): Message | null {
  try {
    return JSON.parse(text) as Message;
  } catch {
    return null;
  }
}

function decoded(bytes: Uint8Array): { readonly header: Message; readonly body: Uint8Array } | null {
  try {
    return decodeFrame(bytes);
  } catch {
    return null;
  }
}

function heardOf(command: Message, body: Uint8Array | null): Heard | null {
  const { op, id, topic, partition, sequence, group, credit, subscription, records } = command;
  if (op === 'subscribe') {
    return {
      op,
      id: id as number,
      topic: topic as string,
      group: (group as string | undefined) ?? null,
      credit: (credit as number | undefined) ?? CREDIT_DEFAULT,
    };
  }
  if (op === 'credit') return { op, subscription: subscription as number, records: records as number };
  if (op === 'publish' && typeof sequence === 'number' && typeof partition === 'number' && body !== null) {
    // What is no batch is refused, and never stored.
    const count = body.length < BATCH_HEADER_BYTES ? 0 : batchCount(body);
    return { op, id: id as number, topic: topic as string, partition, sequence, count };
  }
  return null;
}

function saidOf(reply: Message, body: Uint8Array | null): Said {
  const { op, id, subscription, partition, epoch } = reply;
  switch (op) {
    case 'subscribed':
      return {
        op,
        id: id as number,
        subscription: subscription as number,
        positions: (reply['partitions'] as { partition: number; offset: number }[]).map((at) => ({
          partition: at.partition,
          offset: at.offset,
        })),
      };
    case 'records':
      return {
        op,
        subscription: subscription as number,
        partition: partition as number,
        epoch: epoch as number,
        batches: batchesOf(reply, body),
        redeliveredBefore: (reply['redeliveredBefore'] as number | undefined) ?? null,
      };
    case 'gap':
      return {
        op,
        subscription: subscription as number,
        partition: partition as number,
        offset: reply['offset'] as number,
      };
    case 'goaway':
      return {
        op,
        stage: reply['stage'] as string,
        lastAccepted: (reply['lastAccepted'] as { topic: string; partition: number; sequence: number }[]) ?? [],
      };
    case 'published': {
      const acks = reply['acks'] as readonly (readonly [number, ...number[]])[] | undefined;
      return { op, ids: acks === undefined ? [id as number] : acks.map(([each]) => each) };
    }
    default:
      return { op: 'other', name: String(op), id: (id as number | string | undefined) ?? null };
  }
}

/** First offset and count of each batch. */
function batchesOf(reply: Message, body: Uint8Array | null): (readonly [number, number])[] {
  if (body === null) return ((reply['records'] ?? []) as { offset: number }[]).map(({ offset }) => [offset, 1]);
  return [...readDeliveredBatches(body)].map(({ baseOffset, batch }) => [baseOffset, batchCount(batch)]);
}
