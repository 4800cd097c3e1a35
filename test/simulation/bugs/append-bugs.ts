/** Bugs between admission and acknowledgement. */
import type { Bug } from './bug.ts';

export const appendBugs: readonly Bug[] = [
  {
    name: 'ack-before-sync',
    text: 'The group is told that it is written while the write is still under way. NATS JetStream 2.12 syncs every two minutes and acknowledges at once.',
    shownBy: ['S9', 'S1'],
    edits: [
      {
        file: 'src/storage/segment-log.ts',
        find: 'await file.writeSynced(parts, this.#position);',
        replace: 'file.writeSynced(parts, this.#position).catch(() => {});',
      },
    ],
  },
  {
    name: 'sync-topic-acked-at-admission',
    text: 'Every topic is acknowledged from memory, as an async one is. Kafka does so with its default flush settings.',
    shownBy: ['S9', 'S1'],
    edits: [
      {
        file: 'src/shard/shard-engine.ts',
        find: "return durability === 'async' && this",
        replace: "return durability !== 'none' && this",
      },
    ],
  },
  {
    name: 'watermark-ahead-of-log',
    text: 'The high watermark counts what was accepted, not what is durable.',
    shownBy: ['S9', 'S5', 'E1', 'L2', 'S2'],
    edits: [
      {
        file: 'src/shard/partition.ts',
        find: 'return Math.max(this.durable, this.shown);',
        replace: 'return Math.max(this.accepted, this.shown);',
      },
    ],
  },
  {
    name: 'offsets-minted-again',
    text: 'A partition that a checkpoint puts back gives out its offsets from 0 again. Apache Iggy did so after a restart.',
    shownBy: ['S1', 'S2', 'S4', 'L2', 'E1'],
    edits: [{ file: 'src/shard/checkpoint.ts', find: 'partition.accepted = row.durable;', replace: '' }],
  },
  {
    name: 'epoch-not-begun',
    text: 'A crash costs an async partition records that it had shown, and its next ones take their places in the same epoch.',
    shownBy: ['S2', 'S4', 'S5'],
    edits: [
      {
        file: 'src/shard/shard-state.ts',
        find: 'if (body.clean && !body.shorter) return;',
        replace: 'if (body.clean || !body.shorter) return;',
      },
    ],
  },
  {
    name: 'failed-group-forgotten',
    text: 'A group whose write failed is taken for written, and the queue goes on with the next one.',
    shownBy: ['S9', 'S1', 'E1'],
    edits: [
      {
        file: 'src/shard/append-queue.ts',
        find: "if (systemCodeOf(error) === 'ENOSPC') await this.#makeSpace();",
        replace:
          "if (systemCodeOf(error) !== 'ENOSPC') return { firstSequence: log.nextSequence, addresses: group.map(() => log.end), bytes: 0 };\n        else if (tries > 0) await this.#makeSpace();",
      },
    ],
  },
];
