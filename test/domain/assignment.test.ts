import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AssignableMember,
  assignmentKey,
  assignPartitions,
  keyParts,
  type Owners,
} from '../../src/domain/assignment.ts';

const topicNames = ['a', 'b.c', 'd'];
const memberNames = Array.from({ length: 9 }, (_, index) => `m${index}`);

const partitionCounts = fc
  .tuple(...topicNames.map(() => fc.integer({ min: 0, max: 12 })))
  .map((counts) => new Map(topicNames.map((topic, index) => [topic, counts[index] ?? 0])));

const sameTopics = fc
  .uniqueArray(fc.constantFrom(...memberNames), { minLength: 1 })
  .map((ids) => ids.map((id): AssignableMember => ({ id, topics: topicNames })));

const anyTopics = fc.uniqueArray(
  fc.record({ id: fc.constantFrom(...memberNames), topics: fc.subarray(topicNames, { minLength: 1 }) }),
  { minLength: 1, selector: ({ id }) => id },
);

/** Owners as they may be found: members, those that left, and none. */
const someOwners = (counts: ReadonlyMap<string, number>): fc.Arbitrary<Owners> => {
  const keys = keysOf(counts);
  const owner = fc.option(fc.constantFrom(...memberNames, 'gone'), { nil: undefined });
  return fc
    .array(owner, { minLength: keys.length, maxLength: keys.length })
    .map((drawn) => new Map(keys.flatMap((key, index) => (drawn[index] === undefined ? [] : [[key, drawn[index]]]))));
};

function keysOf(counts: ReadonlyMap<string, number>): string[] {
  return [...counts].flatMap(([topic, count]) => Array.from({ length: count }, (_, at) => assignmentKey(topic, at)));
}

function loadsOf(members: readonly AssignableMember[], assigned: Owners): number[] {
  return members.map(({ id }) => [...assigned.values()].filter((owner) => owner === id).length);
}

const scene = (members: fc.Arbitrary<AssignableMember[]>) =>
  fc
    .tuple(members, partitionCounts)
    .chain(([drawn, counts]) =>
      fc.record({ members: fc.constant(drawn), counts: fc.constant(counts), owners: someOwners(counts) }),
    );

describe('assignPartitions', () => {
  it('gives every partition one owner, who asked for its topic, and gives nothing else (A1)', () => {
    fc.assert(
      fc.property(scene(anyTopics), ({ members, counts, owners }) => {
        const assigned = assignPartitions(members, counts, owners);
        const wanted = keysOf(counts).filter((key) =>
          members.some(({ topics }) => topics.includes(keyParts(key).topic)),
        );
        expect([...assigned.keys()].sort()).toEqual(wanted.sort());
        for (const [key, owner] of assigned) {
          expect(members.find(({ id }) => id === owner)?.topics).toContain(keyParts(key).topic);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('leaves counts that differ by one at most when all want the same topics (A2)', () => {
    fc.assert(
      fc.property(scene(sameTopics), ({ members, counts, owners }) => {
        const loads = loadsOf(members, assignPartitions(members, counts, owners));
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });

  it('leaves nobody with two more than one it could give to, whatever they want (A2)', () => {
    fc.assert(
      fc.property(scene(anyTopics), ({ members, counts, owners }) => {
        const assigned = assignPartitions(members, counts, owners);
        const loads = new Map(members.map(({ id }, index) => [id, loadsOf(members, assigned)[index] ?? 0]));
        for (const [key, owner] of assigned) {
          for (const { id, topics } of members) {
            if (!topics.includes(keyParts(key).topic)) continue;
            expect((loads.get(owner) ?? 0) - (loads.get(id) ?? 0)).toBeLessThanOrEqual(1);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('moves no more than balance needs when all want the same topics (A3)', () => {
    fc.assert(
      fc.property(scene(sameTopics), ({ members, counts, owners }) => {
        const assigned = assignPartitions(members, counts, owners);
        const moved = [...assigned].filter(
          ([key, owner]) => owners.get(key) !== owner && members.some(({ id }) => id === owners.get(key)),
        ).length;
        // The quotas that suit the present counts best: the fullest keep one more.
        const present = loadsOf(members, new Map([...owners].filter(([key]) => assigned.has(key))));
        const total = assigned.size;
        const base = Math.floor(total / members.length);
        const extra = total % members.length;
        const least = [...present]
          .sort((a, b) => b - a)
          .reduce((sum, count, index) => sum + Math.max(0, count - base - (index < extra ? 1 : 0)), 0);
        expect(moved).toBe(least);
      }),
      { numRuns: 1000 },
    );
  });

  it('moves nothing when it is asked again (A3)', () => {
    fc.assert(
      fc.property(scene(anyTopics), ({ members, counts, owners }) => {
        const assigned = assignPartitions(members, counts, owners);
        expect(new Map([...assignPartitions(members, counts, assigned)].sort())).toEqual(new Map([...assigned].sort()));
      }),
    );
  });

  it('does not depend on the order of members, topics or owners (A4)', () => {
    fc.assert(
      fc.property(scene(anyTopics), ({ members, counts, owners }) => {
        const turned = assignPartitions(
          [...members].reverse().map(({ id, topics }) => ({ id, topics: [...topics].reverse() })),
          new Map([...counts].reverse()),
          new Map([...owners].reverse()),
        );
        expect([...turned].sort()).toEqual([...assignPartitions(members, counts, owners)].sort());
      }),
    );
  });

  it('shares several small topics evenly, not each from the first member on', () => {
    const members = memberNames.slice(0, 4).map((id) => ({ id, topics: topicNames }));
    const counts = new Map(topicNames.map((topic) => [topic, 2]));
    expect(loadsOf(members, assignPartitions(members, counts, new Map())).sort()).toEqual([1, 1, 2, 2]);
  });

  it('gives a member that comes back what it had before', () => {
    const all = ['x', 'y', 'z'].map((id) => ({ id, topics: ['a'] }));
    const counts = new Map([['a', 9]]);
    const before = assignPartitions(all, counts, new Map());
    const without = assignPartitions(all.slice(1), counts, before);
    const back = assignPartitions(all, counts, without, new Map([...before].filter(([, owner]) => owner === 'x')));
    expect([...back].sort()).toEqual([...before].sort());
  });

  it('passes partitions on through others where nobody can give directly', () => {
    // Only y can take from x, and only z from y.
    const members = [
      { id: 'x', topics: ['a'] },
      { id: 'y', topics: ['a', 'b.c'] },
      { id: 'z', topics: ['b.c'] },
    ];
    const counts = new Map([
      ['a', 6],
      ['b.c', 3],
    ]);
    const owners = new Map(keysOf(counts).map((key) => [key, key.startsWith('a') ? 'x' : 'y']));
    expect(loadsOf(members, assignPartitions(members, counts, owners))).toEqual([3, 3, 3]);
  });

  it('deals 10,000 partitions to 200 members in a moment', () => {
    const members = Array.from({ length: 200 }, (_, index) => ({ id: `m${index}`, topics: ['a'] }));
    const began = performance.now();
    const first = assignPartitions(members.slice(0, 100), new Map([['a', 10_000]]), new Map());
    const loads = loadsOf(members, assignPartitions(members, new Map([['a', 10_000]]), first));
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(new Set(loads)).toEqual(new Set([50]));
  });
});
