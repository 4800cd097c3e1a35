/** Bugs between admission and acknowledgement. */
import type { Bug } from './bug.ts';

export const appendBugs: readonly Bug[] = [
  {
    name: 'ack-before-sync',
    text: 'The group is told that it is written while the write is still under way.',
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
    name: 'forgotten-dedup',
    text: 'A sequence that was stored is taken for a new one.',
    shownBy: ['S6'],
    edits: [
      {
        file: 'src/domain/producer-window.ts',
        find: "if (sequence > this.#last) return { is: 'new' };",
        replace: "if (sequence >= 0) return { is: 'new' };",
      },
    ],
  },
  {
    name: 'failed-flush-is-clean',
    text: 'The last group of a shutdown fails, and the shard goes on as if it had been written.',
    shownBy: ['I2', 'I3', 'S1', 'S4'],
    edits: [],
  },
];
