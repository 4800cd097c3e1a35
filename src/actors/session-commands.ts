/**
 * What a session does besides publishing: topics, subscriptions, credit, commits, the state of its producer. Each
 * command answers at once or returns a promise that the session waits for before it takes the next.
 */
import type { Config } from '../config.ts';
import { endOfEpoch } from '../domain/epoch.ts';
import type { Topic } from '../domain/topic.ts';
import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type {
  Command,
  CommitCommand,
  CreateCommand,
  DeleteCommand,
  DescribeCommand,
  ProducerCommand,
  StartPosition,
  SubscribeCommand,
} from '../protocol/commands.ts';
import type { PartitionState, SubscribedPartition, TopicReply } from '../protocol/replies.ts';
import type { Catalogue } from '../shard/catalogue.ts';
import type { Partition } from '../shard/partition.ts';
import type { ShardEngine } from '../shard/shard-engine.ts';
import type { ShardTable } from '../shard/shard-table.ts';
import { idOf, type Session } from './session.ts';
import type { FrameKind, SessionOutbox } from './session-outbox.ts';
import { type CursorStart, Subscription, type SubscriptionHost } from './subscription.ts';
import type { TextCache } from './text-cache.ts';

export interface CommandsHost {
  readonly config: Config;
  readonly logger: Logger;
  readonly shards: ShardTable;
  readonly catalogue: Catalogue;
  readonly texts: TextCache;
}

type OtherCommand = Exclude<Command, { op: 'hello' | 'publish' | 'ping' }>;

export class SessionCommands implements SubscriptionHost {
  readonly #session: Session;
  readonly #host: CommandsHost;
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #ready = new Set<Subscription>();
  #nextSubscription = 1;
  #pumping = false;

  constructor(session: Session, host: CommandsHost) {
    this.#session = session;
    this.#host = host;
  }

  get subscriptions(): number {
    return this.#subscriptions.size;
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
        this.#subscriptionOf(command.subscription).addCredit(command.records);
        return undefined;
      case 'commit':
        this.#commit(kind, command);
        return undefined;
      case 'unsubscribe':
        this.#subscriptionOf(command.subscription).end();
        this.#subscriptions.delete(command.subscription);
        this.outbox.send(kind, { op: 'unsubscribed', ...idOf(command.id), subscription: command.subscription });
        return undefined;
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
    const { config, catalogue, shards } = this.#host;
    if (this.#subscriptions.size >= config.subscriptionsMax) {
      throw new BrokerError('LIMIT_EXCEEDED', `at most ${config.subscriptionsMax} subscriptions per connection`);
    }
    if (command.credit > config.creditMax) {
      throw new BrokerError('LIMIT_EXCEEDED', `"credit" may be at most ${config.creditMax}; got ${command.credit}`);
    }
    const topic = await catalogue.ensure(command.topic);
    const asked = partitionsOf(command, topic);
    const starts: CursorStart[] = [];
    for (const partition of asked) {
      const engine = shards.find(topic, partition);
      if (engine !== null) starts.push(await startOf(engine, engine.partition(topic, partition), command));
    }
    // With none of them it is refused; with some it begins, and is told of the others.
    if (starts.length === 0) shards.engineOf(topic, asked[0] ?? 0);
    const id = this.#nextSubscription;
    this.#nextSubscription += 1;
    const { group, credit } = command;
    const subscription = new Subscription(this, {
      id,
      topic: topic.name,
      group,
      kind,
      credit,
      creditMax: config.creditMax,
    });
    this.#subscriptions.set(id, subscription);
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

  #subscriptionOf(id: number): Subscription {
    const subscription = this.#subscriptions.get(id);
    if (subscription !== undefined) return subscription;
    throw new BrokerError('UNKNOWN_SUBSCRIPTION', `this connection has no subscription ${id}`);
  }

  #commit(kind: FrameKind, command: CommitCommand): void {
    const subscription = this.#subscriptionOf(command.subscription);
    const { group } = subscription;
    if (group === undefined) {
      throw new BrokerError(
        'BAD_REQUEST',
        `subscription ${subscription.id} has no "group" to commit for; subscribe with one`,
      );
    }
    const { engine, partition } = subscription.cursorOf(command.partition);
    const { offset } = command;
    if (offset > partition.highWatermark) throw rangeError(partition, offset);
    subscription.noteCommit(command.partition, offset);
    engine.offsets.commit(partition, group, offset, {
      committed: () => {
        const committed = engine.offsets.committed(partition, group) ?? offset;
        this.outbox.send(kind, {
          op: 'committed',
          ...idOf(command.id),
          partition: command.partition,
          offset: committed,
        });
      },
      refused: (error) => this.outbox.refuse(kind, command.id, error),
    });
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

async function startOf(engine: ShardEngine, partition: Partition, command: SubscribeCommand): Promise<CursorStart> {
  const position = command.positions.get(partition.partition);
  const from: StartPosition = position === undefined ? command.from : { at: 'offset', ...position };
  const plain = (offset: number): CursorStart => ({ engine, partition, offset, gap: null });
  switch (from.at) {
    case 'earliest':
      return plain(partition.start);
    case 'latest':
      return plain(partition.highWatermark);
    case 'committed': {
      const committed = command.group === undefined ? undefined : engine.offsets.committed(partition, command.group);
      return committed === undefined ? plain(partition.start) : atOffset(engine, partition, committed, undefined);
    }
    case 'last':
      return plain(Math.max(partition.start, partition.highWatermark - from.count));
    case 'time':
      return plain(await engine.offsetAtTime(partition, from.time));
    case 'offset':
      return atOffset(engine, partition, from.offset, from.epoch);
  }
}

/** A start at an offset, or where the consumer can go on when a crash or retention took what it asks for. */
function atOffset(engine: ShardEngine, partition: Partition, offset: number, epoch: number | undefined): CursorStart {
  const { start, highWatermark } = partition;
  if (epoch !== undefined && epoch > partition.epoch) {
    throw new BrokerError(
      'OFFSET_OUT_OF_RANGE',
      `${partition.label} is in epoch ${partition.epoch}; got epoch ${epoch}`,
    );
  }
  const end = epoch === undefined ? null : endOfEpoch(partition.epochs, epoch);
  if (end !== null && offset > end) {
    return { engine, partition, offset: end, gap: { reason: 'lost', from: end, to: offset } };
  }
  if (offset > highWatermark) throw rangeError(partition, offset);
  if (offset < start)
    return { engine, partition, offset: start, gap: { reason: 'retention', from: offset, to: start } };
  return { engine, partition, offset, gap: null };
}

function rangeError(partition: Partition, offset: number): BrokerError {
  return new BrokerError(
    'OFFSET_OUT_OF_RANGE',
    `offset ${offset} is outside ${partition.start} to ${partition.highWatermark} of ${partition.label}`,
  );
}
