/** Bugs of reading, deliveries and commits. */
import type { Bug } from './bug.ts';

export const consumerBugs: readonly Bug[] = [
  {
    name: 'commit-goes-back',
    text: 'The last commit that comes wins, also when another reader of the group was ahead.',
    shownBy: ['S5', 'I5'],
    edits: [
      {
        file: 'src/shard/shard-state.ts',
        find: 'const committed = Math.max(this.offsets.get(key) ?? 0, offset);',
        replace: 'const committed = offset;',
      },
    ],
  },
  {
    name: 'commit-answered-at-once',
    text: 'A commit is confirmed when it is queued.',
    shownBy: ['S5', 'I5'],
    edits: [
      {
        file: 'src/shard/queued-entry.ts',
        find: 'if (outcome !== null) this.#outcomes.push(outcome);',
        replace: 'outcome?.committed();',
      },
    ],
  },
  {
    name: 'committed-record-skipped',
    text: 'The committed offset is taken for that of the last record read, and the group begins behind it.',
    shownBy: ['S7', 'E1', 'L2'],
    edits: [
      {
        file: 'src/actors/cursor-start.ts',
        find: 'atOffset(engine, partition, committed, undefined);',
        replace: 'atOffset(engine, partition, Math.min(committed + 1, partition.highWatermark), undefined);',
      },
    ],
  },
  {
    name: 'memory-taken-for-log',
    text: 'A reader that is behind what memory holds is given the oldest batch there, and not the ones before it.',
    shownBy: ['S4', 'L2', 'S7'],
    edits: [
      {
        file: 'src/shard/recent-batches.ts',
        find: 'if (first === undefined || offset < first.baseOffset) return null;',
        replace: 'if (first === undefined) return null;',
      },
    ],
  },
  {
    name: 'read-past-failed-tail',
    text: 'A reader takes what a failed write left at the end of a segment for entries of it.',
    shownBy: ['S2', 'S4', 'L2', 'E1'],
    edits: [
      {
        file: 'src/storage/segment-log.ts',
        find: 'const before = next?.first ?? this.#nextSequence;',
        replace: 'const before = this.#nextSequence;',
      },
    ],
  },
  {
    name: 'delivered-batch-cut-by-credit',
    text: 'A batch for which the credit does not last is counted as delivered and left out.',
    shownBy: ['S4', 'L2'],
    edits: [
      {
        file: 'src/actors/subscription.ts',
        find: 'next = end;\n      batches.push(batch);',
        replace: 'next = end;\n      if (this.#credit >= 0) batches.push(batch);',
      },
    ],
  },
];
