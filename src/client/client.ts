/**
 * The client: one link to a broker and all that goes over it. Made by `connect`. Everything that is under way when a
 * connection is lost goes on with the next: subscriptions first, then commands, then the outbox.
 */
import type {
  Created,
  Described,
  GoAway,
  ProducerReply,
  Reply,
  TopicReply,
  Topics,
  Welcome,
} from '../protocol/replies.ts';
import type { BackoffOptions } from './backoff.ts';
import { type ClientClock, platformClock, randomId } from './clock.ts';
import { Deferred } from './deferred.ts';
import { Dispatcher } from './dispatcher.ts';
import { Emitter } from './emitter.ts';
import { type ClientErrorCode, clientError, errorOf, type SluiceError } from './error.ts';
import { type ClientState, Link } from './link.ts';
import type { LivenessOptions } from './liveness.ts';
import { Outbox, type OutboxBounds, type PublishOptions } from './outbox.ts';
import type { Ack, PublishRecord } from './outgoing.ts';
import { aborted, type CallOptions, type Command, Requests } from './requests.ts';
import type { StandardSchemaV1 } from './schema.ts';
import { Subscription } from './subscription.ts';
import type { GapEvent, SubscriptionHost, TypedSubscribeOptions } from './subscription-options.ts';
import type { Transport } from './transport.ts';
import { TypedTopic } from './typed-topic.ts';

export interface ClientEvents {
  /** The state that was entered. */
  state: ClientState;
  /** A loop reached a place where records are missing. */
  gap: GapEvent;
  /** The broker is about to go. */
  goaway: GoAway;
  /** What no promise tells: a failed connection or attempt, a complaint of the broker. The client goes on. */
  error: SluiceError;
}

export interface TopicOptions {
  readonly partitions?: number | undefined;
  readonly durability?: 'sync' | 'async' | undefined;
  readonly retention?: { readonly ms?: number | null; readonly bytes?: number | null } | undefined;
}

export interface CommandOptions {
  /** Gives up waiting for the answer: ABORTED or TIMEOUT. */
  readonly signal?: AbortSignal | undefined;
}

export interface DescribeOptions extends CommandOptions {
  /** Make the topic with the broker's defaults when there is none, as a first publish does. */
  readonly create?: boolean | undefined;
}

export interface ClientSettings {
  readonly token?: string | (() => string | PromiseLike<string>) | undefined;
  readonly producer?: string | undefined;
  readonly name?: string | undefined;
  readonly outbox?: OutboxBounds | undefined;
  readonly backoff?: Partial<BackoffOptions> | undefined;
  readonly liveness?: Partial<LivenessOptions> | undefined;
  readonly clock?: ClientClock | undefined;
  readonly random?: (() => number) | undefined;
}

const backoffDefaults: BackoffOptions = { minMs: 250, maxMs: 15_000 };
/** The broker's own defaults for the other direction. */
const livenessDefaults: LivenessOptions = { quietMs: 20_000, answerMs: 20_000 };
/** Commands of the application that may wait for an answer at a time. */
const CALLS_MAX = 1_024;

export class Client {
  /** The id under which this client's records are told from all others'. */
  readonly producer: string;
  readonly #link: Link;
  readonly #requests: Requests;
  readonly #dispatcher: Dispatcher;
  readonly #outbox: Outbox;
  readonly #emitter = new Emitter<ClientEvents>();
  /** What subscriptions need of it: for the other entries of this package, and no part of its API. */
  readonly host: SubscriptionHost;
  readonly #welcomed = new Deferred<Welcome>();
  #welcome: Welcome | null = null;
  #closedBy: SluiceError | null = null;

  constructor(transport: Transport, settings: ClientSettings) {
    const { name = 'sluice-client', producer, token, outbox, clock = platformClock, random = Math.random } = settings;
    this.producer = producer ?? randomId();
    this.#link = new Link({
      transport,
      hello: { client: name, producer: this.producer },
      token,
      backoff: { ...backoffDefaults, ...settings.backoff },
      liveness: { ...livenessDefaults, ...settings.liveness },
      clock,
      random,
      emitter: this.#emitter,
      events: {
        ready: (welcome) => this.#ready(welcome),
        reply: (reply, body) => this.#take(reply, body),
        goaway: (goaway) => this.#dispatcher.goaway(goaway),
        busy: () => this.#outbox.records > 0 || this.#requests.size > 0,
        lost: () => this.#lost(),
        closed: (reason) => this.#closed(reason),
      },
    });
    this.#requests = new Requests(this.#link, clock, random, this.#emitter);
    this.#dispatcher = new Dispatcher({
      link: this.#link,
      requests: this.#requests,
      clock,
      random,
      producerGiven: producer !== undefined,
      left: (records, bytes) => this.#outbox.left(records, bytes),
    });
    this.#outbox = new Outbox(outbox, this.#dispatcher, clock);
    // Whoever starts it hears of it.
    this.#welcomed.promise.catch(() => {});
    this.host = {
      link: this.#link,
      requests: this.#requests,
      emitter: this.#emitter,
      clock,
      random,
      routes: new Map(),
      subscriptions: new Set(),
    };
  }

  get state(): ClientState {
    return this.#link.state;
  }

  /** What the broker said of itself when it last welcomed this client; null before it ever did. */
  get welcome(): Welcome | null {
    return this.#welcome;
  }

  /** Records published and not yet answered. */
  get outstanding(): number {
    return this.#outbox.records;
  }

  /** Calls `listener` on every such event; the function that comes back ends that. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): () => void {
    return this.#emitter.on(name, listener);
  }

  /** Begins to connect; resolves at the first welcome. Called once, by `connect`, which says how it fails. */
  async start(signal: AbortSignal | undefined): Promise<void> {
    const abort = (): void => {
      const { failure } = this.#link;
      const { code, message } = aborted(signal);
      void this.#link.close(
        clientError(code as ClientErrorCode, `${message} while connecting: ${failure?.message}`, failure),
      );
    };
    signal?.addEventListener('abort', abort);
    this.#link.start();
    await this.#welcomed.promise.finally(() => signal?.removeEventListener('abort', abort));
  }

  /**
   * Publishes a record; resolves when it is stored as durably as its topic promises. Settles once, with the ack, a
   * refusal, or OUTCOME_UNKNOWN when it was given up on while it may be stored. Records of one partition are stored in
   * the order of these calls, each once. Also while there is no connection: then it waits for one.
   */
  publish(topic: string, record: PublishRecord, options: PublishOptions = {}): Promise<Ack> {
    return this.#outbox.publish(topic, record, options);
  }

  /**
   * Subscribes; the subscription is an async iterator of records, and lasts until it is left, aborted or refused. With
   * a schema its values are what the schema makes of them. Throws when the client is closed.
   */
  subscribe<Value = unknown>(
    topic: string,
    options: TypedSubscribeOptions = {},
    schema?: StandardSchemaV1<unknown, Value>,
  ): Subscription<Value> {
    if (this.#closedBy !== null) throw this.#closedBy;
    const subscription = new Subscription<Value>(this.host, topic, options, schema);
    this.host.subscriptions.add(subscription);
    if (options.signal?.aborted) subscription.end(null);
    else if (this.#link.up) subscription.open();
    return subscription;
  }

  /** A topic whose values fit a schema, with their types. */
  topic<Schema extends StandardSchemaV1>(name: string, options: { readonly schema: Schema }): TypedTopic<Schema> {
    return new TypedTopic(this, name, options.schema);
  }

  /** Makes a topic; one that stands with the same settings is answered alike. TOPIC_EXISTS when they differ. */
  createTopic(name: string, settings: TopicOptions = {}, options: CommandOptions = {}): Promise<TopicReply> {
    const { partitions, durability, retention } = settings;
    return this.#command<Created>({ op: 'create', topic: name, partitions, durability, retention }, options);
  }

  /** Deletes a topic and its records. Not repeated by itself: OUTCOME_UNKNOWN when the connection is lost. */
  async deleteTopic(name: string): Promise<void> {
    await this.#command({ op: 'delete', topic: name }, { repeatable: false });
  }

  async topics(options: CommandOptions = {}): Promise<readonly TopicReply[]> {
    return (await this.#command<Topics>({ op: 'topics' }, options)).topics;
  }

  /** A topic's settings, and where each of its partitions begins and ends. UNKNOWN_TOPIC when there is none. */
  describe(name: string, options: DescribeOptions = {}): Promise<Described> {
    const { create = false, signal } = options;
    return this.#command({ op: 'describe', topic: name, create }, { signal });
  }

  /** The last sequence stored by this client's producer on each partition where it has stored any. */
  async producerState(topic: string, options: CommandOptions = {}): Promise<ProducerReply['partitions']> {
    return (await this.#command<ProducerReply>({ op: 'producer', topic }, options)).partitions;
  }

  async #command<R extends Reply>(command: Command, options: CallOptions<R>): Promise<R> {
    if (this.#requests.size >= CALLS_MAX) {
      throw clientError('OUTBOX_FULL', `${CALLS_MAX} commands wait for an answer`);
    }
    return await this.#requests.call<R>(command, options);
  }

  /**
   * Takes no more publishes; resolves when everything published and committed so far is answered. Subscriptions go on.
   * As long as it takes: race it with a timer and `close`, which rejects it, to bound it.
   */
  async drain(): Promise<void> {
    await this.#outbox.drain();
    await Promise.all([...this.host.subscriptions].map((subscription) => subscription.settled));
  }

  /**
   * Ends at once: what was never sent is rejected with CLOSED, what may be stored with OUTCOME_UNKNOWN, iterators end.
   * Call `drain` before it to lose nothing. Resolves when the connection is gone, within a second.
   */
  close(): Promise<void> {
    return this.#link.close(clientError('CLOSED', 'the client was closed'));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #ready(welcome: Welcome): void {
    this.#welcome = welcome;
    for (const subscription of this.host.subscriptions) subscription.open();
    this.#requests.ready();
    this.#dispatcher.ready(welcome.limits);
    this.#welcomed.resolve(welcome);
  }

  #lost(): void {
    for (const subscription of this.host.subscriptions) subscription.leave();
    this.#requests.lost();
    this.#dispatcher.lost();
  }

  #closed(reason: SluiceError): void {
    this.#closedBy = reason;
    const failure = reason.code === 'CLOSED' ? null : reason;
    for (const subscription of this.host.subscriptions) subscription.end(failure);
    this.#requests.close(reason);
    this.#outbox.close(reason);
    this.#welcomed.reject(reason);
  }

  #take(reply: Reply, body: Uint8Array): void {
    if (reply.op === 'published') {
      if ('acks' in reply) this.#dispatcher.published(reply);
      return;
    }
    if (reply.op === 'error' && this.#dispatcher.refused(reply.id, errorOf(reply))) return;
    if (this.#requests.settle(reply) || !('subscription' in reply)) return;
    // What this version does not know is passed over: newer brokers may say more.
    const { subscription } = reply;
    if (subscription === undefined) return;
    const route = this.host.routes.get(subscription);
    if (route !== undefined) route.take(reply, body);
    // The answer to a call that was given up meanwhile. On the next connection the number would be another's.
    else if ('id' in reply)
      this.#requests.call({ op: 'unsubscribe', subscription }, { repeatable: false }).catch(() => {});
  }
}
