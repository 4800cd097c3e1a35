/** Bugs of the saved state: what a checkpoint says that the log does not, and what it leaves out. */
import type { Bug } from './bug.ts';

export const checkpointBugs: readonly Bug[] = [
  {
    name: 'checkpoint-ahead-of-log',
    text: 'A checkpoint saves the next offset to be given out, which is ahead of the log while writes are queued.',
    shownBy: ['L2', 'S1', 'S4'],
    edits: [
      {
        file: 'src/shard/checkpoint.ts',
        find: 'const { topic, topicId, durability, epochs, start, durable, lastPoint } = partition;',
        replace: 'const { topic, topicId, durability, epochs, start, accepted: durable, lastPoint } = partition;',
      },
    ],
  },
  {
    name: 'commits-not-saved',
    text: 'A commit changes the state and is not marked as changed, so no checkpoint has it.',
    shownBy: ['I5', 'S5'],
    edits: [{ file: 'src/shard/shard-state.ts', find: 'this.changes.offsets.add(key);\n      if', replace: 'if' }],
  },
  {
    name: 'partition-not-saved',
    text: 'A batch moves its partition on without marking it as changed: a checkpoint keeps the old end beside the new place in the log.',
    shownBy: ['L2', 'S1', 'S4', 'S5'],
    edits: [
      {
        file: 'src/shard/shard-state.ts',
        find: 'if (batch.time > this.lastTime) this.lastTime = batch.time;\n    this.changes.partitions.add(partition);',
        replace: 'if (batch.time > this.lastTime) this.lastTime = batch.time;',
      },
    ],
  },
  {
    name: 'epochs-not-saved',
    text: 'The epochs of a partition are left out of its row, so after the next checkpoint it is in its first epoch again.',
    shownBy: ['S2', 'L2', 'S4', 'S1'],
    edits: [{ file: 'src/shard/checkpoint.ts', find: 'partition.epochs = row.epochs;', replace: '' }],
  },
  {
    name: 'handle-given-twice',
    text: 'The next handle is not restored: a new partition takes the number of an old one.',
    shownBy: ['L2', 'S1', 'S2', 'S4', 'E1'],
    edits: [{ file: 'src/shard/checkpoint.ts', find: 'state.nextHandle = row.nextHandle;', replace: '' }],
  },
];
