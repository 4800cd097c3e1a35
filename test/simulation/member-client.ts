/**
 * A member of a group in the simulation: an application that joins with the client library, works on what it is given,
 * commits, closes and comes back. What it is told and does is noted in the history.
 */
import { type GroupConsumer, joinGroup } from '../../src/client/groups.ts';
import { type Client, connect } from '../../src/client/index.ts';
import type { MemoryWebSocketConstructor } from '../../src/testing/memory-sockets.ts';
import { type ClientHost, codeOf } from './app-client.ts';
import { idOf } from './payload.ts';
import type { MemberPlan } from './plan.ts';

export interface MemberClientOptions extends ClientHost {
  readonly plan: MemberPlan;
  readonly WebSocket: MemoryWebSocketConstructor;
}

const URL = 'ws://memory:7070/v1';

export class MemberClient {
  readonly plan: MemberPlan;
  readonly #options: MemberClientOptions;
  #client: Client | null = null;
  #consumer: GroupConsumer | null = null;
  #instance = 0;

  constructor(options: MemberClientOptions) {
    this.plan = options.plan;
    this.#options = options;
    this.#connect();
  }

  get #member(): string {
    return this.plan.lasting ? this.plan.name : `${this.plan.name}-${this.#instance}`;
  }

  /** Where its loop stands on what it has: `topic/partition` → the next offset. */
  get positions(): ReadonlyMap<string, number> {
    const held = this.#consumer?.assignment ?? [];
    return new Map(held.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]));
  }

  #connect(): void {
    const { WebSocket, clock, dice } = this.#options;
    this.#instance += 1;
    const backoff = { minMs: 50, maxMs: 2000 };
    connect(URL, { WebSocket, clock, random: () => dice.next(), producer: `p-${this.#member}`, backoff }).then(
      (client) => this.#join(client),
      (error: unknown) => this.#defect('connect', error),
    );
  }

  #join(client: Client): void {
    const { group, topics, commit, credit } = this.plan;
    const { history } = this.#options;
    const member = this.#member;
    const consumer = joinGroup(client, {
      group,
      member,
      topics,
      commit,
      credit,
      commitMs: 100,
      onAssigned: (partitions) => {
        for (const { topic, partition, generation, offset } of partitions) {
          history.add({ e: 'owned', group, member, topic, partition, generation, offset });
        }
      },
    });
    this.#client = client;
    this.#consumer = consumer;
    this.#read(consumer, member).then(
      () => history.add({ e: 'member-left', group, member, code: null }),
      (error: unknown) => history.add({ e: 'member-left', group, member, code: codeOf(error) }),
    );
  }

  async #read(consumer: GroupConsumer, member: string): Promise<void> {
    const { history, clock } = this.#options;
    const { group, commit, commitEvery, workMs, slowRecords } = this.plan;
    let count = 0;
    for await (const record of consumer) {
      const { topic, partition, offset, epoch } = record;
      history.add({
        e: 'member-given',
        group,
        member,
        place: { topic, partition, offset, epoch },
        id: idOf(record.text()),
      });
      count += 1;
      if (workMs > 0 && count <= slowRecords) await new Promise<void>((resolve) => clock.setTimeout(resolve, workMs));
      if (commit === 'acked') record.ack();
      if (commit === 'off' && count % commitEvery === 0) this.#commit(consumer, member, topic, partition, offset + 1);
    }
  }

  #commit(consumer: GroupConsumer, member: string, topic: string, partition: number, offset: number): void {
    const { history, number } = this.#options;
    const { group } = this.plan;
    const held = consumer.assignment.find((each) => each.topic === topic && each.partition === partition);
    if (held === undefined) return;
    const commit = number();
    const { generation } = held;
    history.add({ e: 'member-commit', group, member, commit, topic, partition, generation, offset });
    consumer.commit({ topic, partition, offset }).then(
      (committed) => history.add({ e: 'member-committed', commit, offset: committed }),
      (error: unknown) => history.add({ e: 'member-commit-failed', commit, code: codeOf(error) }),
    );
  }

  /** Closes, as planned by leaving its group with `drain`, or just so; another instance starts `reopenMs` later. */
  reopen(reopenMs: number, drain: boolean): void {
    const [client, consumer] = [this.#client, this.#consumer];
    const { clock } = this.#options;
    if (client === null || consumer === null) return;
    this.#client = null;
    const over = drain
      ? Promise.race([consumer.close(), new Promise<void>((resolve) => clock.setTimeout(resolve, 1000))])
      : Promise.resolve();
    over
      .then(() => client.close())
      .then(() => clock.setTimeout(() => this.#connect(), reopenMs))
      .catch((error: unknown) => this.#defect('close', error));
  }

  #defect(what: string, error: unknown): void {
    this.#options.history.add({ e: 'defect', text: `${this.plan.name}: ${what}: ${String(error)}` });
  }
}
