/**
 * Saves the shard's derived state while it runs, behind every so many log bytes, and in full at the end. The writes go
 * to the meta store in the background: a crash between them costs a longer replay and nothing else.
 */
import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Log } from '../storage/log.ts';
import type { MetaStore } from '../storage/meta.ts';
import { indexKey, takeCheckpoint } from './checkpoint.ts';
import type { ShardState } from './shard-state.ts';

export interface CheckpointerOptions {
  readonly state: ShardState;
  readonly log: Log;
  readonly meta: MetaStore;
  readonly logger: Logger;
  readonly limits: {
    readonly checkpointBytes: number;
    readonly producersMax: number;
    readonly producerExpiryMs: number;
  };
}

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  #bytesSince = 0;
  #writing: Promise<void> | null = null;
  /** The store failed: derived state is no longer saved, and the next start replays from the last good checkpoint. */
  #failed: BrokerError | null = null;
  #stopped = false;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
  }

  /** Behind every group: the state stands exactly at the end of the log. */
  onGroup(bytes: number): void {
    this.#bytesSince += bytes;
    if (this.#bytesSince >= this.#options.limits.checkpointBytes) this.begin();
  }

  /** Saves in the background what changed, unless that is under way, has failed, or is over. Awaits nothing. */
  begin(): void {
    if (this.#bytesSince === 0 || this.#writing !== null || this.#failed !== null || this.#stopped) return;
    this.#bytesSince = 0;
    this.#writing = this.#write(false)
      .catch((error: unknown) => {
        this.#failed = BrokerError.from(error, 'META_DAMAGED', 'the checkpoint could not be saved');
        this.#options.logger.error(
          { shard: this.#options.state.shard, err: error },
          'checkpoint failed; the log keeps all',
        );
      })
      .finally(() => {
        this.#writing = null;
      });
  }

  /** The last checkpoint, synced. Rejects when this one or one before could not be saved. */
  async finish(): Promise<void> {
    // None in the background any more: it would cover the clean mark, which has to be the one entry behind this one.
    this.#stopped = true;
    await this.idle();
    if (this.#failed !== null) throw this.#failed;
    await this.#write(true);
  }

  async idle(): Promise<void> {
    await this.#writing;
  }

  stop(): void {
    this.#stopped = true;
  }

  async #write(durable: boolean): Promise<void> {
    const { state, log, meta } = this.#options;
    this.#forgetIdleProducers();
    const taken = takeCheckpoint(state, log.end);
    await meta.write(taken.writes, durable);
    taken.saved();
    // A crash before this leaves rows that nothing leads to: a handle is never given out again.
    for (const handle of taken.closed)
      await meta.clearIndex(indexKey(handle, 0), indexKey(handle, Number.MAX_SAFE_INTEGER));
  }

  /** The longest idle first: the map's order is the order of last use. */
  #forgetIdleProducers(): void {
    const { state, limits } = this.#options;
    const before = state.lastTime - limits.producerExpiryMs;
    for (const [key, window] of state.producers) {
      if (window.lastTime >= before && state.producers.size <= limits.producersMax) break;
      state.forgetProducer(key);
    }
  }
}
