/**
 * A client of the simulation that uses the client library, as an application would: it publishes, subscribes, commits,
 * and lets the library come back by itself. What it does and is told is noted in the history.
 */
import { type Client, connect, SluiceError, type Subscription } from '../../src/client/index.ts';
import type { MemoryWebSocketConstructor } from '../../src/testing/memory-sockets.ts';
import type { SimulatedClock } from '../../src/testing/simulated-clock.ts';
import type { Dice } from './dice.ts';
import type { History } from './history.ts';
import { idOf, payloadOf } from './payload.ts';
import type { PublishStep, SubscribeStep } from './plan.ts';

export interface ClientHost {
  readonly clock: SimulatedClock;
  readonly history: History;
  readonly dice: Dice;
  /** Numbers of sendings, commits and questions, unique in the run. */
  readonly number: () => number;
}

export interface AppClientOptions extends ClientHost {
  readonly name: string;
  readonly producer: string;
  readonly WebSocket: MemoryWebSocketConstructor;
}

const URL = 'ws://memory:7070/v1';

export class AppClient {
  readonly name: string;
  readonly #options: AppClientOptions;
  #client: Client | null = null;
  #instance = 0;
  readonly #subscriptions = new Map<string, Subscription>();
  /** Sendings and questions that wait for their answer. */
  #open = 0;
  /** Where each subscription stands: `subscription/partition` → the next offset. */
  readonly #at = new Map<string, number>();

  constructor(options: AppClientOptions) {
    this.name = options.name;
    this.#options = options;
    this.#connect();
  }

  get client(): Client | null {
    return this.#client;
  }

  /** What still waits for an answer; empty when nothing does. */
  get waitsFor(): string {
    return this.#open === 0 ? '' : `${this.name}: ${this.#open} unanswered`;
  }

  #connect(): void {
    const { WebSocket, clock, dice, producer } = this.#options;
    this.#instance += 1;
    const connecting = connect(URL, {
      WebSocket,
      clock,
      random: () => dice.next(),
      producer,
      backoff: { minMs: 50, maxMs: 2000 },
      on: {},
    });
    connecting.then(
      (client) => {
        this.#client = client;
      },
      (error: unknown) => this.#defect('connect', error),
    );
  }

  publish(step: PublishStep, ids: readonly string[]): void {
    const { history, number } = this.#options;
    const client = this.#client;
    if (client === null) return;
    const { topic, partition = null, bytes, key } = step;
    const lane = `${this.name}#${this.#instance}`;
    for (const [index, id] of ids.entries()) {
      const sending = number();
      const who = { client: this.name, sending, topic };
      const sent = { ...who, ids: [id], partition, again: false, lane, producer: client.producer, sequence: null };
      history.add({ e: 'send', ...sent });
      const record = {
        value: payloadOf(id, bytes),
        ...(partition === null ? {} : { partition }),
        ...(key === undefined ? {} : { key: `k${key + index}` }),
      };
      this.#open += 1;
      client.publish(topic, record).then(
        ({ partition, offset, epoch, duplicate }) => {
          this.#open -= 1;
          history.add({ e: 'stored', ...who, places: [{ id, partition, offset, epoch }], duplicate });
        },
        (error: unknown) => {
          this.#open -= 1;
          history.add({ e: 'refused', ...who, code: codeOf(error) });
        },
      );
    }
  }

  subscribe(step: SubscribeStep): void {
    const client = this.#client;
    if (client === null) return;
    const { history } = this.#options;
    const { subscription: name, topic, from, group, credit } = step;
    const subscription = client.subscribe(topic, { from, credit, ...(group === undefined ? {} : { group }) });
    this.#subscriptions.set(name, subscription);
    history.add({ e: 'subscribe', client: this.name, subscription: name, topic, from, group: group ?? null });
    subscription.ready.then(
      (positions) => {
        const begun = positions.map(({ partition, offset, epoch }) => ({ partition, offset, epoch }));
        history.add({ e: 'begun', subscription: name, topic, positions: begun });
      },
      () => {},
    );
    subscription.on('gap', ({ partition, reason, from, to, epoch, offset }) => {
      history.add({ e: 'gap', subscription: name, topic, partition, reason, from, to, epoch, offset });
      this.#at.set(`${name}/${partition}`, offset);
    });
    this.#read(step, subscription).then(
      () => this.#unsubscribed(name, null),
      (error: unknown) => this.#unsubscribed(name, codeOf(error)),
    );
  }

  async #read(
    { subscription: name, group = '', commitEvery, workMs }: SubscribeStep,
    subscription: Subscription,
  ): Promise<void> {
    const { history, clock } = this.#options;
    let uncommitted = 0;
    for await (const record of subscription) {
      const { topic, partition, offset, epoch, redelivered } = record;
      const id = idOf(record.text());
      history.add({ e: 'given', subscription: name, place: { topic, partition, offset, epoch }, id, redelivered });
      this.#at.set(`${name}/${partition}`, offset + 1);
      if (workMs > 0) await new Promise<void>((resolve) => clock.setTimeout(resolve, workMs));
      uncommitted += 1;
      if (commitEvery > 0 && uncommitted >= commitEvery) {
        uncommitted = 0;
        this.#commit(name, group, subscription, partition, offset + 1);
      }
    }
  }

  #commit(name: string, group: string, subscription: Subscription, partition: number, offset: number): void {
    const { history, number } = this.#options;
    const { topic } = subscription;
    const who = { subscription: name, commit: number(), group, topic, partition };
    history.add({ e: 'commit', ...who, offset });
    subscription.commit({ partition, offset }).then(
      (committed) => history.add({ e: 'committed', ...who, offset: committed }),
      (error: unknown) =>
        history.add({ e: 'commit-failed', subscription: name, commit: who.commit, code: codeOf(error) }),
    );
  }

  #unsubscribed(name: string, code: string | null): void {
    this.#subscriptions.delete(name);
    this.#options.history.add({ e: 'unsubscribed', subscription: name, code });
  }

  leave(name: string): void {
    void this.#subscriptions.get(name)?.return();
  }

  /** Subscriptions that stand, and the next offset of each on a partition. */
  get subscriptions(): readonly string[] {
    return [...this.#subscriptions.keys()];
  }

  positionOf(subscription: string, partition: number): number {
    const began = this.#subscriptions.get(subscription)?.positions.find((each) => each.partition === partition);
    return this.#at.get(`${subscription}/${partition}`) ?? began?.offset ?? 0;
  }

  topicOf(subscription: string): string {
    return this.#subscriptions.get(subscription)?.topic ?? '';
  }

  ask(op: 'describe' | 'create' | 'delete', topic: string, partitions: number, durability?: 'sync' | 'async'): void {
    const client = this.#client;
    if (client === null) return;
    const { history, number } = this.#options;
    const who = { client: this.name, ask: number(), op, topic };
    history.add({ e: 'ask', ...who });
    this.#open += 1;
    const asked =
      op === 'describe'
        ? client.describe(topic).then(({ state }) => state)
        : op === 'create'
          ? client.createTopic(topic, { partitions, durability }).then(() => [])
          : client.deleteTopic(topic).then(() => []);
    asked.then(
      (state) => {
        this.#open -= 1;
        history.add({ e: 'answer', ...who, code: null, state });
      },
      (error: unknown) => {
        this.#open -= 1;
        history.add({ e: 'answer', ...who, code: codeOf(error), state: [] });
      },
    );
  }

  /** Closes, behind what was published with `drain`; another instance starts `reopenMs` later. */
  reopen(reopenMs: number, drain: boolean): void {
    const client = this.#client;
    const { clock } = this.#options;
    if (client === null) return;
    this.#client = null;
    const over = drain
      ? Promise.race([client.drain().catch(() => {}), new Promise<void>((resolve) => clock.setTimeout(resolve, 2000))])
      : Promise.resolve();
    over
      .then(() => client.close())
      .then(() => clock.setTimeout(() => this.#connect(), reopenMs))
      .catch((error: unknown) => this.#defect('close', error));
  }

  #defect(what: string, error: unknown): void {
    this.#options.history.add({ e: 'defect', text: `${this.name}: ${what}: ${String(error)}` });
  }
}

export function codeOf(error: unknown): string {
  return error instanceof SluiceError ? error.code : String(error);
}
