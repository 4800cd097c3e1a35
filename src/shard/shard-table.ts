/**
 * Which shard serves what: the engines by shard, and the arithmetic that leads a (topic, partition) to one. Filled by
 * the shard actors as they open and end; asked by sessions and the catalogue.
 */
import { homeShardOf, shardOf } from '../domain/partition.ts';
import type { Topic } from '../domain/topic.ts';
import { BrokerError, messageOf } from '../errors.ts';
import type { ShardEngine } from './shard-engine.ts';

export class ShardTable {
  readonly count: number;
  readonly #engines: (ShardEngine | null)[];
  readonly #failures: (unknown | null)[];
  /** Called when a shard has begun, or ceased, to serve. */
  onServing: (engine: ShardEngine) => void = () => {};
  onFailed: (shard: number, why: unknown) => void = () => {};

  constructor(count: number) {
    this.count = count;
    this.#engines = new Array<ShardEngine | null>(count).fill(null);
    this.#failures = new Array<unknown | null>(count).fill(null);
  }

  serve(engine: ShardEngine): void {
    this.#engines[engine.shard] = engine;
    this.#failures[engine.shard] = null;
    this.onServing(engine);
  }

  /** The shard serves no more; `why` is told to whoever asks. */
  fail(shard: number, why: unknown): void {
    this.#engines[shard] = null;
    this.#failures[shard] = why;
    this.onFailed(shard, why);
  }

  get engines(): readonly ShardEngine[] {
    return this.#engines.filter((engine) => engine !== null);
  }

  engineAt(shard: number): ShardEngine | null {
    return this.#engines[shard] ?? null;
  }

  homeOf(topic: string): number {
    return homeShardOf(topic, this.count);
  }

  /** The engine that owns the partition. SHARD_FAILED when it does not serve. */
  engineOf(topic: Topic, partition: number): ShardEngine {
    return this.serving(shardOf(topic.name, partition, this.count));
  }

  /** The same; null when it does not serve. */
  find(topic: Topic, partition: number): ShardEngine | null {
    return this.engineAt(shardOf(topic.name, partition, this.count));
  }

  /** The engine of a shard. SHARD_FAILED when it does not serve. */
  serving(shard: number): ShardEngine {
    const engine = this.#engines[shard];
    if (engine !== null && engine !== undefined) return engine;
    const failure = this.#failures[shard];
    // Released in a shutdown it has not failed: it is gone, like the broker soon.
    if (failure instanceof BrokerError && failure.code === 'DRAINING') throw failure;
    const why = failure === null || failure === undefined ? 'it is not open yet' : messageOf(failure);
    throw new BrokerError('SHARD_FAILED', `shard ${shard} does not serve: ${why}`, { retryAfterMs: 5000 });
  }
}
