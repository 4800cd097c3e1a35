/**
 * One member of a group as its connection sees it: what it was told to have, and the subscription by which that is
 * delivered. The coordinator says what changed; commits are checked here, in the turn in which they are admitted.
 */
import { keyParts } from '../domain/assignment.ts';
import { BrokerError } from '../errors.ts';
import type { JoinCommand, MemberPosition, TopicPartition } from '../protocol/commands.ts';
import type { Catalogue } from '../shard/catalogue.ts';
import type { Partition } from '../shard/partition.ts';
import type { ShardTable } from '../shard/shard-table.ts';
import { atOffset } from './cursor-start.ts';
import type { GroupCoordinator } from './group-coordinator.ts';
import type { FrameKind, SessionOutbox } from './session-outbox.ts';
import type { CursorStart, Subscription } from './subscription.ts';

export interface MembershipParts {
  readonly kind: FrameKind;
  readonly command: JoinCommand;
  readonly subscription: Subscription;
  readonly outbox: SessionOutbox;
  readonly catalogue: Catalogue;
  readonly shards: ShardTable;
  readonly coordinator: GroupCoordinator;
  /** The broker can't go on with it: its subscription ends. */
  readonly drop: () => void;
}

/** What a new assignment changes for one member; keys of partitions. */
export interface AssignmentChange {
  readonly generation: number;
  /** With the generation in which each became the member's. */
  readonly gained: ReadonlyMap<string, number>;
  readonly asked: readonly string[];
  readonly lost: readonly string[];
}

interface Begun extends CursorStart {
  readonly key: string;
  readonly generation: number;
}

export class Membership {
  readonly group: string;
  readonly member: string;
  readonly coordinator: GroupCoordinator;
  readonly subscription: Subscription;
  readonly #parts: MembershipParts;
  readonly #positions: ReadonlyMap<string, MemberPosition>;
  /** What it may commit, with the generation that its commits carry. */
  readonly owned = new Map<string, number>();
  /** What it was asked to give back. */
  readonly revoking = new Set<string>();
  /** What it has been told of. */
  readonly #told = new Set<string>();
  /** Why it is none any more; null while it is. */
  #end: BrokerError | null = null;

  constructor(parts: MembershipParts) {
    const { command, coordinator, subscription } = parts;
    this.#parts = parts;
    this.group = command.group;
    this.member = command.member;
    this.coordinator = coordinator;
    this.subscription = subscription;
    this.#positions = new Map(command.positions.map((row) => [`${row.topic}/${row.partition}`, row]));
  }

  // --- what the coordinator says ---

  apply({ generation, gained, asked, lost }: AssignmentChange): void {
    const revoked: string[] = [];
    for (const key of lost) {
      this.owned.delete(key);
      this.revoking.delete(key);
      this.#stop(key);
      if (this.#told.delete(key)) revoked.push(key);
    }
    this.#send('revoked', generation, revoked);
    for (const key of asked) {
      this.revoking.add(key);
      this.#stop(key);
    }
    const heardOf = asked.filter((key) => this.#told.has(key));
    this.#send('revoke', generation, heardOf);
    // It never heard of the others: there is nothing to finish.
    if (heardOf.length < asked.length) {
      this.coordinator.release(
        this,
        asked.filter((key) => !this.#told.has(key)),
      );
    }
    for (const [key, since] of gained) this.owned.set(key, since);
    if (gained.size > 0) void this.#begin(generation, gained);
  }

  #send(op: 'revoke' | 'revoked', generation: number, keys: readonly string[]): void {
    if (keys.length === 0) return;
    const { outbox, kind } = this.#parts;
    const about = { subscription: this.subscription.id, generation, partitions: keys.map(keyParts) };
    if (op === 'revoked') outbox.send(kind, { op, ...about });
    else outbox.send(kind, { op, ...about, withinMs: this.coordinator.revokeMs });
  }

  #stop(key: string): void {
    const { topic, partition } = keyParts(key);
    this.subscription.remove(topic, partition);
  }

  /** Delivers from where the group has come to, behind what the former owner has committed. */
  async #begin(generation: number, gained: ReadonlyMap<string, number>): Promise<void> {
    const started = await Promise.all([...gained].map(([key, since]) => this.#startOf(key, since)));
    const starts = started.filter((start): start is Begun => start !== null && this.#stillOwns(start));
    if (starts.length === 0) return;
    for (const { key } of starts) this.#told.add(key);
    this.#parts.outbox.send(this.#parts.kind, {
      op: 'assigned',
      subscription: this.subscription.id,
      generation,
      partitions: starts.map(({ partition, offset, generation: since }) => ({
        topic: partition.topic,
        partition: partition.partition,
        generation: since,
        epoch: partition.epoch,
        offset,
        highWatermark: partition.highWatermark,
      })),
    });
    this.subscription.start(starts);
  }

  #stillOwns({ key, generation }: Begun): boolean {
    return this.#end === null && this.owned.get(key) === generation && !this.revoking.has(key);
  }

  async #startOf(key: string, generation: number): Promise<Begun | null> {
    const { topic, partition } = keyParts(key);
    const { catalogue, shards, outbox, kind, command } = this.#parts;
    const found = catalogue.get(topic);
    // Deleted: the group is told of that as well.
    if (found === undefined || partition >= found.partitions) return null;
    try {
      const engine = shards.engineOf(found, partition);
      const place = engine.partition(found, partition);
      await engine.offsets.settled(place, this.group);
      const committed = engine.offsets.committed(place, this.group);
      const own = this.#positions.get(key);
      // Where a member says that it stands counts as long as it can be: above the end it may not be.
      if (own?.generation === generation && own.offset >= (committed ?? 0) && isWithin(place, own)) {
        return { key, generation, ...atOffset(engine, place, own.offset, own.epoch) };
      }
      if (committed !== undefined) return { key, generation, ...atOffset(engine, place, committed, undefined) };
      const offset = command.from === 'earliest' ? place.start : place.highWatermark;
      // Kept, so that whoever has it next goes on here: what comes meanwhile would be skipped otherwise.
      if (command.from === 'latest') engine.offsets.commit(place, this.group, offset, noOutcome);
      return { key, generation, engine, partition: place, offset, gap: null };
    } catch (error) {
      const about = { subscription: this.subscription.id, topic, partition };
      if (this.#end === null) outbox.refuse(kind, undefined, BrokerError.from(error, 'INTERNAL', 'the start'), about);
      return null;
    }
  }

  /** Why a commit may not be; null when it may. Throws for neither. */
  refusal(key: string, generation: number | undefined): BrokerError | null {
    if (this.#end !== null) return this.#end;
    const since = this.owned.get(key);
    if (since === undefined) {
      return new BrokerError('NOT_ASSIGNED', `${key} is not member ${this.member}'s in group ${this.group}`);
    }
    if (generation === since) return null;
    return new BrokerError(
      'STALE_GENERATION',
      `${key} is member ${this.member}'s since generation ${since}; got ${generation ?? 'no generation'}`,
    );
  }

  /** Gives back what it was asked for. */
  release(partitions: readonly TopicPartition[]): void {
    this.coordinator.release(
      this,
      partitions.map(({ topic, partition }) => `${topic}/${partition}`),
    );
  }

  /** It is a member no more, and its client is told: another took its place, or the group's shard does not serve. */
  dismiss(error: BrokerError): void {
    if (this.#end !== null) return;
    const { outbox, kind, drop } = this.#parts;
    this.end(error);
    outbox.refuse(kind, undefined, error, { subscription: this.subscription.id });
    drop();
  }

  /** Nothing is delivered or committed by it any more. */
  end(error: BrokerError): void {
    this.#end ??= error;
    this.owned.clear();
    this.revoking.clear();
  }
}

function isWithin(partition: Partition, { offset, epoch = partition.epoch }: MemberPosition): boolean {
  return epoch < partition.epoch || (epoch === partition.epoch && offset <= partition.highWatermark);
}

/** Whoever is refused here begins at the same place again, or is told so when it commits. */
const noOutcome = { committed: () => {}, refused: () => {} };
