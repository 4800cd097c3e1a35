/**
 * Commits of one subscription. Per partition one is on its way and those made meanwhile are one more, the highest: a
 * loop that commits every record costs a command per round trip. Kept over a reconnect, until they are answered.
 */
import type { Committed } from '../protocol/replies.ts';
import { Deferred } from './deferred.ts';
import type { SluiceError } from './error.ts';

interface Commit {
  offset: number;
  readonly answer: Deferred<number>;
}

interface Lane {
  readonly partition: number;
  sent: Commit | null;
  next: Commit | null;
}

/** Sends one commit, again when it is refused for now; null while the subscription does not stand. */
export type CommitSender = (partition: number, offset: number) => Promise<Committed> | null;

export class Commits {
  readonly #sender: CommitSender;
  readonly #lanes = new Map<number, Lane>();
  #settled: Promise<unknown> = Promise.resolve();
  #ended = false;

  constructor(sender: CommitSender) {
    this.#sender = sender;
  }

  /** Settles when those made so far are answered, whichever way. */
  get settled(): Promise<unknown> {
    return this.#settled;
  }

  /** Resolves with the committed offset once it is durable; it can be higher when another reader was ahead. */
  commit(partition: number, offset: number): Promise<number> {
    let lane = this.#lanes.get(partition);
    if (lane === undefined) {
      lane = { partition, sent: null, next: null };
      this.#lanes.set(partition, lane);
    }
    lane.next ??= { offset, answer: new Deferred() };
    lane.next.offset = Math.max(lane.next.offset, offset);
    const { promise } = lane.next.answer;
    this.#settled = Promise.allSettled([this.#settled, promise]);
    if (lane.sent === null) this.#send(lane);
    return promise;
  }

  #send(lane: Lane): void {
    const commit = lane.next;
    const answer = commit && this.#sender(lane.partition, commit.offset);
    if (commit === null || answer === null) return;
    lane.sent = commit;
    lane.next = null;
    const { resolve, reject } = commit.answer;
    answer.then(
      ({ offset }) => {
        lane.sent = null;
        resolve(offset);
        this.#send(lane);
      },
      (error: SluiceError) => {
        lane.sent = null;
        // Lost with its connection, it goes again with the next.
        if (error.code === 'OUTCOME_UNKNOWN' && !this.#ended) {
          this.commit(lane.partition, commit.offset).then(resolve, reject);
        } else {
          reject(error);
          this.#send(lane);
        }
      },
    );
  }

  /** The subscription stands, perhaps again: what was not answered goes now. */
  resume(): void {
    for (const lane of this.#lanes.values()) if (lane.sent === null) this.#send(lane);
  }

  /** The subscription is about to end: sends what was held back for company. What cannot be sent fails with `error`. */
  end(error: SluiceError): void {
    this.#ended = true;
    for (const lane of this.#lanes.values()) {
      this.#send(lane);
      lane.next?.answer.reject(error);
    }
  }
}
