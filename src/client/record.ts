/** A record as a consumer gets it. Nothing is decoded before it is asked for, and each part once. */
import type { Encoding, RecordView } from '../domain/record-batch.ts';
import { clientError, messageOf } from './error.ts';
import { decoder } from './frame.ts';

/** Where a record came from. */
export interface RecordPlace {
  readonly topic: string;
  readonly partition: number;
  readonly epoch: number;
  /** Append time of its batch, ms since 1970. */
  readonly time: number;
  readonly baseOffset: number;
  /** Records below it may have been given to the group before. */
  readonly redeliveredBefore: number;
}

export type Committer = (record: SluiceRecord) => Promise<number>;

const unread = Symbol('unread');

/** Holds on to the delivery that it came with; keep `bytes().slice()` of what you keep for long. */
export class SluiceRecord<Value = unknown> {
  // Declared alone: set once, by the constructor, for every record.
  declare readonly topic: string;
  declare readonly partition: number;
  declare readonly offset: number;
  declare readonly epoch: number;
  /** When the broker took it, ms since 1970. Never goes back along a partition. */
  declare readonly time: number;
  /** How its producer marked the value. */
  declare readonly encoding: Encoding;
  /** The group may have been given it before, and did not commit it: when a subscription ended, or the broker shut down. */
  declare readonly redelivered: boolean;
  readonly #view: RecordView;
  readonly #committer: Committer;
  #value: unknown = unread;

  constructor(place: RecordPlace, view: RecordView, committer: Committer) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.epoch = place.epoch;
    this.time = place.time;
    this.offset = place.baseOffset + view.index;
    this.encoding = view.encoding;
    this.redelivered = this.offset < place.redeliveredBefore;
    this.#view = view;
    this.#committer = committer;
  }

  /** The key as text; null without one. */
  get key(): string | null {
    return this.#view.key === null ? null : decoder.decode(this.#view.key);
  }

  get keyBytes(): Uint8Array | null {
    return this.#view.key;
  }

  /** No value: the key is gone. */
  get tombstone(): boolean {
    return this.#view.value === null;
  }

  get headers(): Readonly<Record<string, string>> {
    const { headers } = this.#view;
    return headers === null ? {} : (this.#parse(headers, 'headers') as Record<string, string>);
  }

  /**
   * The value as its producer gave it: text, bytes or what its JSON says; null in a tombstone. With a schema, what the
   * schema made of it. Throws INVALID_RECORD when it is marked as JSON and is none.
   */
  get value(): Value {
    if (this.#value === unread) this.#value = this.#read();
    return this.#value as Value;
  }

  #read(): unknown {
    if (this.tombstone) return null;
    if (this.encoding === 'bytes') return this.bytes();
    return this.encoding === 'utf8' ? this.text() : this.json();
  }

  /** The value's bytes, a view into the delivery; empty in a tombstone. */
  bytes(): Uint8Array {
    return this.#view.value ?? new Uint8Array(0);
  }

  /** The value's bytes as UTF-8 text, whatever its encoding. */
  text(): string {
    return decoder.decode(this.bytes());
  }

  /** The value's text as JSON, whatever its encoding. Throws INVALID_RECORD when it is none. */
  json(): unknown {
    return this.#parse(this.bytes(), 'value');
  }

  /** Commits the offset behind this record for the subscription's group. */
  commit(): Promise<number> {
    return this.#committer(this as SluiceRecord);
  }

  #parse(bytes: Uint8Array, part: string): unknown {
    try {
      return JSON.parse(decoder.decode(bytes));
    } catch (error) {
      const text = `the ${part} of ${placeOf(this as SluiceRecord)} is not JSON: ${messageOf(error)}`;
      throw clientError('INVALID_RECORD', text, error);
    }
  }

  /** Gives the record the value that a schema made of its own. */
  static refine<Value>(record: SluiceRecord, value: Value): SluiceRecord<Value> {
    record.#value = value;
    return record as SluiceRecord<Value>;
  }
}

/** `topic/partition@offset`. */
export function placeOf(record: SluiceRecord): string {
  return `${record.topic}/${record.partition}@${record.offset}`;
}
