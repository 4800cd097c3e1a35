/**
 * A consumer group as a value: members, who owns which partition since which generation, and what changes that. Pure;
 * stepped by the group's chart, and its durable part kept in the log of the group's shard.
 *
 * Invariants
 *   U1  A partition has one owner at a time, and at most one for each generation: `since` rises from owner to owner.
 *   U2  The generation never goes back, and rises with every change of who is to own what.
 *   U3  A partition that is asked back stays with its owner until it is released, or the owner is gone.
 *   U4  Every owner is a member.
 */
import { assignPartitions, type Owners } from './assignment.ts';

export interface Ownership {
  readonly member: string;
  /** Generation in which it became this member's: what its commits carry. */
  readonly since: number;
}

/** What the log keeps. */
export interface GroupRecord {
  readonly generation: number;
  /** Topics that each member asked for. */
  readonly members: ReadonlyMap<string, readonly string[]>;
  /** By `assignmentKey`. */
  readonly owners: ReadonlyMap<string, Ownership>;
}

export interface Group extends GroupRecord {
  /** Members that have a connection. */
  readonly present: ReadonlySet<string>;
  /** Partitions that their owners were asked to give back. */
  readonly revoking: ReadonlySet<string>;
  /** Who is to own what. */
  readonly target: Owners;
  /** Who had what, among those that left. */
  readonly formerly: Owners;
  /** Partitions of the topics that there are. */
  readonly partitions: ReadonlyMap<string, number>;
}

export const newGroup: GroupRecord = { generation: 0, members: new Map(), owners: new Map() };

/** A group as its shard's log knows it: nobody is there yet. */
export function restoreGroup(record: GroupRecord, partitions: ReadonlyMap<string, number>): Group {
  const target = new Map([...record.owners].map(([key, { member }]) => [key, member]));
  return { ...record, partitions, target, present: new Set(), revoking: new Set(), formerly: new Map() };
}

/** Everyone is there. */
export function allPresent({ members, present }: Group): boolean {
  return present.size === members.size;
}

/** A member is there, new or again, and wants these topics. */
export function withMember(group: Group, id: string, topics: readonly string[]): Group {
  const present = new Set(group.present).add(id);
  const before = group.members.get(id);
  if (before !== undefined && sameTopics(before, topics)) return { ...group, present };
  return { ...group, present, members: new Map(group.members).set(id, [...topics].sort()) };
}

/** Its connection is gone: what it was asked to give back it can't hold on to, the rest waits for it. */
export function withoutConnection(group: Group, id: string): Group {
  if (!group.present.has(id)) return group;
  const present = new Set(group.present);
  present.delete(id);
  return release({ ...group, present }, id, group.revoking);
}

export function withoutMember(group: Group, id: string): Group {
  if (!group.members.has(id)) return group;
  const members = new Map(group.members);
  members.delete(id);
  const present = new Set(group.present);
  present.delete(id);
  const formerly = new Map(group.formerly);
  const owners = new Map(group.owners);
  for (const [key, { member }] of group.owners) {
    if (member !== id) continue;
    formerly.set(key, id);
    owners.delete(key);
  }
  const revoking = new Set([...group.revoking].filter((key) => owners.has(key)));
  return { ...group, members, present, formerly, owners, revoking };
}

/** Drops those that are not there. */
export function withoutAbsent(group: Group): Group {
  let rest = group;
  for (const id of group.members.keys()) if (!group.present.has(id)) rest = withoutMember(rest, id);
  return rest;
}

export function withPartitions(group: Group, partitions: ReadonlyMap<string, number>): Group {
  return { ...group, partitions };
}

/** A member gives back what it was asked for; what it was not asked for, or does not own, stays. */
export function release(group: Group, id: string, keys: Iterable<string>): Group {
  const revoking = new Set(group.revoking);
  const owners = new Map(group.owners);
  for (const key of keys) {
    if (!group.revoking.has(key) || owners.get(key)?.member !== id) continue;
    revoking.delete(key);
    give(owners, key, group.target.get(key), group.generation);
  }
  return revoking.size === group.revoking.size ? group : { ...group, owners, revoking };
}

/** Their owners' time is over, whoever they are. */
export function expireRevoking(group: Group, keys: Iterable<string>): Group {
  let rest = group;
  for (const key of keys) {
    const owner = group.owners.get(key);
    if (owner !== undefined) rest = release(rest, owner.member, [key]);
  }
  return rest;
}

/** Assigns anew. What nobody who is there owns goes to its new owner at once; the rest is asked back. */
export function rebalance(group: Group): Group {
  const members = [...group.members].map(([id, topics]) => ({ id, topics }));
  const present = new Map([...group.owners].map(([key, { member }]): [string, string] => [key, member]));
  const target = assignPartitions(members, group.partitions, present, group.formerly);
  const generation = group.generation + 1;
  const owners = new Map<string, Ownership>();
  const revoking = new Set<string>();
  for (const [key, member] of target) {
    const owner = group.owners.get(key);
    const holds = owner !== undefined && group.members.has(owner.member);
    if (holds && (owner.member === member || group.present.has(owner.member))) {
      owners.set(key, owner);
      // Once it was asked for it goes through a release, also when it is to come back to the same: it is being let go.
      if (owner.member !== member || group.revoking.has(key)) revoking.add(key);
    } else owners.set(key, { member, since: generation });
  }
  const formerly = new Map([...group.formerly].filter(([, id]) => !group.members.has(id)));
  const next = { ...group, owners, revoking, target, formerly };
  return sameAssignment(group, next) ? { ...group, target, formerly } : { ...next, generation };
}

function give(owners: Map<string, Ownership>, key: string, member: string | undefined, since: number): void {
  if (member === undefined) owners.delete(key);
  else owners.set(key, { member, since });
}

function sameAssignment(a: Group, b: Group): boolean {
  if (a.owners.size !== b.owners.size || a.revoking.size !== b.revoking.size) return false;
  for (const [key, owner] of b.owners) if (a.owners.get(key)?.member !== owner.member) return false;
  for (const key of b.revoking) if (!a.revoking.has(key)) return false;
  for (const [key, member] of b.target) if (a.target.get(key) !== member) return false;
  return true;
}

function sameTopics(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && [...b].sort().every((topic, index) => topic === a[index]);
}
