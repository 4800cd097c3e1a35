/**
 * What a session does besides publishing: topics, subscriptions, credit, commits, the state of its producer. Each
 * command answers at once or returns a promise that the session waits for before it takes the next.
 */
import type { Config } from '../config.ts';
import type { Topic } from '../domain/topic.ts';
import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../ports/clock.ts';
import type {
  Command,
  CreateCommand,
  DeleteCommand,
  DescribeCommand,
  ProducerCommand,
  SubscribeCommand,
} from '../protocol/commands.ts';
import type { PartitionState, SubscribedPartition, TopicReply } from '../protocol/replies.ts';
import type { Catalogue } from '../shard/catalogue.ts';
import type { Partition } from '../shard/partition.ts';
import type { ShardTable } from '../shard/shard-table.ts';
import { startOf } from './cursor-start.ts';
import { GroupCommands } from './group-commands.ts';
import type { Groups } from './groups.ts';
import type { Session } from './session.ts';
import { type FrameKind, idOf, type SessionOutbox } from './session-outbox.ts';
import { type CursorStart, Subscription, type SubscriptionHost } from './subscription.ts';
import type { TextCache } from './text-cache.ts';

export interface CommandsHost {
  readonly clock: Clock;
  readonly config: Config;
  readonly logger: Logger;
  readonly shards: ShardTable;
  readonly catalogue: Catalogue;
  readonly groups: Groups;
  readonly texts: TextCache;
}

type OtherCommand = Exclude<Command, { op: 'hello' | 'publish' | 'ping' }>;

export class SessionCommands implements SubscriptionHost {
  readonly #session: Session;
  readonly #host: CommandsHost;
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #ready = new Set<Subscription>();
  readonly #groups: GroupCommands;
  #nextSubscription = 1;
  #pumping = false;
  #ended = false;

  constructor(session: Session, host: CommandsHost) {
    this.#session = session;
    this.#host = host;
    this.#groups = new GroupCommands(this, host);
  }

  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  /** Commits that are not answered yet. */
  get unanswered(): number {
    return this.#groups.unsettled;
  }

  /** A group of this connection commits, and has not committed all that it was given. */
  get owesCommits(): boolean {
    for (const subscription of this.#subscriptions.values()) if (subscription.owesCommits) return true;
    return false;
  }

  get texts(): TextCache {
    return this.#host.texts;
  }

  get outbox(): SessionOutbox {
    return this.#session.outbox;
  }

  run(kind: FrameKind, command: OtherCommand): Promise<void> | undefined {
    switch (command.op) {
      case 'create':
        return this.#create(kind, command);
      case 'describe':
        return this.#describe(kind, command);
      case 'delete':
        return this.#delete(kind, command);
      case 'topics':
        this.outbox.send(kind, {
          op: 'topics',
          ...idOf(command.id),
          topics: this.#host.catalogue.list().map(topicReply),
        });
        return undefined;
      case 'subscribe':
        return this.#subscribe(kind, command);
      case 'credit':
        this.subscriptionOf(command.subscription).addCredit(command.records);
        return undefined;
      case 'commit':
      case 'join':
      case 'release':
      case 'groups':
      case 'lag':
        return this.#groups.run(kind, command);
      case 'leave':
      case 'unsubscribe': {
        const { id, op, subscription } = command;
        this.subscriptionOf(subscription).end();
        this.#groups.leave(subscription);
        this.#subscriptions.delete(subscription);
        this.outbox.send(kind, { op: op === 'leave' ? 'left' : 'unsubscribed', ...idOf(id), subscription });
        return undefined;
      }
      case 'producer':
        this.#producer(kind, command);
        return undefined;
    }
  }

  // --- topics ---

  async #create(kind: FrameKind, command: CreateCommand): Promise<void> {
    const { partitions, durability, retention } = command;
    const topic = await this.#host.catalogue.create(command.topic, { partitions, durability, retention });
    this.outbox.send(kind, { op: 'created', ...idOf(command.id), ...topicReply(topic) });
  }

  async #describe(kind: FrameKind, command: DescribeCommand): Promise<void> {
    const { catalogue, shards } = this.#host;
    const topic = command.create ? await catalogue.ensure(command.topic) : catalogue.require(command.topic);
    const state: PartitionState[] = [];
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      // One whose shard does not serve is left out: the others can be used.
      const engine = shards.find(topic, partition);
      if (engine === null) continue;
      const { epoch, start, highWatermark } = engine.partition(topic, partition);
      state.push({ partition, epoch, start, highWatermark });
    }
    this.outbox.send(kind, { op: 'described', ...idOf(command.id), ...topicReply(topic), state });
  }

  async #delete(kind: FrameKind, command: DeleteCommand): Promise<void> {
    await this.#host.catalogue.delete(command.topic);
    this.outbox.send(kind, { op: 'deleted', ...idOf(command.id), topic: command.topic });
  }

  // --- subscriptions ---

  async #subscribe(kind: FrameKind, command: SubscribeCommand): Promise<void> {
    const { catalogue, shards } = this.#host;
    this.checkLimits(command.credit);
    const topic = await catalogue.ensure(command.topic);
    const asked = partitionsOf(command, topic);
    const starts: CursorStart[] = [];
    for (const partition of asked) {
      const engine = shards.find(topic, partition);
      if (engine !== null) starts.push(await startOf(engine, engine.partition(topic, partition), command));
    }
    // With none of them it is refused; with some it begins, and is told of the others.
    if (starts.length === 0) shards.engineOf(topic, asked[0] ?? 0);
    // Its connection may have ended meanwhile.
    if (this.#ended) return;
    const { group, credit } = command;
    const subscription = this.begin(kind, { topic: topic.name, group, credit });
    const { id } = subscription;
    const partitions = starts.map(
      ({ partition, offset }): SubscribedPartition => ({
        partition: partition.partition,
        epoch: partition.epoch,
        offset,
        highWatermark: partition.highWatermark,
      }),
    );
    this.outbox.send(kind, { op: 'subscribed', ...idOf(command.id), topic: topic.name, subscription: id, partitions });
    for (const partition of asked) this.#tellMissing(kind, topic, partition, id);
    subscription.start(starts);
  }

  /** An `error` about a partition whose shard does not serve. */
  #tellMissing(kind: FrameKind, topic: Topic, partition: number, subscription: number): void {
    try {
      this.#host.shards.engineOf(topic, partition);
    } catch (error) {
      this.outbox.refuse(kind, undefined, BrokerError.from(error, 'INTERNAL', 'the partition'), {
        subscription,
        partition,
      });
    }
  }

  /** LIMIT_EXCEEDED when one more subscription, or one with so much credit, may not be. */
  checkLimits(credit: number): void {
    const { subscriptionsMax, creditMax } = this.#host.config;
    if (this.#subscriptions.size >= subscriptionsMax) {
      throw new BrokerError('LIMIT_EXCEEDED', `at most ${subscriptionsMax} subscriptions per connection`);
    }
    if (credit > creditMax) {
      throw new BrokerError('LIMIT_EXCEEDED', `"credit" may be at most ${creditMax}; got ${credit}`);
    }
  }

  /** A new subscription, with a number of its own. */
  begin(kind: FrameKind, what: { topic: string | null; group: string | undefined; credit: number }): Subscription {
    const id = this.#nextSubscription;
    this.#nextSubscription += 1;
    const subscription = new Subscription(this, { ...what, id, kind, creditMax: this.#host.config.creditMax });
    this.#subscriptions.set(id, subscription);
    return subscription;
  }

  /** Ends a subscription that the broker can't go on with. */
  drop(subscription: Subscription): void {
    subscription.end();
    this.#subscriptions.delete(subscription.id);
  }

  /** The connection is gone, or closing. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Nothing was heard for as long as a member may be silent. */
  get silent(): boolean {
    return this.#session.silent;
  }

  /** The connection has members, whose silence is to be noticed in time. */
  watchClosely(): void {
    this.#session.watchClosely();
  }

  subscriptionOf(id: number): Subscription {
    const subscription = this.#subscriptions.get(id);
    if (subscription !== undefined) return subscription;
    throw new BrokerError('UNKNOWN_SUBSCRIPTION', `this connection has no subscription ${id}`);
  }

  #producer(kind: FrameKind, command: ProducerCommand): void {
    const { producer } = this.#session;
    if (producer === undefined)
      throw new BrokerError('PRODUCER_REQUIRED', 'this connection has no producer; give one in hello');
    const topic = this.#host.catalogue.require(command.topic);
    const partitions: { partition: number; sequence: number }[] = [];
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      // Refused when a shard does not serve: a partition that was left out would be taken for one without any, and its
      // publisher would begin with sequences that stand for other records.
      const engine = this.#host.shards.engineOf(topic, partition);
      const sequence = engine.lastSequence(engine.partition(topic, partition), producer);
      if (sequence !== null) partitions.push({ partition, sequence });
    }
    this.outbox.send(kind, { op: 'producer', ...idOf(command.id), topic: topic.name, producer, partitions });
  }

  // --- deliveries ---

  roomBytes(): number {
    return this.#session.roomBytes();
  }

  get delivering(): boolean {
    return this.#session.delivering;
  }

  cursorReady(subscription: Subscription): void {
    this.#ready.add(subscription);
    this.pump();
  }

  /** Delivers to subscriptions that can go on, one after another. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (const subscription of this.#ready) {
        if (this.#session.roomBytes() <= 0) break;
        this.#ready.delete(subscription);
        subscription.pump();
        if (subscription.hungry) this.#ready.add(subscription);
      }
    } finally {
      this.#pumping = false;
    }
  }

  readFailed(error: BrokerError, partition: Partition): void {
    this.#host.logger.error({ session: this.#session.id, partition: partition.label, err: error }, 'a read failed');
  }

  /** Deliveries have stopped: what was given and not committed is kept in mind. */
  noteDelivered(): void {
    for (const subscription of this.#subscriptions.values()) subscription.noteDelivered();
  }

  endAll(): void {
    this.#ended = true;
    this.#groups.endAll();
    for (const subscription of this.#subscriptions.values()) subscription.end();
    this.#subscriptions.clear();
    this.#ready.clear();
  }
}

function topicReply({ name, partitions, durability, retention }: Topic): TopicReply {
  return { topic: name, partitions, durability, retention };
}

function partitionsOf(command: SubscribeCommand, topic: Topic): readonly number[] {
  const asked = command.partitions ?? Array.from({ length: topic.partitions }, (_, partition) => partition);
  for (const partition of [...asked, ...command.positions.keys()]) {
    if (partition < topic.partitions) continue;
    throw new BrokerError(
      'UNKNOWN_PARTITION',
      `topic ${topic.name} has partitions 0 to ${topic.partitions - 1}; got ${partition}`,
    );
  }
  return [...new Set(asked)];
}
