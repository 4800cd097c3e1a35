/** Bugs of the segment log and its recovery. */
import type { Bug } from './bug.ts';

export const storageBugs: readonly Bug[] = [
  {
    name: 'write-behind-torn-tail',
    text: 'A torn end is left where it is, and the next entry is written behind it. Apache Iggy brought torn ends back so.',
    shownBy: ['L2', 'S1', 'S4'],
    edits: [
      { file: 'src/storage/segment-recovery.ts', find: 'if (torn) await file.truncate(end);', replace: '' },
      {
        file: 'src/storage/segment-recovery.ts',
        find: 'position: end.position,\n    nextSequence',
        replace: 'position: end.position + cutBytes,\n    nextSequence',
      },
    ],
  },
  {
    name: 'body-crc-unchecked',
    text: 'The CRC of the header is taken for enough: a body of which a power cut kept some sectors counts as stored.',
    shownBy: ['S2', 'L2', 'S1', 'S4'],
    edits: [
      {
        file: 'src/storage/entry.ts',
        find: "if (crc32(body) !== view.getUint32(4)) return { is: 'bad', fault: 'a body whose CRC does not match' };",
        replace: '',
      },
    ],
  },
  {
    name: 'directory-not-synced',
    text: 'A new segment is synced and its name is not. LevelDB lost files so (Pillai and others, OSDI 2014).',
    shownBy: ['S1', 'S5', 'S2', 'L2', 'S4'],
    edits: [
      {
        file: 'src/storage/segment-log.ts',
        find: 'await file.writeSynced([header], 0);\n      await disk.syncDirectory(directory);',
        replace: 'await file.writeSynced([header], 0);',
      },
    ],
  },
  {
    name: 'sync-retried',
    text: 'A write that failed when all of its bytes were in the file is synced once more, and that succeeds: PostgreSQL did so until 2019 ("fsyncgate").',
    shownBy: ['S9', 'S1'],
    edits: [
      {
        file: 'src/storage/segment-log.ts',
        find: 'await file.writeSynced(parts, this.#position);',
        replace:
          'await file.writeSynced(parts, this.#position).catch(async (error: unknown) => {\n' +
          '        if ((await file.size()) < this.#position + bytes) throw error;\n        await file.sync();\n      });',
      },
    ],
  },
  {
    name: 'sequence-ahead-of-data',
    text: 'Position and sequence move on before the write, and stay there when it fails. Apache Iggy moved its offset ahead of the data.',
    shownBy: ['L2', 'S1', 'S4', 'E1'],
    edits: [
      {
        file: 'src/storage/segment-log.ts',
        find: 'await file.writeSynced(parts, this.#position);\n      this.#position += bytes;\n      this.#nextSequence += group.length;',
        replace:
          'this.#nextSequence += group.length;\n      await file.writeSynced(parts, this.#position);\n      this.#position += bytes;',
      },
    ],
  },
  {
    name: 'sequence-reused',
    text: 'A segment begun behind a failed write takes the sequence of the last entry that is durable.',
    shownBy: ['L2', 'S1', 'S4', 'E1'],
    edits: [
      {
        file: 'src/storage/segment-log.ts',
        find: "assert(this.#fenced, 'only a fenced log rolls over');",
        replace: 'if (this.#last.first < this.#nextSequence - 1) this.#nextSequence -= 1;',
      },
    ],
  },
  {
    name: 'damage-cut-as-torn',
    text: 'Whatever does not read at the end of a log is cut. NATS JetStream 2.12 dropped acknowledged records behind one flipped bit.',
    shownBy: ['S1', 'S5', 'S2', 'S4'],
    edits: [
      {
        file: 'src/storage/segment-recovery.ts',
        find: 'if (await durableBehind(file, segment, end.position, end.sequence, fileBytes)) throw corrupt(segment.path, end);',
        replace: '',
      },
    ],
  },
  {
    name: 'recovered-end-not-synced',
    text: 'What a killed process left in the page cache is read back and built on, and never synced.',
    shownBy: ['S9', 'S1', 'S5', 'S2', 'S4'],
    edits: [
      {
        file: 'src/storage/segment-recovery.ts',
        find: 'if (doubtful.length > 0) await file.writeSynced(doubtful, group);\n    await file.sync();',
        replace: '',
      },
    ],
  },
  {
    name: 'torn-group-taken-for-damage',
    text: 'Each entry says that the one before it is durable, also within a group: a torn group is refused as corrupt.',
    shownBy: ['L2'],
    edits: [{ file: 'src/storage/segment-log.ts', find: 'behind: index + 1 };', replace: 'behind: 1 };' }],
  },
];
