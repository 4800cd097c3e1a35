/** Bugs of consumer groups. */
import type { Bug } from './bug.ts';

export const groupBugs: readonly Bug[] = [
  {
    name: 'generation-not-raised',
    text: 'A new assignment has the number of the one before it: two owners of a partition commit under one generation.',
    shownBy: ['S8', 'S4'],
    edits: [
      {
        file: 'src/domain/group.ts',
        find: 'const generation = group.generation + 1;',
        replace: 'const generation = Math.max(group.generation, 1);',
      },
    ],
  },
  {
    name: 'assignment-told-before-durable',
    text: 'Members hear of an assignment that a crash takes back, and its generation is given out again.',
    shownBy: ['S8'],
    edits: [
      {
        file: 'src/actors/group-coordinator.ts',
        find: 'this.#writing = true;\n    const written',
        replace: 'this.#writing = true;\n    this.#tell(group);\n    const written',
      },
    ],
  },
  {
    name: 'generation-begun-anew',
    text: 'The generation of a group is not restored: after a restart old numbers name new owners.',
    shownBy: ['S8', 'S4', 'E1', 'L2'],
    edits: [
      {
        file: 'src/shard/group-record.ts',
        find: 'return { generation: body.generation,',
        replace: 'return { generation: 0,',
      },
    ],
  },
  {
    name: 'received-taken-for-done',
    text: 'What was received is committed, whether or not the loop has seen it.',
    shownBy: ['S7'],
    edits: [
      {
        file: 'src/client/group-partition.ts',
        find: 'const [first = this.offset] = this.#outstanding;',
        replace: 'const first = this.receivedEnd;',
      },
    ],
  },
  {
    name: 'next-owner-begins-at-the-end',
    text: 'A partition of which nothing is committed yet begins at its end, not at its start.',
    shownBy: ['S7', 'L2'],
    edits: [
      {
        file: 'src/actors/membership.ts',
        find: "const offset = command.from === 'earliest' ? place.start : place.highWatermark;",
        replace: 'const offset = place.highWatermark;',
      },
    ],
  },
  {
    name: 'partition-left-unassigned',
    text: 'The last of the partitions that nobody owns is not given to anybody.',
    shownBy: ['L2'],
    edits: [
      {
        file: 'src/domain/assignment.ts',
        find: 'for (const key of unowned) place(key, loads, formerly);',
        replace: 'for (const key of unowned.slice(1)) place(key, loads, formerly);',
      },
    ],
  },
];
