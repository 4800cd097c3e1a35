/** Acknowledgements in any order: what may be committed is never behind a record that is not done with. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Acknowledgements } from '../../src/xstate/acknowledgements.ts';

it('lets commit the offset before which all are in, and no further, whatever the order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(2), { minLength: 1, maxLength: 60 }),
      fc.infiniteStream(fc.nat(1000)),
      fc.infiniteStream(fc.integer({ min: 1, max: 3 })),
      (partitions, dice, steps) => {
        const acks = new Acknowledgements();
        const open: { partition: number; epoch: number; offset: number }[] = [];
        const next = [0, 0, 0];
        for (const partition of partitions) {
          // Offsets rise, with holes where records were passed over.
          next[partition] = (next[partition] ?? 0) + (steps.next().value ?? 1);
          const record = { partition, epoch: 1, offset: next[partition] ?? 0 };
          acks.delivered(record);
          open.push(record);
        }
        const committed = [0, 0, 0];
        while (open.length > 0) {
          const [record] = open.splice((dice.next().value ?? 0) % open.length, 1);
          if (record === undefined) break;
          const offset = acks.acknowledge(record);
          const lowest = Math.min(
            ...open.filter((left) => left.partition === record.partition).map((left) => left.offset),
          );
          if (offset !== null) {
            expect(offset).toBeLessThanOrEqual(lowest);
            expect(offset).toBeGreaterThan(committed[record.partition] ?? 0);
            committed[record.partition] = offset;
          }
          expect(acks.open).toBe(open.length);
          expect(acks.acknowledge(record)).toBeNull();
        }
        for (const partition of new Set(partitions)) expect(committed[partition]).toBe((next[partition] ?? 0) + 1);
      },
    ),
  );
});

it('forgets what was delivered of a history that was cut short', () => {
  const acks = new Acknowledgements();
  acks.delivered({ partition: 0, epoch: 1, offset: 5 });
  acks.delivered({ partition: 0, epoch: 2, offset: 3 });
  expect(acks.open).toBe(1);
  expect(acks.acknowledge({ partition: 0, epoch: 1, offset: 5 })).toBeNull();
  expect(acks.acknowledge({ partition: 0, epoch: 2, offset: 3 })).toBe(4);
});
