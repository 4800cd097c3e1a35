import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainRecord } from '../../src/cli/input-record.ts';
import { PartitionPlan } from '../../src/cli/partition-plan.ts';
import { partitionOfKey } from '../../src/domain/partition.ts';

function record(key: string | null, partition?: number) {
  const plain = plainRecord(Buffer.from('v'), { key: key === null ? null : Buffer.from(key), headers: null }, 'f:1');
  return { ...plain, partition };
}

describe('PartitionPlan', () => {
  it('puts a key where the client would, and a given partition above all', () => {
    const plan = new PartitionPlan(8, new Map());
    expect(plan.place(record('abc')).partition).toBe(partitionOfKey(Buffer.from('abc'), 8));
    expect(plan.place(record('abc', 5)).partition).toBe(5);
    expect(() => plan.place(record('abc', 8))).toThrow("partition 8 is none of the topic's 8");
  });

  it('spreads records without a key in runs, the same in every run', () => {
    const places = () => {
      const plan = new PartitionPlan(3, new Map());
      return Array.from({ length: 1000 }, () => plan.place(record(null)).partition);
    };
    expect(places()).toEqual(places());
    expect(new Set(places())).toEqual(new Set([0, 1, 2]));
  });

  it('after a cut at any point, stored and sent together are each record once, in order', () => {
    const keys = fc.array(fc.option(fc.constantFrom('a', 'b', 'c', 'd')), { maxLength: 60 });
    fc.assert(
      fc.property(keys, fc.array(fc.nat({ max: 60 }), { minLength: 4, maxLength: 4 }), (given, cuts) => {
        const records = given.map((key, index) => ({ index, record: record(key) }));
        const first = new PartitionPlan(4, new Map());
        const byPartition = new Map<number, number[]>();
        for (const { index, record: next } of records) {
          const { partition } = first.place(next);
          byPartition.set(partition, [...(byPartition.get(partition) ?? []), index]);
        }
        // What a kill leaves: a prefix of each partition, of any length.
        const stored = new Map<number, number[]>();
        for (const [partition, indexes] of byPartition) stored.set(partition, indexes.slice(0, cuts[partition]));
        const last = new Map(
          [...stored].filter(([, kept]) => kept.length > 0).map(([p, kept]) => [p, kept.length - 1]),
        );
        const second = new PartitionPlan(4, last);
        for (const { index, record: next } of records) {
          const place = second.place(next);
          if (!place.stored) stored.set(place.partition, [...(stored.get(place.partition) ?? []), index]);
        }
        expect(stored).toEqual(byPartition);
        expect(second.excess()).toEqual([]);
      }),
    );
  });

  it('tells when the producer has stored more than the input has', () => {
    const plan = new PartitionPlan(1, new Map([[0, 4]]));
    plan.place(record('k'));
    expect(plan.excess()).toEqual([{ partition: 0, stored: 5, given: 1 }]);
  });
});
