/**
 * A consumer group as an entry of the log and a row of the checkpoint: members and owners as arrays, which JSON has.
 * Used by the shard's state and by the coordinator of the group.
 */
import { type GroupRecord, newGroup, type Ownership } from '../domain/group.ts';
import type { EntryKind } from '../storage/log.ts';
import type { ControlBody } from './control-entry.ts';

export type GroupBody = Extract<ControlBody<typeof EntryKind.group>, { readonly change: 'set' }>;

export function groupBodyOf(group: string, { generation, members, owners }: GroupRecord): GroupBody {
  const index = new Map([...members.keys()].map((id, at) => [id, at]));
  return {
    change: 'set',
    group,
    generation,
    members: [...members].map(([id, topics]) => [id, [...topics]]),
    owners: [...owners].map(([key, { member, since }]) => [key, index.get(member) ?? 0, since]),
  };
}

/** Throws RangeError for an owner that is no member. */
export function groupRecordOf(body: GroupBody): GroupRecord {
  const owners = new Map<string, Ownership>();
  for (const [key, at, since] of body.owners) {
    const member = body.members[at]?.[0];
    if (member === undefined)
      throw new RangeError(`${key} of group ${body.group} is owned by member ${at}, who is none`);
    owners.set(key, { member, since });
  }
  return { generation: body.generation, members: new Map(body.members), owners };
}

/** Groups whose home is one shard. */
export class GroupTable {
  readonly #records = new Map<string, GroupRecord>();
  /** Highest generation of any group that was forgotten: a new one goes on behind it, so that no number comes twice. */
  forgotten = 0;

  get records(): ReadonlyMap<string, GroupRecord> {
    return this.#records;
  }

  get(group: string): GroupRecord {
    return this.#records.get(group) ?? { ...newGroup, generation: this.forgotten };
  }

  set(group: string, record: GroupRecord): void {
    this.#records.set(group, record);
  }

  forget(group: string): void {
    this.forgotten = Math.max(this.forgotten, this.get(group).generation);
    this.#records.delete(group);
  }
}
