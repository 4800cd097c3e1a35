/** Bugs of deliveries as the broker says them: credit, the drain, last words, marks, losses. */
import type { Bug } from './bug.ts';

export const deliveryBugs: readonly Bug[] = [
  {
    name: 'credit-ignored-in-a-fetch',
    text: 'Credit is looked at before a fetch, and all that was fetched is delivered.',
    shownBy: ['S13'],
    edits: [{ file: 'src/actors/subscription.ts', find: 'if (this.#credit <= 0) break;', replace: '' }],
  },
  {
    name: 'credit-counted-by-batches',
    text: 'A batch takes one of the credit, however many records it has.',
    shownBy: ['S13'],
    edits: [
      {
        file: 'src/actors/subscription.ts',
        find: 'this.#credit -= end - Math.max(next, batch.baseOffset);',
        replace: 'this.#credit -= 1;',
      },
    ],
  },
  {
    name: 'deliveries-go-on-in-the-drain',
    text: 'A client that was told of the drain is given what it has credit for.',
    shownBy: ['S14'],
    edits: [
      { file: 'src/actors/session.ts', find: 'if (!this.delivering) return 0;', replace: '' },
      {
        file: 'src/actors/subscription.ts',
        find: 'if (this.#host.delivering) this.#deliver(cursor, fetched);',
        replace: 'this.#deliver(cursor, fetched);',
      },
    ],
  },
  {
    name: 'last-accepted-is-the-first',
    text: 'The goaway names the first sequence that was accepted of each partition.',
    shownBy: ['S15'],
    edits: [
      {
        file: 'src/actors/session-publisher.ts',
        find: 'else if (last > accepted.sequence) accepted.sequence = last;',
        replace: '',
      },
    ],
  },
  {
    name: 'last-accepted-is-the-first-of-a-batch',
    text: 'A batch counts as one sequence.',
    shownBy: ['S15'],
    edits: [
      {
        file: 'src/actors/session-publisher.ts',
        find: 'const last = sequence + count - 1;',
        replace: 'const last = sequence + Math.min(count, 1) - 1;',
      },
    ],
  },
  {
    name: 'last-accepted-left-out',
    text: 'A goaway with a deadline says nothing of what was accepted.',
    shownBy: ['S15'],
    edits: [
      {
        file: 'src/actors/session.ts',
        find: '...(lastAccepted.length === 0 ? {} : { lastAccepted })',
        replace: '...(lastAccepted.length < 2 ? {} : { lastAccepted })',
      },
    ],
  },
  {
    name: 'mark-written-is-mark-known',
    text: 'The next reader of a group learns of what the last one left when that is in the log.',
    shownBy: ['I6'],
    edits: [
      {
        file: 'src/shard/group-offsets.ts',
        find: 'this.#said.set(',
        replace: 'String(',
      },
    ],
  },
  {
    name: 'mark-forgotten-at-the-end',
    text: 'What a subscription left is noted at a drain alone.',
    shownBy: ['I6'],
    edits: [
      {
        file: 'src/actors/subscription.ts',
        find: 'this.noteDelivered();\n    this.#ended = true;',
        replace: 'this.#ended = true;',
      },
    ],
  },
  {
    name: 'mark-on-what-was-never-given',
    text: 'Whatever is there when a group comes again counts as given to it.',
    shownBy: ['I6'],
    edits: [
      {
        file: 'src/actors/subscription.ts',
        find: 'start.engine.offsets.deliveredTo(start.partition, group)',
        replace: 'start.partition.highWatermark',
      },
    ],
  },
  {
    name: 'answers-behind-the-close',
    text: 'A connection is closed, and its last acknowledgements are sent at the end of the turn.',
    shownBy: ['S16'],
    edits: [
      {
        file: 'src/actors/session.ts',
        find: "this.#chart.send({ type: 'close' });\n    this.outbox.flush();",
        replace: "this.#chart.send({ type: 'close' });",
      },
      {
        file: 'src/actors/session.ts',
        find: 'if (this.unanswered > 0 || !this.#inbox.empty || !this.#reading) return false;',
        replace: 'return true;',
      },
    ],
  },
  {
    name: 'loss-not-told',
    text: 'A reader that comes back behind the end of its epoch goes on at its offset, if that is there again.',
    shownBy: ['S17'],
    edits: [
      {
        file: 'src/actors/cursor-start.ts',
        find: 'if (end !== null && offset > end) {',
        replace: 'if (end !== null && offset > highWatermark) {',
      },
    ],
  },
];
