/**
 * A record on its way out: encoded once, and settled exactly once with its ack, a refusal or OUTCOME_UNKNOWN.
 */
import { checkRecord, type Encoding, type RecordInput, recordBytes } from '../domain/record-batch.ts';
import { Deferred } from './deferred.ts';
import type { SluiceError } from './error.ts';
import { encoder } from './frame.ts';

/** A record as the application gives it. */
export interface PublishRecord<Value = unknown> {
  /** Text (as UTF-8) or bytes, 4,096 bytes at most. Records with one key stay in order, on one partition. */
  readonly key?: string | Uint8Array | null | undefined;
  /** A string goes as text, bytes as bytes, all else as JSON. Absent or undefined, with a key: a tombstone. */
  readonly value?: Value;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Overrides the choice by key. */
  readonly partition?: number | undefined;
}

/** Where a record is stored, durable as its topic promises. */
export interface Ack {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly epoch: number;
  /** An earlier send had stored it already; it is stored once. */
  readonly duplicate: boolean;
}

export class Outgoing implements RecordInput {
  // Declared alone: set once, by the constructor, for every record.
  declare readonly topic: string;
  declare readonly key: Uint8Array | null;
  declare readonly headers: Uint8Array | null;
  declare readonly value: Uint8Array | null;
  declare readonly encoding: Encoding;
  declare readonly partition: number | undefined;
  /** Size in a batch. */
  declare readonly bytes: number;
  /** The queue that it stands in; null once it is in a frame, or settled. */
  queue: RecordQueue | null = null;
  /** Called when it is settled, to let go of timers and signals. */
  onSettled: (() => void) | null = null;
  readonly #answer = new Deferred<Ack>();

  /** Copies what it needs of `record`. Throws TypeError, or RangeError for what is over its limit. */
  constructor(topic: string, record: PublishRecord) {
    this.topic = topic;
    this.key = keyOf(record.key);
    this.headers = headersOf(record.headers);
    const { value, encoding } = encodeValue(record.value);
    if (value === null && this.key === null) {
      throw new TypeError('a record without a value needs a key');
    }
    this.value = value;
    this.encoding = encoding;
    this.partition = record.partition;
    const number = record.partition ?? 0;
    if (number !== number >>> 0) {
      throw new TypeError(`a partition is an integer from 0; got ${this.partition}`);
    }
    checkRecord(this);
    this.bytes = recordBytes(this);
  }

  get promise(): Promise<Ack> {
    return this.#answer.promise;
  }

  acknowledge(ack: Ack): void {
    this.#answer.resolve(ack);
    this.#settled();
  }

  /** No-op on a record that is settled already. */
  refuse(error: SluiceError): void {
    this.#answer.reject(error);
    this.#settled();
  }

  #settled(): void {
    this.onSettled?.();
    this.onSettled = null;
  }
}

/** Records in the order of their publish calls, with their bytes; one that was given up leaves without a search. */
export class RecordQueue implements Iterable<Outgoing> {
  readonly #records = new Set<Outgoing>();
  #bytes = 0;

  get size(): number {
    return this.#records.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(record: Outgoing): void {
    this.#records.add(record);
    this.#bytes += record.bytes;
    record.queue = this;
  }

  remove(record: Outgoing): void {
    if (!this.#records.delete(record)) return;
    this.#bytes -= record.bytes;
    record.queue = null;
  }

  /** Refuses all that is in it. */
  refuse(error: SluiceError): void {
    for (const record of this.#records) {
      this.remove(record);
      record.refuse(error);
    }
  }

  /** May be removed from while it is walked. */
  [Symbol.iterator](): Iterator<Outgoing> {
    return this.#records.values();
  }
}

function keyOf(key: PublishRecord['key']): Uint8Array | null {
  if (key === undefined || key === null) return null;
  const bytes = typeof key === 'string' ? encoder.encode(key) : bytesOf(key);
  if (bytes === null) throw new TypeError(`a key is text or bytes; got ${typeof key}`);
  return bytes;
}

function headersOf(headers: PublishRecord['headers']): Uint8Array | null {
  if (headers === undefined) return null;
  const values = Object.values(headers);
  if (values.length === 0) return null;
  for (const value of values) {
    if (typeof value !== 'string') throw new TypeError(`a header is a string; got ${typeof value}`);
  }
  return encoder.encode(JSON.stringify(headers));
}

function encodeValue(value: unknown): { value: Uint8Array | null; encoding: Encoding } {
  if (value === undefined) return { value: null, encoding: 'bytes' };
  if (typeof value === 'string') return { value: encoder.encode(value), encoding: 'utf8' };
  const bytes = bytesOf(value);
  if (bytes !== null) return { value: bytes, encoding: 'bytes' };
  const json: string | undefined = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`a value is text, bytes or JSON; got ${typeof value}`);
  return { value: encoder.encode(json), encoding: 'json' };
}

/** A copy: the caller may go on to change its own. Null when `value` is no bytes. */
function bytesOf(value: unknown): Uint8Array | null {
  if (value instanceof ArrayBuffer) return copied(new Uint8Array(value));
  return ArrayBuffer.isView(value) ? copied(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) : null;
}

/** Small copies share a buffer: one of its own costs each record more than all else that is done with it. */
const SHARED_BYTES = 65_536;
let shared = new Uint8Array(0);
let used = 0;

function copied(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (used + length > shared.length) {
    shared = new Uint8Array(Math.max(length, SHARED_BYTES));
    used = 0;
  }
  shared.set(bytes, used);
  used += length;
  return shared.subarray(used - length, used);
}
