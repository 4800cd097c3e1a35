/**
 * Commits of a member: what is to be committed of all its partitions goes as one command, one at a time. What cannot go
 * waits for the next connection, or for the next turn of the timer.
 */
import type { CommittedMany } from '../protocol/replies.ts';
import { Timer } from './clock.ts';
import { Deferred } from './deferred.ts';
import { SluiceError } from './error.ts';
import type { HeldPartition } from './group-partition.ts';
import type { SubscriptionHost } from './subscription-options.ts';

/** Until what was refused for now goes again, ms. */
const AGAIN_MS = 1_000;

export class GroupCommits {
  readonly #host: SubscriptionHost;
  readonly #held: ReadonlyMap<string, HeldPartition>;
  /** The number of the member on this connection; null while it does not stand. */
  readonly #id: () => number | null;
  readonly #timer: Timer;
  #due = false;
  #running: Promise<void> | null = null;
  /** Made by whoever waits until everything is committed. */
  #clean: Deferred<void> | null = null;

  constructor(host: SubscriptionHost, held: ReadonlyMap<string, HeldPartition>, id: () => number | null) {
    this.#host = host;
    this.#held = held;
    this.#id = id;
    this.#timer = new Timer(host.clock);
  }

  get dirty(): boolean {
    return [...this.#held.values()].some((held) => held.dirty);
  }

  /** Settles when all that is to be committed so far is, or can't be. */
  get settled(): Promise<void> {
    if (!this.dirty) return Promise.resolve();
    this.#clean ??= new Deferred();
    this.soon();
    return this.#clean.promise;
  }

  /** Behind this turn, so that all that is committed in it goes as one. */
  soon(): void {
    void Promise.resolve().then(() => this.all());
  }

  within(ms: number): void {
    if (this.#due) return;
    this.#due = true;
    this.#timer.set(ms, () => {
      this.#due = false;
      this.soon();
    });
  }

  /** Commits what is to be. Resolves when nothing is left, or the rest must wait. Never rejects. */
  all(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    for (;;) {
      const dirty = [...this.#held.values()].filter((held) => held.dirty && held.standing);
      if (!this.dirty) this.#clean?.resolve();
      const subscription = this.#id();
      if (dirty.length === 0 || subscription === null || !this.#host.link.up) return;
      this.#clearTimer();
      const offsets = dirty.map(({ topic, partition, generation, wanted }) => {
        return { topic, partition, generation, offset: wanted };
      });
      try {
        const command = { op: 'commit', subscription, offsets };
        const reply = await this.#host.requests.call<CommittedMany>(command, { repeatable: false });
        if (!this.#settle(dirty, reply)) return;
      } catch (error) {
        // Lost with its connection, it goes again with the next.
        const lost = error instanceof SluiceError && error.code === 'OUTCOME_UNKNOWN';
        if (!lost) this.#host.emitter.emit('error', error as SluiceError);
        return;
      }
    }
  }

  /** False when some were refused for now: they go again in a while. */
  #settle(sent: readonly HeldPartition[], { offsets, refused = [] }: CommittedMany): boolean {
    const byKey = new Map(sent.map((held) => [held.key, held]));
    for (const { topic, partition, offset } of offsets) byKey.get(`${topic}/${partition}`)?.settle(offset);
    let again = false;
    for (const { topic, partition, code, message, retryable } of refused) {
      const error = new SluiceError(code, message, { retryable });
      this.#host.emitter.emit('error', error);
      if (retryable) again = true;
      else byKey.get(`${topic}/${partition}`)?.refuse(error);
    }
    if (again) this.within(AGAIN_MS);
    return !again;
  }

  #clearTimer(): void {
    this.#timer.clear();
    this.#due = false;
  }

  /** Nothing is committed any more. */
  end(): void {
    this.#clearTimer();
    this.#clean?.resolve();
  }
}
