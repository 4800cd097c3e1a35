/**
 * Coordinates one group: steps its chart, writes what it has become into the log of its shard, and tells members what
 * is durable. Made by `Groups`, for groups that have members or had some a moment ago.
 *
 * Guarantees
 *   C1  A member is told only what is in the log.
 *   C2  One entry is on its way at a time; what happens meanwhile shares the next.
 *   C3  While the shard drains nobody is given up.
 */
import type { Config } from '../config.ts';
import type { GroupRecord } from '../domain/group.ts';
import { BrokerError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { GroupChart, type GroupEvent, type GroupState } from '../machines/group.ts';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import { groupBodyOf } from '../shard/group-record.ts';
import type { ShardEngine } from '../shard/shard-engine.ts';
import type { Membership } from './membership.ts';

export interface CoordinatorParts {
  readonly name: string;
  readonly engine: ShardEngine;
  /** The group as its shard's log knows it. */
  readonly record: GroupRecord;
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Partitions of these topics, as far as they exist. */
  readonly partitionsOf: (topics: Iterable<string>, record: GroupRecord) => ReadonlyMap<string, number>;
  /** Monotonic ms since when the shard serves: members that the log knows have from there on to come back. */
  readonly servingSince: number;
  /** Nobody is in it any more, and that is durable. */
  readonly onEmpty: () => void;
  readonly counts: GroupCounts;
}

/** Counted over all groups since the start. */
export interface GroupCounts {
  rebalances: number;
  /** Partitions that went on because their owners did not give them back in time. */
  expiredRevocations: number;
  /** Members given up: not back in time, or silent. */
  expiredMembers: number;
}

/** How often a group that stands still because its shard drains is looked at, ms. */
const FROZEN_LOOK_MS = 1000;

export class GroupCoordinator {
  readonly name: string;
  readonly engine: ShardEngine;
  readonly revokeMs: number;
  readonly #parts: CoordinatorParts;
  readonly #chart: GroupChart;
  readonly #memberships = new Map<string, Membership>();
  /** What is durable, and told. */
  #told: { readonly record: GroupRecord; readonly revoking: ReadonlySet<string> };
  #writing = false;
  #saveDue = false;
  /** Monotonic ms at which each is over: the wait of `preparing`, graces by member, revocations by partition. */
  #prepareUntil: number | null = null;
  readonly #graces = new Map<string, number>();
  readonly #revokes = new Map<string, number>();
  #timer: TimerHandle | null = null;
  #ended = false;
  rebalances = 0;

  constructor(parts: CoordinatorParts) {
    const { name, engine, record, config, clock, partitionsOf, servingSince } = parts;
    this.#parts = parts;
    this.name = name;
    this.engine = engine;
    this.revokeMs = config.groupRevokeMs;
    this.#chart = new GroupChart({ record, partitions: partitionsOf(topicsOf(record), record) });
    this.#told = { record, revoking: new Set() };
    if (this.state === 'returning') {
      this.#prepareUntil = Math.max(servingSince + config.groupRejoinMs, clock.monotonic());
      this.#arm();
    }
  }

  get state(): GroupState {
    return this.#chart.state;
  }

  /** Members and owners, as they will be told. */
  get group(): GroupChart['group'] {
    return this.#chart.group;
  }

  has(membership: Membership): boolean {
    return this.#memberships.get(membership.member) === membership;
  }

  // --- what members do ---

  /** A member is there, new or again; whoever was there as the same member is dismissed. */
  join(membership: Membership, topics: readonly string[]): void {
    const { member } = membership;
    const former = this.#memberships.get(member);
    this.#memberships.delete(member);
    if (former !== undefined) {
      const text = `another connection joined group ${this.name} as member ${member}`;
      former.dismiss(new BrokerError('MEMBER_TAKEN', text));
      this.#step({ type: 'member.lost', member });
    }
    this.#memberships.set(member, membership);
    this.#graces.delete(member);
    this.#refreshTopics([...topicsOf(this.group), ...topics]);
    this.#step({ type: 'member.joined', member, topics });
  }

  /** Its connection is gone. Silent, it had its grace already. */
  lost(membership: Membership, silent: boolean): void {
    if (!this.#remove(membership)) return;
    const { member } = membership;
    const { clock, config, counts } = this.#parts;
    if (silent && !this.#frozen) {
      counts.expiredMembers += 1;
      this.#step({ type: 'member.left', member });
      return;
    }
    this.#graces.set(member, clock.monotonic() + config.groupGraceMs);
    this.#step({ type: 'member.lost', member });
  }

  leave(membership: Membership): void {
    if (this.#remove(membership)) this.#step({ type: 'member.left', member: membership.member });
  }

  release(membership: Membership, keys: readonly string[]): void {
    if (this.has(membership)) this.#step({ type: 'partitions.released', member: membership.member, keys });
  }

  /** A topic was made or deleted. */
  topicChanged(topic: string): void {
    const topics = topicsOf(this.group);
    if (topics.has(topic)) this.#refreshTopics(topics);
  }

  /** The shard serves no more: nothing is decided or told from here on. */
  end(error: BrokerError): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#timer !== null) this.#parts.clock.clearTimeout(this.#timer);
    this.#timer = null;
    for (const membership of this.#memberships.values()) membership.dismiss(error);
    this.#memberships.clear();
  }

  #remove(membership: Membership): boolean {
    membership.end(new BrokerError('NOT_ASSIGNED', `member ${membership.member} has left group ${this.name}`));
    if (!this.has(membership)) return false;
    this.#memberships.delete(membership.member);
    return true;
  }

  #refreshTopics(topics: Iterable<string>): void {
    const partitions = this.#parts.partitionsOf(topics, this.group);
    const known = this.group.partitions;
    const same =
      known.size === partitions.size && [...partitions].every(([topic, count]) => known.get(topic) === count);
    if (!same) this.#step({ type: 'topics.changed', partitions });
  }

  // --- deciding, writing, telling ---

  #step(event: GroupEvent): void {
    if (this.#ended) return;
    const before = this.state;
    this.#chart.send(event);
    if (this.state !== before) this.#entered();
    this.#saveSoon();
    this.#arm();
  }

  #entered(): void {
    const { clock, config } = this.#parts;
    const waits = { gathering: config.groupSettleMs, returning: config.groupRejoinMs };
    const { state } = this;
    this.#prepareUntil = state === 'gathering' || state === 'returning' ? clock.monotonic() + waits[state] : null;
  }

  /** What happens in one turn is one entry. */
  #saveSoon(): void {
    if (this.#saveDue || this.#writing) return;
    this.#saveDue = true;
    this.#parts.clock.defer(() => {
      this.#saveDue = false;
      this.#save();
    });
  }

  #save(): void {
    if (this.#ended || this.#writing) return;
    const { group } = this;
    if (sameRecord(group, this.#told.record)) {
      this.#tell(group);
      return;
    }
    this.#writing = true;
    const written = (): void => {
      this.#writing = false;
      if (this.#ended) return;
      if (group.generation > this.#told.record.generation) this.#countRebalance(group);
      this.#tell(group);
      if (this.group !== group) this.#save();
    };
    this.engine.changeGroup(groupBodyOf(this.name, group), written).catch((error: BrokerError) => {
      // It may yet be written, and is told then.
      if (error.code === 'OUTCOME_UNKNOWN') return;
      this.#writing = false;
      this.#parts.logger.warn({ group: this.name, reason: error.message }, 'a change of a group was not written');
    });
  }

  #countRebalance(group: GroupChart['group']): void {
    this.rebalances += 1;
    this.#parts.counts.rebalances += 1;
    const { generation, members, revoking } = group;
    this.#parts.logger.info(
      { group: this.name, generation, members: members.size, revoking: revoking.size },
      'group assigned anew',
    );
  }

  /** Tells every member what is durable and new to it. */
  #tell(group: GroupChart['group']): void {
    this.#told = { record: group, revoking: group.revoking };
    const owned = new Map<string, Map<string, number>>();
    for (const [key, { member, since }] of group.owners) {
      const keys = owned.get(member) ?? new Map<string, number>();
      owned.set(member, keys.set(key, since));
    }
    const { clock, config } = this.#parts;
    for (const [key] of this.#revokes) if (!group.revoking.has(key)) this.#revokes.delete(key);
    for (const key of group.revoking) {
      if (!this.#revokes.has(key)) this.#revokes.set(key, clock.monotonic() + config.groupRevokeMs);
    }
    for (const [member, membership] of [...this.#memberships]) {
      const keys = owned.get(member) ?? new Map<string, number>();
      const gained = new Map([...keys].filter(([key, since]) => membership.owned.get(key) !== since));
      const lost = [...membership.owned].filter(([key, since]) => keys.get(key) !== since).map(([key]) => key);
      const asked = [...keys.keys()].filter((key) => group.revoking.has(key) && !membership.revoking.has(key));
      if (gained.size + lost.length + asked.length === 0) continue;
      membership.apply({ generation: group.generation, gained, lost, asked: asked.filter((key) => !gained.has(key)) });
      // Given and asked back in one: nothing of it has been delivered.
      const both = asked.filter((key) => gained.has(key));
      if (both.length > 0) this.release(membership, both);
    }
    this.#arm();
    if (this.state === 'empty' && this.#memberships.size === 0 && !this.#saveDue) this.#parts.onEmpty();
  }

  // --- time ---

  /** The shard drains: sockets are closed by the broker, and who is missing says nothing. */
  get #frozen(): boolean {
    return this.engine.publishGate.code === 'DRAINING';
  }

  #arm(): void {
    const { clock } = this.#parts;
    if (this.#timer !== null) clock.clearTimeout(this.#timer);
    this.#timer = null;
    const due = Math.min(this.#prepareUntil ?? Infinity, ...this.#graces.values(), ...this.#revokes.values());
    if (this.#ended || due === Infinity) return;
    // Whole ms: a wait that is lost in rounding would fire again and again without time passing.
    const waitMs = Math.max(Math.ceil(due - clock.monotonic()), 1);
    this.#timer = clock.setTimeout(() => this.#onTime(), waitMs);
  }

  #onTime(): void {
    const { clock, config, counts } = this.#parts;
    this.#timer = null;
    const now = clock.monotonic();
    if (this.#frozen) {
      // Should the drain be cancelled, everyone has all of the time again.
      if (this.#prepareUntil !== null) this.#prepareUntil = now + Math.max(config.groupRejoinMs, FROZEN_LOOK_MS);
      for (const member of this.#graces.keys())
        this.#graces.set(member, now + Math.max(config.groupGraceMs, FROZEN_LOOK_MS));
      for (const key of this.#revokes.keys())
        this.#revokes.set(key, now + Math.max(config.groupRevokeMs, FROZEN_LOOK_MS));
      this.#arm();
      return;
    }
    if (this.#prepareUntil !== null && this.#prepareUntil <= now) {
      this.#prepareUntil = null;
      this.#step({ type: 'prepare.over' });
    }
    for (const [member, until] of [...this.#graces]) {
      if (until > now) continue;
      this.#graces.delete(member);
      counts.expiredMembers += 1;
      this.#step({ type: 'member.left', member });
    }
    const keys = [...this.#revokes].filter(([, until]) => until <= now).map(([key]) => key);
    for (const key of keys) this.#revokes.delete(key);
    if (keys.length > 0) {
      counts.expiredRevocations += keys.length;
      this.#step({ type: 'revoke.over', keys });
    }
    this.#arm();
  }
}

function topicsOf({ members }: GroupRecord): Set<string> {
  return new Set([...members.values()].flat());
}

/** Records are never changed, only replaced: what is the same object says the same. */
function sameRecord(a: GroupRecord, b: GroupRecord): boolean {
  return a.generation === b.generation && a.members === b.members && a.owners === b.owners;
}
