/**
 * A partition that a member has, from `assigned` to `revoked`: where its loop stands, what the loop was given and is not
 * done with, what is to be committed.
 *
 * Invariants
 *   P1  What is committed by itself never passes a record that was given and is not done with.
 *   P2  Offsets to commit never go back.
 */
import type { AssignedPartition } from '../protocol/replies.ts';
import { Deferred } from './deferred.ts';
import type { SluiceError } from './error.ts';

/** A partition of a member, as it is told. */
export interface GroupPartition {
  readonly topic: string;
  readonly partition: number;
  /** In which the member got it. */
  readonly generation: number;
  /** The next offset that the loop will see. */
  readonly offset: number;
  readonly highWatermark: number;
}

export class HeldPartition {
  readonly topic: string;
  readonly partition: number;
  readonly generation: number;
  /** Where the loop stands: the next offset that it will see. */
  offset: number;
  epoch: number;
  highWatermark: number;
  /** Behind the last record that was received. */
  receivedEnd: number;
  /** The broker gave it on this connection. */
  standing = true;
  /** It was asked back: the loop is given nothing more of it. */
  revoking = false;
  removed = false;
  /** The next offset to commit, and what is committed as far as is known. */
  wanted = 0;
  committed = 0;
  /** Given to the loop and not done with; rising. */
  readonly #outstanding = new Set<number>();
  #idle: Deferred<void> | null = null;
  #waiting: { readonly offset: number; readonly answer: Deferred<number> }[] = [];

  constructor({ topic, partition, generation, epoch, offset, highWatermark }: AssignedPartition) {
    this.topic = topic;
    this.partition = partition;
    this.generation = generation;
    this.epoch = epoch;
    this.offset = offset;
    this.receivedEnd = offset;
    this.highWatermark = highWatermark;
  }

  get key(): string {
    return `${this.topic}/${this.partition}`;
  }

  /** The loop may be given records of it. */
  get live(): boolean {
    return !this.removed && !this.revoking && this.standing;
  }

  get outstanding(): number {
    return this.#outstanding.size;
  }

  get view(): GroupPartition {
    const { topic, partition, generation, offset, highWatermark } = this;
    return { topic, partition, generation, offset, highWatermark };
  }

  /** The loop is given a record. */
  give(offset: number, epoch: number): void {
    this.#outstanding.add(offset);
    this.offset = offset + 1;
    this.epoch = epoch;
  }

  /** It is done with a record; false when that was known. With `commits` what is done with is to be committed. */
  done(offset: number, commits: boolean): boolean {
    if (!this.#outstanding.delete(offset)) return false;
    if (commits) {
      const [first = this.offset] = this.#outstanding;
      this.wanted = Math.max(this.wanted, first);
    }
    if (this.#outstanding.size === 0) this.#idle?.resolve();
    return true;
  }

  /** Resolves when nothing that was given is left to be done with, or the partition is gone. */
  idle(): Promise<void> {
    if (this.#outstanding.size === 0 || this.removed) return Promise.resolve();
    this.#idle ??= new Deferred();
    return this.#idle.promise;
  }

  /** Resolves with the committed offset once it is at least `offset`. */
  commit(offset: number): Promise<number> {
    this.wanted = Math.max(this.wanted, offset);
    const answer = new Deferred<number>();
    this.#waiting.push({ offset, answer });
    return answer.promise;
  }

  get dirty(): boolean {
    return this.wanted > this.committed;
  }

  settle(committed: number): void {
    this.committed = Math.max(this.committed, committed);
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ offset }) => offset > this.committed);
    for (const { offset, answer } of waiting) if (offset <= this.committed) answer.resolve(this.committed);
  }

  /** What was to be committed can't be. */
  refuse(error: SluiceError): void {
    this.wanted = this.committed;
    for (const { answer } of this.#waiting.splice(0)) answer.reject(error);
  }

  /** It is the member's no more. */
  remove(error: SluiceError): void {
    this.removed = true;
    this.refuse(error);
    this.#idle?.resolve();
  }
}
