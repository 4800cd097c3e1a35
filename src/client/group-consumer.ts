/**
 * A member of a consumer group: an async iterator over the records of the partitions that it is given, which outlives
 * connections. It finishes and gives back what it is asked for, and commits by itself as it is told to.
 *
 * Invariants
 *   M1  Per partition, offsets rise from record to record; only behind a `gap` of reason `lost` may they step back.
 *   M2  What is committed by itself was done with, and everything before it.
 *   M3  Nothing of a partition is given to the loop once it was asked back; nothing is committed once it is gone.
 *   M4  Records granted and not yet taken (acked, in the mode `acked`) never exceed `credit` but for the rest of a batch.
 */
import type { Assigned, Gap, Joined, Reply, Revoke, Revoked } from '../protocol/replies.ts';
import { randomId, Timer } from './clock.ts';
import { Deferred } from './deferred.ts';
import { clientError, errorOf, messageOf, SluiceError } from './error.ts';
import { GroupCommits } from './group-commits.ts';
import type { CloseOptions, CommitMode, GroupOptions } from './group-options.ts';
import { type GroupPartition, HeldPartition } from './group-partition.ts';
import { GroupQueue } from './group-queue.ts';
import { GroupRecord } from './group-record.ts';
import type { SluiceRecord } from './record.ts';
import type { Standing, SubscriptionHost } from './subscription-options.ts';

const CREDIT_DEFAULT = 1_000;
const COMMIT_MS_DEFAULT = 1_000;
/** Mean pause before a member that the broker broke off joins again, when it says no time, ms. */
const REJOIN_MS = 2_000;

export class GroupConsumer implements AsyncIterableIterator<GroupRecord>, Standing {
  readonly group: string;
  readonly member: string;
  /** Resolves when the broker has first taken this member in; rejects when it ends before. */
  readonly ready: Promise<void>;
  readonly #host: SubscriptionHost;
  readonly #options: GroupOptions;
  readonly #mode: CommitMode;
  readonly #credit: number;
  readonly #held = new Map<string, HeldPartition>();
  readonly #joined = new Deferred<void>();
  /** The broker's number on this connection; null while it does not stand. */
  #id: number | null = null;
  #attempt: AbortController | null = null;
  readonly #pause: Timer;
  readonly #commits: GroupCommits;
  readonly #queue = new GroupQueue();
  /** Nothing was assigned yet on this connection. */
  #fresh = true;
  /** What the loop was given last. */
  #last: { readonly held: HeldPartition; readonly offset: number } | null = null;
  /** Records for which no credit was given again. */
  #spent = 0;
  #arrival: Deferred<void> | null = null;
  #closing: Promise<void> | null = null;
  #ended = false;
  #failure: SluiceError | null = null;
  readonly #abort = (): void => this.end(null);
  readonly #committer = (record: SluiceRecord): Promise<number> => this.commit(record);

  constructor(host: SubscriptionHost, options: GroupOptions) {
    const { group, topics, member = randomId(), commit = 'delivered', credit = CREDIT_DEFAULT } = options;
    if (topics.length === 0) throw clientError('BAD_REQUEST', '"topics" must name at least one topic');
    this.group = group;
    this.member = member;
    this.#host = host;
    this.#options = options;
    this.#mode = commit;
    this.#credit = credit;
    this.#pause = new Timer(host.clock);
    this.#commits = new GroupCommits(host, this.#held, () => this.#id);
    this.ready = this.#joined.promise;
    // Whoever does not ask for it hears of a failure from the iterator.
    this.ready.catch(() => {});
    options.signal?.addEventListener('abort', this.#abort);
  }

  /** What this member has now. */
  get assignment(): readonly GroupPartition[] {
    return [...this.#held.values()].filter(({ standing }) => standing).map(({ view }) => view);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next record. Throws what the broker ended the membership with. */
  async next(): Promise<IteratorResult<GroupRecord, undefined>> {
    this.#doneWithLast();
    while (!this.#ended && this.#closing === null) {
      const record = this.#take();
      if (record !== null) return { done: false, value: record };
      this.#arrival ??= new Deferred();
      await this.#arrival.promise;
    }
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure;
    return { done: true, value: undefined };
  }

  /** Leaves the group; leaving a `for await` calls it. The record that the loop was given last is not taken as done with. */
  async return(): Promise<IteratorResult<GroupRecord, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Commits a record as read (the offset behind it), or a next offset to read. Resolves once it is durable; rejects with
   * NOT_ASSIGNED when the partition is not this member's, or ceases to be before.
   */
  commit(
    at: SluiceRecord<unknown> | { readonly topic: string; readonly partition: number; readonly offset: number },
  ): Promise<number> {
    const held = this.#held.get(`${at.topic}/${at.partition}`);
    if (this.#ended) return Promise.reject(this.closed());
    if (held === undefined) return Promise.reject(notAssigned(`${at.topic}/${at.partition}`));
    const answer = held.commit('commit' in at ? at.offset + 1 : at.offset);
    this.#commits.soon();
    return answer;
  }

  /** Settles when everything that is to be committed so far is, or can't be. */
  get settled(): Promise<unknown> {
    return this.#commits.settled;
  }

  /**
   * Leaves the group: the loop gets nothing more, what is done with is committed, and what this member had goes to others
   * at once. What the loop was given and is not done with comes again, to others. Again: the same promise.
   */
  close({ withinMs = 0 }: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(withinMs);
    return this.#closing;
  }

  async #close(withinMs: number): Promise<void> {
    this.#queue.clear();
    // Behind this turn, in which `close` has yet to say that it closes.
    await Promise.resolve();
    this.#notify();
    if (withinMs > 0 && !this.#ended) {
      const timer = new Timer(this.#host.clock);
      const over = new Promise<void>((resolve) => timer.set(withinMs, resolve));
      await Promise.race([over, Promise.all([...this.#held.values()].map((held) => held.idle()))]);
      timer.clear();
    }
    await this.#commits.all();
    // Lost meanwhile, it is given up by the broker in time.
    if (this.#id !== null && this.#host.link.up) await this.#call({ op: 'leave', subscription: this.#id });
    this.leave();
    this.end(null);
  }

  /** What whoever comes to an ended member is told. */
  closed(): SluiceError {
    return clientError('CLOSED', 'the member has left its group');
  }

  // --- the loop ---

  #doneWithLast(): void {
    if (this.#last === null || this.#mode === 'acked') return;
    const { held, offset } = this.#last;
    this.#last = null;
    this.#done(held, offset);
  }

  #done(held: HeldPartition, offset: number): void {
    if (!held.done(offset, this.#mode !== 'off')) return;
    if (this.#mode === 'acked') this.#spend(1);
    if (held.dirty && this.#mode !== 'off') {
      this.#commits.within(this.#options.commitMs ?? COMMIT_MS_DEFAULT);
    }
  }

  #take(): GroupRecord | null {
    for (;;) {
      const delivery = this.#queue.take();
      if (delivery === null) return null;
      const { held } = delivery;
      if ('gap' in delivery) this.#missed(held, delivery.gap);
      else {
        const { place, view } = delivery;
        const offset = place.baseOffset + view.index;
        held.give(offset, place.epoch);
        this.#last = { held, offset };
        if (this.#mode !== 'acked') this.#spend(1);
        const ack = (acked: number): void => {
          if (this.#mode === 'acked') this.#done(held, acked);
        };
        return new GroupRecord(place, view, this.#committer, ack);
      }
    }
  }

  #missed(held: HeldPartition, gap: Gap): void {
    if (gap.reason === 'retention' && gap.offset <= held.offset) return;
    held.offset = gap.offset;
    held.epoch = gap.epoch;
    this.#host.emitter.emit('gap', { ...gap, topic: held.topic, subscription: this });
  }

  /** These are dealt with, or let go of: the broker may send as many. Told when half of the credit is used up. */
  #spend(records: number): void {
    this.#spent += records;
    if (this.#id === null || this.#spent * 2 < this.#credit) return;
    this.#host.link.send(JSON.stringify({ op: 'credit', subscription: this.#id, records: this.#spent }));
    this.#spent = 0;
  }

  #notify(): void {
    this.#arrival?.resolve();
    this.#arrival = null;
  }

  // --- what the broker says ---

  take(reply: Reply, body: Uint8Array): void {
    switch (reply.op) {
      case 'records':
      case 'gap': {
        const held = this.#held.get(`${reply.topic}/${reply.partition}`);
        if (held?.live !== true) break;
        if (reply.op === 'gap') this.#queue.pushGap(held, reply);
        else this.#queue.push(held, reply, body);
        break;
      }
      case 'assigned':
        this.#assigned(reply);
        break;
      case 'revoke':
        void this.#giveBack(reply);
        break;
      case 'revoked':
        this.#revoked(reply);
        break;
      case 'error':
        this.#fault(errorOf(reply), reply.partition !== undefined);
        break;
    }
    this.#notify();
  }

  #assigned({ partitions }: Assigned): void {
    const news: GroupPartition[] = [];
    for (const given of partitions) {
      const known = this.#held.get(`${given.topic}/${given.partition}`);
      if (known?.generation === given.generation) known.standing = true;
      else {
        const held = new HeldPartition(given);
        known?.remove(notAssigned(held.key));
        this.#held.set(held.key, held);
      }
      news.push((this.#held.get(`${given.topic}/${given.partition}`) as HeldPartition).view);
    }
    // What it had on its last connection and was not given again is somebody else's.
    if (this.#fresh) for (const held of this.#held.values()) if (!held.standing) this.#drop(held);
    this.#fresh = false;
    if (this.#commits.dirty) this.#commits.soon();
    this.#options.onAssigned?.(news);
  }

  async #giveBack({ partitions }: Revoke): Promise<void> {
    const asked = partitions.flatMap(({ topic, partition }) => this.#held.get(`${topic}/${partition}`) ?? []);
    for (const held of asked) {
      held.revoking = true;
      // Received, and never to be taken: its credit is free.
      this.#spend(Math.max(held.receivedEnd - held.offset, 0));
    }
    const id = this.#id;
    try {
      await this.#options.onRevoke?.(asked.map(({ view }) => view));
    } catch (error) {
      this.#host.emitter.emit('error', clientError('BAD_REQUEST', `onRevoke failed: ${messageOf(error)}`, error));
    }
    await Promise.all(asked.map((held) => held.idle()));
    await this.#commits.all();
    if (this.#id !== id || id === null) return;
    await this.#call({ op: 'release', subscription: id, partitions });
  }

  #revoked({ partitions }: Revoked): void {
    for (const { topic, partition } of partitions) {
      const held = this.#held.get(`${topic}/${partition}`);
      if (held === undefined) continue;
      if (!held.revoking) this.#spend(Math.max(held.receivedEnd - held.offset, 0));
      // What was given and never acked is not waited for any more.
      if (this.#mode === 'acked') this.#spend(held.outstanding);
      this.#drop(held);
    }
  }

  #drop(held: HeldPartition): void {
    this.#held.delete(held.key);
    held.remove(notAssigned(held.key));
  }

  /** For good: it ends. For now: it joins again from where its loop stands. Of one partition alone, the others go on. */
  #fault(error: SluiceError, partial: boolean): void {
    if (!partial && !error.retryable) {
      this.end(error);
      return;
    }
    this.#host.emitter.emit('error', error);
    if (!error.retryable) return;
    if (!partial) this.leave();
    this.#pause.set(error.retryAfterMs ?? REJOIN_MS * (0.5 + this.#host.random()), () => this.open());
  }

  /** The broker is told; what it answers is told as an `error` at most, and not when the connection was lost. */
  async #call(command: { readonly op: string; readonly [field: string]: unknown }): Promise<void> {
    try {
      await this.#host.requests.call(command, { repeatable: false });
    } catch (error) {
      const { emitter } = this.#host;
      if (error instanceof SluiceError && error.code !== 'OUTCOME_UNKNOWN') emitter.emit('error', error);
    }
  }

  // --- its connection ---

  open(): void {
    if (this.#ended || this.#closing !== null || !this.#host.link.up) return;
    this.leave();
    const attempt = new AbortController();
    this.#attempt = attempt;
    const { group, member } = this;
    const { topics, from } = this.#options;
    const positions = [...this.#held.values()].map(({ topic, partition, generation, offset, epoch }) => {
      return { topic, partition, generation, offset, epoch };
    });
    const command = { op: 'join', group, member, topics, from, credit: this.#credit, positions };
    const options = {
      binary: true,
      patient: true,
      signal: attempt.signal,
      onReply: ({ subscription }: Joined) => {
        this.#id = subscription;
        this.#fresh = true;
        this.#host.routes.set(subscription, this);
        this.#joined.resolve();
      },
    };
    this.#host.requests.call<Joined>(command, options).catch((error: SluiceError) => {
      if (!attempt.signal.aborted) this.end(error);
    });
  }

  /** Lets go of what came on a connection. Where the loop stands, and what is to be committed, is kept. */
  leave(): void {
    this.#attempt?.abort();
    this.#pause.clear();
    this.#queue.clear();
    this.#spent = 0;
    for (const held of this.#held.values()) {
      held.standing = false;
      held.revoking = false;
      held.receivedEnd = held.offset;
    }
    if (this.#id === null) return;
    this.#host.routes.delete(this.#id);
    this.#id = null;
  }

  end(failure: SluiceError | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#options.signal?.removeEventListener('abort', this.#abort);
    // Refused or lost, it is gone all the same.
    if (this.#id !== null && this.#host.link.up) void this.#call({ op: 'leave', subscription: this.#id });
    this.leave();
    const reason = failure ?? this.closed();
    for (const held of this.#held.values()) held.remove(reason);
    this.#held.clear();
    this.#joined.reject(reason);
    this.#commits.end();
    this.#host.subscriptions.delete(this);
    this.#notify();
  }
}

function notAssigned(key: string): SluiceError {
  return new SluiceError('NOT_ASSIGNED', `${key} is not this member's`);
}
