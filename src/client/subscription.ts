/**
 * A subscription: an async iterator of records that outlives connections. It resumes at the next record that its loop
 * has not seen, asks for more only as the loop takes what came, and says so when records are missing (`gap`).
 *
 * Invariants
 *   S1  Per partition, offsets rise from record to record; only behind a `gap` of reason `lost` may they step back.
 *   S2  Records granted and not yet taken by the loop never exceed `credit`: no more than that, and the rest of one
 *       batch, ever waits in memory.
 *   S3  Positions are those of the loop, not of what was received: what is buffered when a connection is lost is let
 *       go of and asked for again.
 */
import type { Committed, Reply, Subscribed } from '../protocol/replies.ts';
import { Timer } from './clock.ts';
import { Commits } from './commits.ts';
import { Deferred } from './deferred.ts';
import { type DeliveredRecord, DeliveryBuffer } from './delivery-buffer.ts';
import { clientError, errorOf, messageOf, type SluiceError } from './error.ts';
import { placeOf, SluiceRecord } from './record.ts';
import { type SchemaIssue, type StandardSchemaV1, schemaFault } from './schema.ts';
import type { GapEvent, Position, Standing, SubscriptionHost, TypedSubscribeOptions } from './subscription-options.ts';

const CREDIT_DEFAULT = 1_000;
/** Mean pause before a subscription that the broker broke off is begun again, when it says no time, ms. */
const RESUME_MS = 2_000;

export class Subscription<Value = unknown> implements AsyncIterableIterator<SluiceRecord<Value>>, Standing {
  readonly topic: string;
  /** Resolves when the broker has first taken the subscription, with where it begins; rejects when it ends before. */
  readonly ready: Promise<readonly Position[]>;
  readonly #host: SubscriptionHost;
  readonly #options: TypedSubscribeOptions;
  readonly #schema: StandardSchemaV1<unknown, Value> | undefined;
  readonly #buffer: DeliveryBuffer;
  readonly #commits: Commits;
  readonly #credit: number;
  readonly #began = new Deferred<readonly Position[]>();
  /** The broker's number for it on this connection; null while it does not stand. */
  #id: number | null = null;
  /** Ends the try to subscribe that is under way. */
  #attempt: AbortController | null = null;
  /** Until the next try, after the broker broke off. */
  readonly #pause: Timer;
  #ended = false;
  /** What the iterator throws next; null when it ends cleanly. */
  #failure: SluiceError | null = null;
  #arrival: Deferred<void> | null = null;
  readonly #committer = (record: SluiceRecord): Promise<number> => this.commit(record);
  readonly #abort = (): void => this.end(null);

  constructor(
    host: SubscriptionHost,
    topic: string,
    options: TypedSubscribeOptions,
    schema?: StandardSchemaV1<unknown, Value>,
  ) {
    this.topic = topic;
    this.#host = host;
    this.#options = options;
    this.#schema = schema;
    this.#credit = options.credit ?? CREDIT_DEFAULT;
    this.#buffer = new DeliveryBuffer(topic);
    this.#pause = new Timer(host.clock);
    this.#commits = new Commits((partition, offset) => this.#sendCommit(partition, offset));
    this.ready = this.#began.promise;
    // Whoever does not ask for it hears of a failure from the iterator.
    this.ready.catch(() => {});
    options.signal?.addEventListener('abort', this.#abort);
  }

  /** Where the loop stands; empty before `ready`. */
  get positions(): readonly Position[] {
    return this.#buffer.positions;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Calls `listener` where the loop comes to a gap, between the records around it; the result ends that. */
  on(name: 'gap', listener: (gap: GapEvent) => void): () => void {
    return this.#host.emitter.on(name, (gap) => {
      if (gap.subscription === this) listener(gap);
    });
  }

  /** The next record. Throws what the broker ended the subscription with, and with a schema INVALID_RECORD. */
  async next(): Promise<IteratorResult<SluiceRecord<Value>, undefined>> {
    while (!this.#ended) {
      const delivery = this.#buffer.take();
      if (delivery === null) {
        this.#arrival ??= new Deferred();
        await this.#arrival.promise;
      } else if (delivery.kind === 'gap') {
        this.#host.emitter.emit('gap', { ...delivery.gap, topic: this.topic, subscription: this });
      } else {
        const record = await this.#accept(delivery);
        if (record !== null) return { done: false, value: record };
      }
    }
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure;
    return { done: true, value: undefined };
  }

  /** Ends the subscription; leaving a `for await` calls it. Commits already made are still sent. */
  async return(): Promise<IteratorResult<SluiceRecord<Value>, undefined>> {
    this.end(null);
    return { done: true, value: undefined };
  }

  /** The same records as arrays, one for each delivered batch: for speed. Shares its place with `next`. */
  async *batches(): AsyncGenerator<SluiceRecord<Value>[], void, undefined> {
    for await (const first of this) {
      const batch = [first];
      for (let next = this.#buffer.takeSibling(); next !== null; next = this.#buffer.takeSibling()) {
        const accepted = this.#accept(next);
        const record = accepted instanceof SluiceRecord ? accepted : await accepted;
        if (record !== null) batch.push(record);
      }
      yield batch;
    }
  }

  /**
   * Commits a record as read (the offset behind it), or a next offset to read. Resolves with the committed offset once
   * it is durable: never lower than one committed before. Those made while one is on its way go as one. BAD_REQUEST without a group.
   */
  commit(at: SluiceRecord<unknown> | { readonly partition: number; readonly offset: number }): Promise<number> {
    if (this.#ended) return Promise.reject(this.#over());
    return this.#commits.commit(at.partition, at instanceof SluiceRecord ? at.offset + 1 : at.offset);
  }

  /** Settles when the commits made so far are answered, whichever way. */
  get settled(): Promise<unknown> {
    return this.#commits.settled;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end(null);
  }

  /** A record for the loop, and credit for its place; null when its schema refuses it and the loop is to go on. */
  #accept({ place, view }: DeliveredRecord): SluiceRecord<Value> | Promise<SluiceRecord<Value> | null> {
    const record = new SluiceRecord(place, view, this.#committer);
    if (this.#id !== null && this.#buffer.taken * 2 >= this.#credit) {
      const credit = { op: 'credit', subscription: this.#id, records: this.#buffer.taken };
      this.#host.link.send(JSON.stringify(credit));
      this.#buffer.taken = 0;
    }
    return this.#schema === undefined ? (record as SluiceRecord<Value>) : this.#refine(record, this.#schema);
  }

  async #refine(record: SluiceRecord, schema: StandardSchemaV1<unknown, Value>): Promise<SluiceRecord<Value> | null> {
    let issues: readonly SchemaIssue[];
    try {
      const result = await schema['~standard'].validate(record.tombstone ? undefined : record.value);
      if (result.issues === undefined) return SluiceRecord.refine(record, result.value);
      issues = result.issues;
    } catch (error) {
      issues = [{ message: messageOf(error) }];
    }
    const { onInvalid } = this.#options;
    if (onInvalid !== undefined) {
      onInvalid(record, issues);
      return null;
    }
    this.end(null);
    throw schemaFault(placeOf(record), issues);
  }

  #notify(): void {
    this.#arrival?.resolve();
    this.#arrival = null;
  }

  /**
   * Subscribes on the present connection, from where the loop stands. The client calls it on every new one. With `keep`
   * what stands already goes on until the new one does.
   */
  open(keep = false): void {
    if (this.#ended) return;
    if (!keep) this.leave();
    const attempt = new AbortController();
    this.#attempt = attempt;
    const { topic, positions } = this;
    const { from, group, partitions } = this.#options;
    const command = { op: 'subscribe', topic, from, group, partitions, credit: this.#credit, positions };
    const options = {
      // So that deliveries are binary: the batches of the log, byte for byte.
      binary: true,
      // With `keep` the loop goes on meanwhile: another try begins from where it stands by then.
      patient: !keep,
      signal: attempt.signal,
      onReply: (reply: Subscribed) => this.#opened(reply),
    };
    this.#host.requests.call<Subscribed>(command, options).catch((error: SluiceError) => {
      if (attempt.signal.aborted) return;
      if (keep) this.#fault(error, true);
      else this.end(error);
    });
  }

  #opened(reply: Subscribed): void {
    this.#quit();
    this.#id = reply.subscription;
    this.#host.routes.set(reply.subscription, this);
    this.#buffer.begin(reply.partitions);
    this.#began.resolve(this.positions);
    this.#commits.resume();
  }

  take(reply: Reply, body: Uint8Array): void {
    if (reply.op === 'error') this.#fault(errorOf(reply), reply.partition !== undefined);
    else if (reply.op === 'records') this.#buffer.push(reply, body);
    else if (reply.op === 'gap') this.#buffer.pushGap(reply);
    this.#notify();
  }

  /**
   * The broker can't go on with it, or with some partition alone (`partial`). For good: it ends. For now: it is begun
   * again; what still comes from the other partitions goes on until then.
   */
  #fault(error: SluiceError, partial: boolean): void {
    if (!error.retryable) {
      this.end(error);
      return;
    }
    this.#host.emitter.emit('error', error);
    if (!partial) this.leave();
    this.#pause.set(error.retryAfterMs ?? RESUME_MS * (0.5 + this.#host.random()), () => this.open(partial));
  }

  /** Ends the iterator: cleanly, or by throwing `failure`. */
  end(failure: SluiceError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    const reason = failure ?? this.#over();
    this.#commits.end(reason);
    this.#options.signal?.removeEventListener('abort', this.#abort);
    this.leave();
    this.#began.reject(reason);
    this.#notify();
    // Its last commits may still be under way, and a drain waits for them.
    void this.settled.then(() => this.#host.subscriptions.delete(this));
  }

  #over(): SluiceError {
    return clientError('CLOSED', 'the subscription has ended');
  }

  /** Ends what is under way and what stands. The client calls it when a connection is lost. */
  leave(): void {
    this.#attempt?.abort();
    this.#pause.clear();
    this.#quit();
  }

  /** Ends what stands at the broker and lets go of what came of it. */
  #quit(): void {
    this.#buffer.clear();
    if (this.#id === null) return;
    const { link, requests, routes } = this.#host;
    routes.delete(this.#id);
    // Refused or lost, it is gone all the same.
    if (link.up) requests.call({ op: 'unsubscribe', subscription: this.#id }, { repeatable: false }).catch(() => {});
    this.#id = null;
  }

  #sendCommit(partition: number, offset: number): Promise<Committed> | null {
    if (this.#id === null) return null;
    const command = { op: 'commit', subscription: this.#id, partition, offset };
    return this.#host.requests.call<Committed>(command, { repeatable: false, patient: true });
  }
}
