/**
 * The chart of a group, walked with random events: what the broker may send in any order, which is what members, sockets
 * and timers do. The invariants are looked at behind every step.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignmentKey, keyParts } from '../../src/domain/assignment.ts';
import { type GroupRecord, newGroup } from '../../src/domain/group.ts';
import { GroupChart, type GroupEvent, groupMachine } from '../../src/machines/group.ts';

const partitions = new Map([
  ['a', 4],
  ['b', 3],
]);
const names = ['m1', 'm2', 'm3'];

const anyEvent: fc.Arbitrary<GroupEvent> = fc.oneof(
  fc.record({
    type: fc.constant('member.joined' as const),
    member: fc.constantFrom(...names),
    topics: fc.constantFrom(['a', 'b'], ['a'], ['b']),
  }),
  fc.record({
    type: fc.constantFrom('member.lost' as const, 'member.left' as const),
    member: fc.constantFrom(...names),
  }),
  fc.record({
    type: fc.constant('partitions.released' as const),
    member: fc.constantFrom(...names),
    keys: fc.subarray(['a/0', 'a/1', 'a/2', 'a/3', 'b/0', 'b/1', 'b/2']),
  }),
  fc.record({ type: fc.constant('revoke.over' as const), keys: fc.subarray(['a/0', 'a/3', 'b/0', 'b/2']) }),
  fc.constant({ type: 'prepare.over' as const }),
  fc.record({
    type: fc.constant('topics.changed' as const),
    partitions: fc.constantFrom(partitions, new Map([['a', 6]]), new Map([['b', 3]])),
  }),
);

function chart(record: GroupRecord = newGroup): GroupChart {
  return new GroupChart({ record, partitions });
}

function joined(group: GroupChart, ...members: string[]): GroupChart {
  for (const member of members) group.send({ type: 'member.joined', member, topics: ['a', 'b'] });
  return group;
}

function stable(...members: string[]): GroupChart {
  const group = joined(chart(), ...members);
  group.send({ type: 'prepare.over' });
  return group;
}

function fail(what: string): never {
  throw new Error(what);
}

function owned(group: GroupChart, member: string): string[] {
  return [...group.group.owners].filter(([, owner]) => owner.member === member).map(([key]) => key);
}

describe('the chart of a group', () => {
  it('waits for company, then deals everything once', () => {
    const group = joined(chart(), 'm1', 'm2');
    expect([group.state, group.group.owners.size, group.group.generation]).toEqual(['gathering', 0, 0]);
    group.send({ type: 'prepare.over' });
    expect([group.state, group.group.owners.size, group.group.generation]).toEqual(['stable', 7, 1]);
    expect([owned(group, 'm1').length, owned(group, 'm2').length].sort()).toEqual([3, 4]);
  });

  it('asks back only what has to move, and gives each on when it is released (U3)', () => {
    const group = stable('m1', 'm2');
    const before = new Map(group.group.owners);
    joined(group, 'm3');
    expect(group.state).toBe('revoking');
    expect(group.group.revoking.size).toBe(2);
    expect(group.group.owners).toEqual(before);
    for (const key of group.group.revoking) {
      const member = group.group.owners.get(key)?.member ?? '';
      group.send({ type: 'partitions.released', member, keys: [key] });
      expect(group.group.owners.get(key)).toEqual({ member: 'm3', since: 2 });
    }
    expect(group.state).toBe('stable');
    for (const [key, owner] of group.group.owners) if (owner.member !== 'm3') expect(owner).toEqual(before.get(key));
  });

  it('gives on what its owner does not give back in time', () => {
    const group = joined(stable('m1'), 'm2');
    expect(group.state).toBe('revoking');
    group.send({ type: 'revoke.over', keys: [...group.group.revoking] });
    expect([group.state, owned(group, 'm2').length]).toEqual(['stable', 3]);
  });

  it('keeps what a lost member had until it is given up, and changes nothing when it comes back', () => {
    const group = stable('m1', 'm2');
    const before = group.group;
    group.send({ type: 'member.lost', member: 'm1' });
    expect([group.group.owners, group.group.generation]).toEqual([before.owners, before.generation]);
    joined(group, 'm1');
    expect([group.group.owners, group.group.generation]).toEqual([before.owners, before.generation]);
    group.send({ type: 'member.left', member: 'm1' });
    expect([owned(group, 'm2').length, group.group.generation]).toEqual([7, 2]);
  });

  it('knows its members behind a restart, gives them what they had, and moves nothing when all come back', () => {
    const { generation, members, owners } = stable('m1', 'm2').group;
    const group = chart({ generation, members, owners });
    expect(group.state).toBe('returning');
    joined(group, 'm2');
    expect([group.state, group.group.owners]).toEqual(['returning', owners]);
    joined(group, 'm1');
    expect([group.state, group.group.owners, group.group.generation]).toEqual(['stable', owners, generation]);
  });

  it('shares what those had who do not come back behind a restart; those who are new wait for that', () => {
    const { generation, members, owners } = stable('m1', 'm2').group;
    const group = joined(chart({ generation, members, owners }), 'm3', 'm1');
    expect([group.state, owned(group, 'm3').length]).toEqual(['returning', 0]);
    group.send({ type: 'prepare.over' });
    expect([owned(group, 'm2').length, group.group.generation]).toEqual([0, generation + 1]);
    expect(owned(group, 'm1').length + owned(group, 'm3').length).toBe(7);
  });

  it('assigns partitions that are added, and takes back those of a topic that is gone', () => {
    const group = stable('m1', 'm2');
    group.send({ type: 'topics.changed', partitions: new Map([['a', 6]]) });
    expect([...group.group.owners.keys()].sort()).toEqual(['a/0', 'a/1', 'a/2', 'a/3', 'a/4', 'a/5']);
    const { generation } = group.group;
    group.send({ type: 'topics.changed', partitions: new Map([['a', 6]]) });
    expect(group.group.generation).toBe(generation);
  });

  it('gives a partition back to the very member that it was asked from only with another generation', () => {
    const group = joined(stable('m1'), 'm2');
    const [key = ''] = group.group.revoking;
    const { since = 0 } = group.group.owners.get(key) ?? {};
    group.send({ type: 'member.left', member: 'm2' });
    expect(group.group.owners.get(key)).toEqual({ member: 'm1', since });
    group.send({ type: 'partitions.released', member: 'm1', keys: [...group.group.revoking] });
    expect(group.state).toBe('stable');
    expect(group.group.owners.get(key)?.member).toBe('m1');
    expect(group.group.owners.get(key)?.since).toBeGreaterThan(since);
  });

  it('holds its invariants behind every step of any history (U1–U4, R1–R5)', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(
        fc.array(anyEvent, { minLength: 5, maxLength: 40, size: 'max' }),
        fc.boolean(),
        (events, restarts) => {
          let group = chart();
          /** Owner by `partition@since`: one for ever. */
          const owners = new Map<string, string>();
          for (const [index, event] of events.entries()) {
            const before = group.group;
            group.send(event);
            const now = group.group;
            seen.add(group.state);
            expect(group.snapshot.status).toBe('active');
            expect(now.generation).toBeGreaterThanOrEqual(before.generation);
            expect(group.state === 'empty').toBe(now.members.size === 0);
            expect(group.state === 'revoking').toBe(now.revoking.size > 0);
            for (const [key, { member, since }] of now.owners) {
              const former = before.owners.get(key);
              const known = owners.get(`${key}@${since}`) ?? member;
              owners.set(`${key}@${since}`, member);
              const asked = before.revoking.has(key) || !before.present.has(former?.member ?? '');
              const moved = former !== undefined && former.member !== member;
              // Plain comparisons: an assertion for each of a million owners would take longer than all else.
              if (known !== member) fail(`${key} has two owners in generation ${since}`);
              if (!now.members.has(member)) fail(`${key} is owned by ${member}, who is no member`);
              if (since > now.generation) fail(`${key} is owned since a generation that has not begun`);
              if (moved && since <= former.since) fail(`${key} moved and its generation did not rise`);
              if (moved && event.type === 'member.joined' && !asked)
                fail(`${key} was taken from one who was not asked`);
            }
            if (group.state === 'stable') {
              for (const [key, { member }] of now.owners) expect(now.target.get(key)).toBe(member);
              for (const [topic, count] of now.partitions) {
                const wanted = [...now.members.values()].some((topics) => topics.includes(topic));
                for (let at = 0; at < count; at += 1) expect(now.owners.has(assignmentKey(topic, at))).toBe(wanted);
              }
              for (const key of now.owners.keys()) expect(now.partitions.has(keyParts(key).topic)).toBe(true);
            }
            if (restarts && index % 6 === 5) group = chart(group.group);
          }
        },
      ),
      { numRuns: 300 },
    );
    expect([...seen].sort()).toEqual(['empty', 'gathering', 'returning', 'revoking', 'stable']);
  });

  it('comes to rest from anywhere: once nobody comes or goes and all time is over, it is stable or empty', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 30 }), (events) => {
        const group = chart();
        for (const event of events) group.send(event);
        for (let step = 0; step < 3; step += 1) {
          group.send({ type: 'prepare.over' });
          group.send({ type: 'revoke.over', keys: [...group.group.revoking] });
        }
        expect(['stable', 'empty']).toContain(group.state);
      }),
    );
  });

  it('has an answer in the chart for every state that is drawn', () => {
    expect(Object.keys(groupMachine.states)).toEqual(['empty', 'preparing', 'stable', 'revoking']);
  });
});
