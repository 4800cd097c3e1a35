/**
 * The consumer groups of the broker: a coordinator for each that is in use, found by name at the shard that the name
 * hashes to. Made by the composition root; asked by sessions, metrics and `/status`.
 */
import type { Config } from '../config.ts';
import { keyParts } from '../domain/assignment.ts';
import type { GroupRecord } from '../domain/group.ts';
import { BrokerError, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { GroupState } from '../machines/group.ts';
import type { Clock } from '../ports/clock.ts';
import type { GroupReply } from '../protocol/replies.ts';
import type { Catalogue } from '../shard/catalogue.ts';
import type { ShardEngine } from '../shard/shard-engine.ts';
import type { ShardTable } from '../shard/shard-table.ts';
import { GroupCoordinator, type GroupCounts } from './group-coordinator.ts';

export interface GroupsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly shards: ShardTable;
  readonly catalogue: Catalogue;
}

/** Commits of members that were refused, by code; counted over all groups since the start. */
export type RefusedCommits = 'NOT_ASSIGNED' | 'STALE_GENERATION';

export class Groups {
  readonly #options: GroupsOptions;
  readonly #coordinators = new Map<string, GroupCoordinator>();
  readonly #servingSince = new Map<number, number>();
  /** Highest generation of the groups that each shard was told to forget, also before that is written. */
  readonly #forgotten = new Map<number, number>();
  readonly counts: GroupCounts = { rebalances: 0, expiredRevocations: 0, expiredMembers: 0 };
  readonly refusedCommits: Record<RefusedCommits, number> = { NOT_ASSIGNED: 0, STALE_GENERATION: 0 };

  constructor(options: GroupsOptions) {
    this.#options = options;
    const { shards, catalogue, clock } = options;
    shards.onServing = ({ shard }) => this.#servingSince.set(shard, clock.monotonic());
    shards.onFailed = (shard, why) => this.#endShard(shard, why);
    catalogue.onChange = (topic) => {
      for (const coordinator of this.#coordinators.values()) coordinator.topicChanged(topic);
    };
  }

  /** The coordinator of a group that is to be joined. SHARD_FAILED, DRAINING, LIMIT_EXCEEDED. */
  join(name: string): GroupCoordinator {
    const { shards, config } = this.#options;
    const engine = shards.serving(shards.homeOf(name));
    if (engine.publishGate.code === 'DRAINING') {
      throw engine.publishGate.refusal() ?? new BrokerError('DRAINING', 'the broker is shutting down');
    }
    const known = this.#coordinators.get(name);
    if (known === undefined && !engine.state.groups.records.has(name)) this.#makeRoom(engine);
    const members = known?.group.members.size ?? 0;
    if (members >= config.groupMembersMax) {
      throw new BrokerError('LIMIT_EXCEEDED', `group ${name} has ${members} members, and no more are allowed`);
    }
    return known ?? this.#coordinate(name, engine);
  }

  #coordinate(name: string, engine: ShardEngine): GroupCoordinator {
    const { config, clock, logger } = this.#options;
    const coordinator = new GroupCoordinator({
      name,
      engine,
      record: this.#beginningOf(name, engine),
      config,
      clock,
      logger,
      partitionsOf: (topics, record) => this.#partitionsOf(topics, record),
      servingSince: this.#servingSince.get(engine.shard) ?? 0,
      onEmpty: () => this.#coordinators.delete(name),
      counts: this.counts,
    });
    this.#coordinators.set(name, coordinator);
    return coordinator;
  }

  #beginningOf(name: string, { shard, state }: ShardEngine): GroupRecord {
    const record = state.groups.get(name);
    if (state.groups.records.has(name)) return record;
    return { ...record, generation: Math.max(record.generation, this.#forgotten.get(shard) ?? 0) };
  }

  /** A group that nobody is in is forgotten for a new one; when there is none, LIMIT_EXCEEDED. */
  #makeRoom(engine: ShardEngine): void {
    const { shards, config, logger } = this.#options;
    let known = 0;
    for (const { state } of shards.engines) known += state.groups.records.size;
    // Those that are not in the log yet; looked at only where they could matter.
    if (known + this.#coordinators.size < config.groupsMax) return;
    for (const { name, engine: home } of this.#coordinators.values())
      if (!home.state.groups.records.has(name)) known += 1;
    if (known < config.groupsMax) return;
    for (const [name, { members, generation }] of engine.state.groups.records) {
      if (members.size > 0 || this.#coordinators.has(name)) continue;
      this.#forgotten.set(engine.shard, Math.max(generation, this.#forgotten.get(engine.shard) ?? 0));
      engine
        .changeGroup({ change: 'forget', group: name }, () => {})
        .catch((error: unknown) => {
          logger.warn({ group: name, reason: messageOf(error) }, 'an empty group was not forgotten');
        });
      return;
    }
    throw new BrokerError('LIMIT_EXCEEDED', `there are ${known} groups; at most ${config.groupsMax} are allowed`);
  }

  /** Somebody is in it: only members may commit then. */
  hasMembers(name: string): boolean {
    const coordinator = this.#coordinators.get(name);
    if (coordinator !== undefined) return coordinator.group.members.size > 0;
    const { shards } = this.#options;
    const record = shards.engineAt(shards.homeOf(name))?.state.groups.records.get(name);
    return record !== undefined && record.members.size > 0;
  }

  /** What is known of a group; null of one that has never had a member. */
  recordOf(name: string): GroupRecord | null {
    const { shards } = this.#options;
    const record = shards.engineAt(shards.homeOf(name))?.state.groups.records.get(name);
    return this.#coordinators.get(name)?.group ?? record ?? null;
  }

  /** Groups that have or had members, by name. */
  list(): GroupReply[] {
    const replies: GroupReply[] = [];
    for (const { state } of this.#options.shards.engines) {
      for (const [name, record] of state.groups.records) replies.push(this.#replyOf(name, record));
    }
    return replies.sort((a, b) => (a.group < b.group ? -1 : 1));
  }

  #replyOf(name: string, record: GroupRecord): GroupReply {
    const coordinator = this.#coordinators.get(name);
    const { members, owners, generation } = coordinator?.group ?? record;
    const owned = new Map<string, number>();
    for (const { member } of owners.values()) owned.set(member, (owned.get(member) ?? 0) + 1);
    return {
      group: name,
      state: stateShown(coordinator?.state ?? (members.size === 0 ? 'empty' : 'returning')),
      generation,
      members: [...members].map(([member, topics]) => ({
        member,
        present: coordinator?.group.present.has(member) ?? false,
        topics,
        partitions: owned.get(member) ?? 0,
      })),
      rebalances: coordinator?.rebalances ?? 0,
    };
  }

  #partitionsOf(topics: Iterable<string>, { owners }: GroupRecord): ReadonlyMap<string, number> {
    const { catalogue, shards } = this.#options;
    const partitions = new Map<string, number>();
    for (const topic of topics) {
      const found = catalogue.get(topic);
      if (found !== undefined) partitions.set(topic, found.partitions);
      // It may well exist: what the group knew of it stays.
      else if (shards.engineAt(shards.homeOf(topic)) === null) partitions.set(topic, knownOf(topic, owners));
    }
    return partitions;
  }

  #endShard(shard: number, why: unknown): void {
    const error = BrokerError.from(why, 'SHARD_FAILED', `shard ${shard} does not serve`);
    const told =
      error.code === 'DRAINING'
        ? error
        : new BrokerError('SHARD_FAILED', `the shard of the group does not serve: ${error.message}`, { cause: error });
    for (const [name, coordinator] of [...this.#coordinators]) {
      if (coordinator.engine.shard !== shard) continue;
      this.#coordinators.delete(name);
      coordinator.end(told);
    }
  }
}

export function stateShown(state: GroupState): GroupReply['state'] {
  return state === 'gathering' || state === 'returning' ? 'preparing' : state;
}

function knownOf(topic: string, owners: GroupRecord['owners']): number {
  let count = 0;
  for (const key of owners.keys()) {
    const parts = keyParts(key);
    if (parts.topic === topic) count = Math.max(count, parts.partition + 1);
  }
  return count;
}
