/** Opening what a crash or a damaged disk left: segments of a log, and the state that its entries add up to. */
import { BrokerError, InvariantError } from '../../../src/errors.ts';
import { ShardState } from '../../../src/shard/shard-state.ts';
import type { Disk, DiskFile } from '../../../src/storage/disk.ts';
import { readEntry, SEGMENT_HEADER_BYTES, segmentSalt, writeSegmentHeader } from '../../../src/storage/entry.ts';
import { EntryReader } from '../../../src/storage/entry-reader.ts';
import { EntryKind, type LogEntry } from '../../../src/storage/log.ts';
import { segmentAt } from '../../../src/storage/segment.ts';
import { type RecoveredSegments, recoverSegments } from '../../../src/storage/segment-recovery.ts';
import { joined, type Mutator, mutateJson } from '../mutation.ts';
import {
  type AsyncTarget,
  about,
  bytesOf,
  holds,
  PropertyBroken,
  refusal,
  type SyncTarget,
  sameBytes,
} from '../target.ts';
import { soundBatches } from './frames.ts';
import {
  batchEntryOf,
  controlBodies,
  controlWords,
  entryOf,
  repairEntries,
  repairSegmentHeader,
  SALT,
  SHARD,
} from './log.ts';

const DIRECTORY = '/log';
/** Calls to the disk that opening a log of a few segments may take; more would be a loop. */
const CALLS_MAX = 400;

/** As much of a disk as opening a log needs: files of bytes, no time and no faults, and a count of calls. */
class Files {
  readonly byPath = new Map<string, Uint8Array>();
  open = 0;
  #calls = 0;

  get disk(): Disk {
    const none = (): never => {
      throw new PropertyBroken('opening a log makes no such call');
    };
    return {
      openRead: async (path) => this.#file(path),
      openWrite: async (path) => this.#file(path),
      list: async () => [...this.byPath.keys()].map((path) => path.slice(DIRECTORY.length + 1)).sort(),
      syncDirectory: async () => {},
      remove: async (path) => void this.byPath.delete(path),
      makeDirectory: none,
      readSmallFile: none,
      replaceSmallFile: none,
      removeTree: none,
      space: none,
    };
  }

  #count(): void {
    this.#calls += 1;
    if (this.#calls > CALLS_MAX) throw new PropertyBroken(`opening a log takes at most ${CALLS_MAX} calls`);
  }

  #file(path: string): DiskFile {
    this.#count();
    const bytes = (): Uint8Array => this.byPath.get(path) ?? new Uint8Array();
    if (!this.byPath.has(path)) throw Object.assign(new Error(`no file ${path}`), { code: 'ENOENT' });
    this.open += 1;
    let closed = false;
    return {
      path,
      read: async (target, position) => {
        this.#count();
        const piece = bytes().subarray(position, position + target.length);
        target.set(piece);
        return piece.length;
      },
      size: async () => bytes().length,
      writeSynced: async (parts, position) => {
        const whole = bytes().slice();
        whole.set(joined(...parts), position);
        this.byPath.set(path, whole);
      },
      truncate: async (length) => void this.byPath.set(path, bytes().slice(0, length)),
      sync: async () => {},
      close: async () => {
        if (!closed) this.open -= 1;
        closed = true;
      },
    };
  }
}

/**
 *   0  u8   sequence of the second segment's first entry; 0 for one segment alone
 *   1  u16  where the second segment begins, from here on
 *   3       segments
 */
const HEAD_BYTES = 3;

function logOf(second: number, first: Uint8Array, next: Uint8Array = new Uint8Array()): Uint8Array {
  return joined(Uint8Array.of(second, first.length >> 8, first.length & 255), first, next);
}

function segmentOf(first: number, ...groups: readonly (readonly string[])[]): Uint8Array {
  const entries: Uint8Array[] = [];
  for (const group of groups) {
    for (const [index, text] of group.entries()) {
      entries.push(entryOf(first + entries.length, EntryKind.batch, bytesOf(text), index + 1));
    }
  }
  return joined(writeSegmentHeader(SHARD, first, SALT), ...entries);
}

function filesOf(input: Uint8Array): Files {
  const files = new Files();
  const rest = input.subarray(HEAD_BYTES);
  const second = input[0] ?? 0;
  const split = second === 0 ? rest.length : ((input[1] ?? 0) << 8) | (input[2] ?? 0);
  files.byPath.set(segmentAt(DIRECTORY, 1).path, rest.subarray(0, split));
  if (second > 1) files.byPath.set(segmentAt(DIRECTORY, second).path, rest.subarray(split));
  return files;
}

function repairLog(input: Uint8Array): void {
  const rest = input.subarray(HEAD_BYTES);
  const split = input[0] === 0 ? rest.length : ((input[1] ?? 0) << 8) | (input[2] ?? 0);
  for (const segment of [rest.subarray(0, split), rest.subarray(split)]) {
    if (segment.length < SEGMENT_HEADER_BYTES) continue;
    repairSegmentHeader(segment);
    repairEntries(segment, SEGMENT_HEADER_BYTES, segmentSalt(segment));
  }
}

const options = (files: Files, repair: boolean) => ({ disk: files.disk, directory: DIRECTORY, shard: SHARD, repair });
const recoveryCodes = ['LOG_CORRUPT', 'LOG_VERSION', 'LOG_READ_FAILED'] as const;

export const recovery: AsyncTarget = {
  name: 'recovery',
  seeds: () => [
    logOf(0, segmentOf(1)),
    logOf(0, segmentOf(1, ['a'], ['b', 'c', 'd'], ['e'])),
    logOf(4, segmentOf(1, ['a', 'b'], ['c']), segmentOf(4, ['d'], ['e', 'f'])),
    logOf(3, joined(segmentOf(1, ['a', 'b']), entryOf(3, EntryKind.batch, bytesOf('void'))), segmentOf(3, ['c'])),
    logOf(3, segmentOf(1, ['a', 'b']), bytesOf('SLUICELG')),
    logOf(0, segmentOf(1, ['a'], ['x'.repeat(300)]).subarray(0, 200)),
  ],
  dictionary: ['SLUICELG', entryOf(2, EntryKind.batch, bytesOf('b'), 1), entryOf(3, EntryKind.batch, bytesOf('c'), 2)],
  repair: repairLog,
  bytesMax: 4096,
  allocationMax: (bytes) => 8192 + 2 * bytes,
  runAsync: async (input) => {
    const looked = filesOf(input);
    const before = new Map(looked.byPath);
    let found: RecoveredSegments | null;
    try {
      found = await recoverSegments(options(looked, false), null);
    } catch (error) {
      const code = refusal(error, recoveryCodes);
      holds(looked.open === 0, 'no file is left open');
      const again = await recoverSegments(options(filesOf(input), true), null).catch((other: unknown) => other);
      holds(again instanceof BrokerError && again.code === code, 'with and without repair, the same is refused');
      return code;
    }
    holds(
      [...looked.byPath].every(([path, bytes]) => before.get(path) === bytes),
      'a look changes nothing',
    );
    const files = filesOf(input);
    const opened = await recoverSegments(options(files, true), null);
    holds(files.open + looked.open === 0, 'no file is left open');
    holds(opened?.nextSequence === found?.nextSequence, 'a look finds what opening finds');
    if (opened === null) return 'empty';
    await checkOpened(files, opened, before);
    return `segments ${opened.segments.length} cut ${opened.cutBytes > 0} entries ${about(opened.entriesChecked)}`;
  },
};

/** What was kept is a beginning of what was there, reads entry by entry, and opens again to the same. */
async function checkOpened(files: Files, opened: RecoveredSegments, before: Map<string, Uint8Array>): Promise<void> {
  const { segments, nextSequence, position } = opened;
  const last = segments[segments.length - 1];
  const kept = files.byPath.get(last?.path ?? '');
  holds(last !== undefined && kept !== undefined && kept.length === position, 'the last segment ends at the position');
  holds(sameBytes(kept, before.get(last.path)?.subarray(0, position) ?? null), 'what is kept is as it was');
  let due = segments[0]?.first ?? 0;
  const reader = new EntryReader(files.disk);
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1]?.first ?? nextSequence;
    const bytes = files.byPath.get(segment.path) as Uint8Array;
    for (let at: number | null = SEGMENT_HEADER_BYTES; at !== null && due < next; ) {
      const range = { segment, position: at, end: segment === last ? position : null, before: next, bytesMax: 1 };
      const read = await reader.read(range);
      for (const entry of read.entries) checkRead(entry, due++, bytes, segment.salt);
      at = read.position;
    }
    holds(due === next, `every entry of a segment reads: ${due} of ${next}`);
  }
  await reader.close();
  holds(files.open === 0, 'a reader lets go of its files');
  const again = await recoverSegments(options(files, true), null);
  holds(again?.nextSequence === nextSequence && again.cutBytes === 0, 'opened again, there is nothing to cut');
  const from = { sequence: nextSequence, address: { segment: last.first, position } };
  const resumed = await recoverSegments(options(files, true), from);
  holds(
    resumed?.fromValid === true && resumed.nextSequence === nextSequence,
    'the end of a log is a place to go on from',
  );
}

function checkRead(entry: LogEntry, due: number, bytes: Uint8Array, salt: number): void {
  holds(entry.sequence === due, 'sequences are dense');
  const reading = readEntry(bytes, entry.address.position, salt);
  holds(reading.is === 'entry' && sameBytes(reading.body, entry.body), 'an entry is what lies at its address');
}

/**
 * Entries of a shard, one behind another:
 *
 *   0  u8   kind
 *   1  u16  length of the body
 *   3       body
 */
function listed(kind: number, body: Uint8Array): Uint8Array {
  return joined(Uint8Array.of(kind, body.length >> 8, body.length & 255), body);
}

function* entriesOf(input: Uint8Array): Generator<{ kind: number; body: Uint8Array }> {
  for (let at = 0; at + 3 <= input.length; ) {
    const length = ((input[at + 1] as number) << 8) | (input[at + 2] as number);
    yield { kind: input[at] as number, body: input.subarray(at + 3, at + 3 + length) };
    at += 3 + length;
  }
}

const controls = controlBodies.map(([kind, body]) => listed(kind, bytesOf(JSON.stringify(body))));
const bodies = [...controls, listed(1, batchEntryOf(4, 0, soundBatches[0] as Uint8Array, 'p'))];

/** Changes the JSON of one entry, or puts another entry between two. */
const shardMutator: Mutator = (input, { random }) => {
  const entries = [...entriesOf(input)].map(({ kind, body }) => ({ kind, body }));
  const at = Math.floor(random.next() * (entries.length + 1));
  const chosen = entries[at];
  const parts = entries.map(({ kind, body }) => listed(kind, body));
  if (chosen === undefined || random.next() < 0.4) {
    parts.splice(at, 0, bodies[Math.floor(random.next() * bodies.length)] as Uint8Array);
  } else if (chosen.kind === EntryKind.batch) parts.splice(at, 1);
  else parts[at] = listed(chosen.kind, bytesOf(mutateJson(Buffer.from(chosen.body).toString(), random, controlWords)));
  return joined(...parts);
};

export const shardEntries: SyncTarget = {
  name: 'shard-entries',
  seeds: () => {
    const batches = [
      batchEntryOf(4, 0, soundBatches[0] as Uint8Array),
      batchEntryOf(4, 1, soundBatches[1] as Uint8Array, 'p'),
    ];
    const [create, remove, open, close, commit, delivered, opened, clean] = controls as [Uint8Array, ...Uint8Array[]];
    const order = [
      opened,
      create,
      open,
      ...batches.map((body) => listed(1, body)),
      commit,
      delivered,
      clean,
      opened,
      close,
      remove,
    ];
    return [joined(...order.filter((one) => one !== undefined)), ...controls];
  },
  dictionary: controlWords,
  mutators: [shardMutator, shardMutator],
  bytesMax: 4096,
  run: (input) => {
    const state = new ShardState(SHARD);
    let sequence = 0;
    for (const { kind, body } of entriesOf(input)) {
      sequence += 1;
      const address = { segment: 1, position: sequence * 100 };
      try {
        state.apply({ sequence, epoch: 1, kind: kind as EntryKind, body, address });
      } catch (error) {
        if (error instanceof InvariantError) throw new PropertyBroken(`no entry is a defect: ${error.message}`);
        return refusal(error, ['LOG_CORRUPT', 'LOG_VERSION']);
      }
      holds(state.applied === sequence, `an entry of kind ${kind} is applied or refused`);
    }
    for (const { start, durable, accepted } of state.partitions.values()) {
      holds(start <= durable && durable <= accepted, 'a partition starts before it ends');
    }
    return `topics ${about(state.topics.size)} partitions ${about(state.partitions.size)} producers ${state.producers.size}`;
  },
};
