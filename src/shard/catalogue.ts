/**
 * The topics of the broker: one map for all shards, each topic's truth in the log of its home shard. Creation is told
 * only when it is durable there; partitions open in their own shards on first use, so a topic costs a row, not a file.
 */
import { type Durability, type Retention, sameSettings, type Topic, topicNameFault } from '../domain/topic.ts';
import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../ports/clock.ts';
import type { EntryKind } from '../storage/log.ts';
import type { ControlBody } from './control-entry.ts';
import type { ShardEngine } from './shard-engine.ts';
import { TOPIC_ID_SHARDS } from './shard-state.ts';
import type { ShardTable } from './shard-table.ts';

export interface CatalogueDefaults {
  readonly partitions: number;
  readonly durability: Durability;
  readonly autoCreate: boolean;
  readonly topicsMax: number;
}

export interface WantedSettings {
  readonly partitions?: number | undefined;
  readonly durability?: Durability | undefined;
  readonly retention?: Retention | undefined;
}

/** When to come back to a name whose last change waits to be written. */
const UNSETTLED_RETRY_MS = 1000;

export class Catalogue {
  readonly #shards: ShardTable;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #defaults: CatalogueDefaults;
  readonly #topics = new Map<string, Topic>();
  readonly #creating = new Map<string, Promise<Topic>>();
  readonly #deleting = new Map<string, Promise<void>>();
  /** Names whose change was answered OUTCOME_UNKNOWN and may yet be written: none is begun meanwhile. */
  readonly #unsettled = new Set<string>();
  /** Called when a topic was made, deleted or found. */
  onChange: (topic: string) => void = () => {};

  constructor(shards: ShardTable, clock: Clock, logger: Logger, defaults: CatalogueDefaults) {
    this.#shards = shards;
    this.#clock = clock;
    this.#logger = logger;
    this.#defaults = defaults;
  }

  get size(): number {
    return this.#topics.size;
  }

  get(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  /** All topics, by name. */
  list(): Topic[] {
    return [...this.#topics.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A shard opened: its topics are known from now on. */
  addShard(engine: ShardEngine): void {
    for (const topic of engine.state.topics.values()) this.#set(topic);
  }

  /**
   * Closes partitions whose topic was deleted while they could not be told (a crash between the two). A topic whose
   * home shard does not serve is left alone: it may well exist.
   */
  async closeOrphans(): Promise<void> {
    for (const engine of this.#shards.engines) {
      const orphans = new Set<number>();
      for (const { topic, topicId } of engine.state.partitions.values()) {
        if (this.#shards.engineAt(this.#shards.homeOf(topic)) === null) continue;
        if (this.#topics.get(topic)?.id !== topicId) orphans.add(topicId);
      }
      for (const topicId of orphans) {
        this.#logger.info({ shard: engine.shard, topicId }, 'closing partitions of a deleted topic');
        await engine.closeTopic(topicId);
      }
    }
  }

  /** The topic, or an UNKNOWN_TOPIC / INVALID_TOPIC. */
  require(name: string): Topic {
    const topic = this.#topics.get(name);
    if (topic !== undefined) return topic;
    const fault = topicNameFault(name);
    if (fault !== null) throw new BrokerError('INVALID_TOPIC', fault);
    throw new BrokerError('UNKNOWN_TOPIC', `there is no topic ${JSON.stringify(name)}; create it first`);
  }

  /** The topic, made with the defaults when there is none and that is allowed. */
  ensure(name: string): Topic | Promise<Topic> {
    const topic = this.#topics.get(name);
    if (topic !== undefined) return topic;
    if (!this.#defaults.autoCreate) {
      this.require(name);
    }
    return this.create(name, {});
  }

  /**
   * Makes a topic; resolves when it is durable. One that exists is given back when nothing asked for differs, else
   * TOPIC_EXISTS. INVALID_TOPIC, LIMIT_EXCEEDED, SHARD_FAILED, DRAINING, OUTCOME_UNKNOWN.
   */
  async create(name: string, wanted: WantedSettings): Promise<Topic> {
    const fault = topicNameFault(name);
    if (fault !== null) throw new BrokerError('INVALID_TOPIC', fault);
    const deleting = this.#deleting.get(name);
    if (deleting !== undefined) {
      // Whoever deletes it is told how that went.
      await deleting.catch(() => {});
      return this.create(name, wanted);
    }
    // Looked at and begun in one turn: two who create the same topic must not both make it.
    const existing = this.#topics.get(name) ?? this.#creating.get(name);
    if (existing !== undefined) return this.#sameOrExists(await existing, wanted);
    if (this.#topics.size + this.#creating.size >= this.#defaults.topicsMax) {
      throw new BrokerError(
        'LIMIT_EXCEEDED',
        `there are ${this.#topics.size} topics; at most ${this.#defaults.topicsMax} are allowed`,
      );
    }
    const creating = this.#create(name, wanted);
    this.#creating.set(name, creating);
    try {
      return await creating;
    } finally {
      this.#creating.delete(name);
    }
  }

  #sameOrExists(existing: Topic, wanted: WantedSettings): Topic {
    const asked = { ...existing, ...definedOf(wanted) };
    if (sameSettings(existing, asked)) return existing;
    const { partitions, durability, retention } = existing;
    throw new BrokerError(
      'TOPIC_EXISTS',
      `topic ${existing.name} exists with ${JSON.stringify({ partitions, durability, retention })}`,
    );
  }

  async #create(name: string, wanted: WantedSettings): Promise<Topic> {
    const home = this.#shards.serving(this.#shards.homeOf(name));
    const topic: Topic = {
      name,
      id: home.state.takeHandle() * TOPIC_ID_SHARDS + home.shard,
      createdAt: this.#clock.now(),
      partitions: wanted.partitions ?? this.#defaults.partitions,
      durability: wanted.durability ?? this.#defaults.durability,
      retention: wanted.retention ?? { ms: null, bytes: null },
    };
    await this.#change(home, name, { change: 'create', topic }, () => this.#set(topic));
    return topic;
  }

  #set(topic: Topic): void {
    this.#topics.set(topic.name, topic);
    this.onChange(topic.name);
  }

  /** Deletes a topic and all in it; resolves when that is durable. UNKNOWN_TOPIC, SHARD_FAILED, OUTCOME_UNKNOWN. */
  async delete(name: string): Promise<void> {
    const topic = this.require(name);
    const deleting = this.#deleting.get(name) ?? this.#delete(topic);
    this.#deleting.set(name, deleting);
    try {
      await deleting;
    } finally {
      this.#deleting.delete(name);
    }
  }

  async #delete({ name, id }: Topic): Promise<void> {
    const home = this.#shards.serving(this.#shards.homeOf(name));
    let closing: Promise<unknown> = Promise.resolve();
    await this.#change(home, name, { change: 'delete', name, id }, () => {
      this.#topics.delete(name);
      this.onChange(name);
      closing = Promise.all(this.#shards.engines.map((engine) => engine.closeTopic(id)));
      closing.catch((error: unknown) => {
        this.#logger.warn({ topic: name, err: error }, 'partitions of a deleted topic stay until the next start');
      });
    });
    await closing;
  }

  /** What is written counts, whether or not whoever asked was told in time. */
  async #change(
    home: ShardEngine,
    name: string,
    body: ControlBody<typeof EntryKind.topic>,
    apply: () => void,
  ): Promise<void> {
    if (this.#unsettled.has(name)) {
      const text = `an earlier change of topic ${name} waits to be written, and may yet be`;
      throw new BrokerError('OUTCOME_UNKNOWN', text, { retryAfterMs: UNSETTLED_RETRY_MS });
    }
    let written = false;
    try {
      await home.changeTopic(body, () => {
        written = true;
        this.#unsettled.delete(name);
        apply();
      });
    } catch (error) {
      if (!written && error instanceof BrokerError && error.code === 'OUTCOME_UNKNOWN') this.#unsettled.add(name);
      throw error;
    }
  }
}

function definedOf(wanted: WantedSettings): Partial<Topic> {
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
}
