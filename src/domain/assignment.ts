/**
 * Which member of a group owns which partition: cooperative and sticky. A partition moves only when its owner is gone or
 * balance needs it. Pure; called by the group's chart.
 *
 * Guarantees
 *   A1  Every partition of a topic that some member asked for has exactly one owner, who asked for the topic.
 *   A2  No chain of moves leads from a member to one that has two fewer: with the same topics for all, counts differ by
 *       one at most.
 *   A3  With the same topics for all, no assignment that is balanced so moves fewer partitions.
 *   A4  The same arguments give the same assignment, whatever their order.
 */

export interface AssignableMember {
  readonly id: string;
  /** Topics that it asked for. */
  readonly topics: readonly string[];
}

/** Owners by partition key. */
export type Owners = ReadonlyMap<string, string>;

/** `topic/partition`: names of topics hold no slash. */
export function assignmentKey(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

export function keyParts(key: string): { readonly topic: string; readonly partition: number } {
  const at = key.lastIndexOf('/');
  return { topic: key.slice(0, at), partition: Number(key.slice(at + 1)) };
}

/**
 * @param partitions partitions of each topic that exists; topics that are not there have none
 * @param owners who owns what now; owners that are no member count as gone
 * @param formerly who had what before, among those that left: a member that comes back is given it where there is a choice
 */
export function assignPartitions(
  members: readonly AssignableMember[],
  partitions: ReadonlyMap<string, number>,
  owners: Owners,
  formerly: Owners = new Map(),
): Map<string, string> {
  const loads = [...members].sort((a, b) => (a.id < b.id ? -1 : 1)).map((member) => new Load(member));
  const unowned: string[] = [];
  const byId = new Map(loads.map((load) => [load.id, load]));
  for (const topic of [...new Set(loads.flatMap((load) => [...load.topics]))].sort()) {
    for (let partition = 0; partition < (partitions.get(topic) ?? 0); partition += 1) {
      const key = assignmentKey(topic, partition);
      const owner = byId.get(owners.get(key) ?? '');
      if (owner?.topics.has(topic)) owner.add(topic, key);
      else unowned.push(key);
    }
  }
  for (const key of unowned) place(key, loads, formerly);
  level(loads, formerly);
  return new Map(loads.flatMap((load) => load.keys.map((key): [string, string] => [key, load.id])));
}

/** What a member has. */
class Load {
  readonly id: string;
  readonly topics: ReadonlySet<string>;
  readonly #byTopic = new Map<string, Set<string>>();
  count = 0;

  constructor({ id, topics }: AssignableMember) {
    this.id = id;
    this.topics = new Set(topics);
  }

  get keys(): string[] {
    return [...this.#byTopic.values()].flatMap((keys) => [...keys]);
  }

  add(topic: string, key: string): void {
    const keys = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, keys.add(key));
    this.count += 1;
  }

  remove(topic: string, key: string): void {
    this.#byTopic.get(topic)?.delete(key);
    this.count -= 1;
  }

  mayGiveTo(taker: Load): boolean {
    for (const [topic, keys] of this.#byTopic) if (keys.size > 0 && taker.topics.has(topic)) return true;
    return false;
  }

  /** A partition to give to `taker`: one that was its own before, else the last of the topic of which most are here. */
  giveTo(taker: Load, formerly: Owners): { readonly topic: string; readonly key: string } | null {
    let best: { topic: string; key: string; size: number } | null = null;
    for (const [topic, keys] of this.#byTopic) {
      if (!taker.topics.has(topic) || keys.size === 0) continue;
      if (formerly.size > 0) for (const key of keys) if (formerly.get(key) === taker.id) return { topic, key };
      if (best === null || keys.size > best.size) best = { topic, key: [...keys].at(-1) ?? '', size: keys.size };
    }
    return best;
  }
}

/** To its former owner where that is among the least loaded, else to the first of these. */
function place(key: string, loads: readonly Load[], formerly: Owners): void {
  const { topic } = keyParts(key);
  const former = formerly.get(key);
  let least: Load | null = null;
  for (const load of loads) {
    if (!load.topics.has(topic)) continue;
    if (least === null || load.count < least.count || (load.count === least.count && load.id === former)) least = load;
  }
  least?.add(topic, key);
}

/** Moves partitions from members that have more to those that have at least two fewer, until there are none. */
function level(loads: readonly Load[], formerly: Owners): void {
  for (;;) {
    const giver = [...loads].sort((a, b) => b.count - a.count).find((load) => moveFrom(load, loads, formerly));
    if (giver === undefined) return;
  }
}

/**
 * One partition from `giver` by way of others who pass one on, to the least loaded member that can be reached so; false
 * when none has two fewer. Each passes on one and gets one, but for the ends.
 */
function moveFrom(giver: Load, loads: readonly Load[], formerly: Owners): boolean {
  const reachedBy = new Map<Load, Load | null>([[giver, null]]);
  let taker: Load | null = null;
  // The map grows while it is walked: breadth first, so that the chain found is a shortest one.
  for (const [from] of reachedBy) {
    if (reachedBy.size === loads.length) break;
    for (const to of loads) {
      if (reachedBy.has(to) || !from.mayGiveTo(to)) continue;
      reachedBy.set(to, from);
      if (to.count < (taker?.count ?? giver.count - 1)) taker = to;
    }
  }
  if (taker === null) return false;
  for (
    let to = taker, from = reachedBy.get(to);
    from !== null && from !== undefined;
    to = from, from = reachedBy.get(to)
  ) {
    const moved = from.giveTo(to, formerly);
    if (moved === null) return false;
    from.remove(moved.topic, moved.key);
    to.add(moved.topic, moved.key);
  }
  return true;
}
