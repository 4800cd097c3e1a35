/**
 * The outbox: every record between `publish` and its answer, bounded in records and bytes.
 *
 * Guarantees
 *   O1  A publish settles once: ack, refusal, or OUTCOME_UNKNOWN (only when given up on while it may be stored).
 *   O2  Per partition, records are stored in the order of the publish calls, each once, however often the connection
 *       is lost (kept by `Dispatcher` and `PartitionLane`).
 *   O3  Records and bytes held never exceed the bounds; as much again may wait for room, and nothing is ever dropped.
 */
import { type ClientClock, Timer } from './clock.ts';
import { Deferred } from './deferred.ts';
import type { Dispatcher } from './dispatcher.ts';
import { clientError, messageOf, type SluiceError } from './error.ts';
import { type Ack, Outgoing, type PublishRecord, RecordQueue } from './outgoing.ts';
import { outcomeUnknown } from './partition-lane.ts';
import { aborted } from './requests.ts';

export interface OutboxBounds {
  /** Most records between `publish` and answer. Default 65,536. */
  readonly recordsMax?: number;
  /** Most bytes of these records as encoded. Default 32 MiB. */
  readonly bytesMax?: number;
  /** A full outbox lets `publish` wait for room, or rejects it with OUTBOX_FULL. Default `wait`. */
  readonly whenFull?: 'wait' | 'reject';
}

export const outboxDefaults: Required<OutboxBounds> = {
  recordsMax: 65_536,
  bytesMax: 32 * 1024 * 1024,
  whenFull: 'wait',
};

export interface PublishOptions {
  /** Gives up: ABORTED when nothing was sent, else OUTCOME_UNKNOWN. */
  readonly signal?: AbortSignal | undefined;
  /** Gives up after so many ms: TIMEOUT when nothing was sent, else OUTCOME_UNKNOWN. */
  readonly deadlineMs?: number | undefined;
}

export class Outbox {
  readonly #bounds: Required<OutboxBounds>;
  readonly #dispatcher: Dispatcher;
  readonly #clock: ClientClock;
  /** Publishes that wait for room, in order. */
  readonly #waiting = new RecordQueue();
  #records = 0;
  #bytes = 0;
  /** Why nothing more is taken; null while it is. */
  #sealed: SluiceError | null = null;
  /** Made by a drain that has to wait. */
  #emptied: Deferred<void> | null = null;

  constructor(bounds: OutboxBounds | undefined, dispatcher: Dispatcher, clock: ClientClock) {
    this.#bounds = { ...outboxDefaults, ...bounds };
    this.#dispatcher = dispatcher;
    this.#clock = clock;
  }

  /** Records between `publish` and answer, those that wait for room included. */
  get records(): number {
    return this.#records + this.#waiting.size;
  }

  publish(topic: string, input: PublishRecord, options: PublishOptions): Promise<Ack> {
    try {
      if (this.#sealed !== null) throw this.#sealed;
      if (options.signal?.aborted) throw aborted(options.signal);
      const record = this.#encode(topic, input);
      this.#admit(record);
      this.#watch(record, options);
      return record.promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #encode(topic: string, input: PublishRecord): Outgoing {
    try {
      return new Outgoing(topic, input);
    } catch (error) {
      throw clientError(error instanceof RangeError ? 'RECORD_TOO_LARGE' : 'BAD_REQUEST', messageOf(error), error);
    }
  }

  #admit(record: Outgoing): void {
    const { recordsMax, bytesMax, whenFull } = this.#bounds;
    const recordBytesMax = Math.min(bytesMax, this.#dispatcher.recordBytesMax);
    if (record.bytes > recordBytesMax) {
      const text = `a record has at most ${recordBytesMax} bytes; got ${record.bytes}`;
      throw clientError('RECORD_TOO_LARGE', text);
    }
    if (this.#waiting.size === 0 && this.#fits(record)) {
      this.#enter(record);
    } else if (
      whenFull === 'reject' ||
      this.#waiting.size >= recordsMax ||
      this.#waiting.bytes + record.bytes > bytesMax
    ) {
      throw clientError('OUTBOX_FULL', `${this.records} records wait for acks`);
    } else {
      this.#waiting.push(record);
    }
  }

  #fits(record: Outgoing): boolean {
    return this.#records < this.#bounds.recordsMax && this.#bytes + record.bytes <= this.#bounds.bytesMax;
  }

  #enter(record: Outgoing): void {
    this.#records += 1;
    this.#bytes += record.bytes;
    this.#dispatcher.push(record);
  }

  #watch(record: Outgoing, { signal, deadlineMs }: PublishOptions): void {
    if (signal === undefined && deadlineMs === undefined) return;
    const abort = (): void => this.#forsake(record, aborted(signal));
    signal?.addEventListener('abort', abort);
    const timer = new Timer(this.#clock);
    if (deadlineMs !== undefined) {
      timer.set(deadlineMs, () => this.#forsake(record, clientError('TIMEOUT', `no ack within ${deadlineMs} ms`)));
    }
    record.onSettled = () => {
      signal?.removeEventListener('abort', abort);
      timer.clear();
    };
  }

  /** The caller no longer waits. What is in a frame stays in it, with the others, and keeps its room until then. */
  #forsake(record: Outgoing, error: SluiceError): void {
    const { queue } = record;
    if (queue === null) {
      record.refuse(outcomeUnknown(error));
      return;
    }
    queue.remove(record);
    record.refuse(error);
    if (queue === this.#waiting) this.left(0, 0);
    else this.left(1, record.bytes);
  }

  /** Records were answered or taken back: others come in, and whoever waits for the outbox to be empty is told. */
  left(records: number, bytes: number): void {
    this.#records -= records;
    this.#bytes -= bytes;
    for (const record of this.#waiting) {
      if (!this.#fits(record)) break;
      this.#waiting.remove(record);
      this.#enter(record);
    }
    if (this.records === 0) this.#emptied?.resolve();
  }

  /** Takes nothing more; resolves when everything taken is answered, rejects when the client is closed before. */
  drain(): Promise<void> {
    this.#sealed ??= clientError('CLOSED', 'the client is draining');
    if (this.records === 0) return Promise.resolve();
    this.#emptied ??= new Deferred();
    return this.#emptied.promise;
  }

  /** Refuses everything that is left: with `reason` what was never stored, with OUTCOME_UNKNOWN what may be. */
  close(reason: SluiceError): void {
    this.#sealed = reason;
    this.#emptied?.reject(reason);
    this.#waiting.refuse(reason);
    this.#dispatcher.close(reason);
    this.#records = this.#bytes = 0;
  }
}
