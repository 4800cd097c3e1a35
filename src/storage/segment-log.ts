/**
 * The segment log: the log port on files. One synced write per group, at the end of the last segment; a segment over
 * its size is followed by a new one before the next group, so a group never spans two. After a failed write nothing is
 * written to that descriptor again: `rollOver` begins a new segment behind the last durable entry, and what the failed
 * write left in the old one is void, since a segment ends where the next begins.
 */
import { randomBytes } from 'node:crypto';
import { assert, BrokerError, InvariantError } from '../errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import { ENTRY_HEADER_BYTES, SEGMENT_HEADER_BYTES, writeEntryHeader, writeSegmentHeader } from './entry.ts';
import { EntryReader } from './entry-reader.ts';
import type { Appended, Log, LogAddress, LogRead, NewEntry } from './log.ts';
import { type Segment, segmentAt } from './segment.ts';
import { type RecoveryStart, recoverSegments } from './segment-recovery.ts';

export interface SegmentLogOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly shard: number;
  /** Size at which a segment is followed by a new one, bytes. */
  readonly segmentBytes: number;
  /** Draws the salt of a new segment, u32; of the system's randomness by default. */
  readonly drawSalt?: () => number;
}

export interface OpenedSegmentLog {
  readonly log: SegmentLog;
  /** False when `from` does not lead to its entry nor to the end: the whole log was checked then. */
  readonly fromValid: boolean;
  readonly cutBytes: number;
  readonly entriesChecked: number;
}

/** Parts of at least this many bytes are written from where they are; smaller ones are copied together. */
const COPY_BYTES_MAX = 16 * 1024;

/**
 * Opens the log of a directory, made when it is new. Checks it from `from` on, or whole; cuts a torn end. LOG_CORRUPT,
 * LOG_READ_FAILED, LOG_VERSION, LOG_WRITE_FAILED. `signal` ends the check of a long log; it rejects with its reason.
 */
export async function openSegmentLog(
  options: SegmentLogOptions,
  from: RecoveryStart | null,
  signal?: AbortSignal,
): Promise<OpenedSegmentLog> {
  const { disk, directory, shard } = options;
  await makeLogDirectory(disk, directory);
  const aborting = signal === undefined ? {} : { signal };
  const found = await recoverSegments({ disk, directory, shard, repair: true, ...aborting }, from);
  signal?.throwIfAborted();
  if (found === null) {
    const log = await started(new SegmentLog(options, [], 0, SEGMENT_HEADER_BYTES, 1), 'begin');
    return { log, fromValid: from === null, cutBytes: 0, entriesChecked: 0 };
  }
  const { segments, position, nextSequence, olderBytes, fromValid, cutBytes, entriesChecked } = found;
  const log = await started(new SegmentLog(options, segments, olderBytes, position, nextSequence), 'resume');
  return { log, fromValid, cutBytes, entriesChecked };
}

async function makeLogDirectory(disk: Disk, directory: string): Promise<void> {
  try {
    await disk.makeDirectory(directory);
  } catch (error) {
    throw BrokerError.from(error, 'LOG_WRITE_FAILED', `the log directory ${directory} cannot be made`);
  }
}

/** A log that cannot start lets go of what it opened: nobody else knows of it. */
async function started(log: SegmentLog, how: 'begin' | 'resume'): Promise<SegmentLog> {
  try {
    await log[how]();
    return log;
  } catch (error) {
    await log.close();
    throw error;
  }
}

export class SegmentLog implements Log {
  readonly #options: SegmentLogOptions;
  #segments: Segment[];
  /** Bytes of all segments but the last. */
  #olderBytes: number;
  #position: number;
  #nextSequence: number;
  #file: DiskFile | null = null;
  /** Descriptors whose write failed: never written again, closed at the end. */
  readonly #failed: DiskFile[] = [];
  readonly #reader: EntryReader;
  /** The append or roll-over under way: one at a time. */
  #writing: Promise<unknown> | null = null;
  #fenced = false;
  #sealed = false;
  epoch = 0;

  constructor(
    options: SegmentLogOptions,
    segments: readonly Segment[],
    olderBytes: number,
    position: number,
    nextSequence: number,
  ) {
    this.#options = options;
    this.#reader = new EntryReader(options.disk);
    this.#segments = [...segments];
    this.#olderBytes = olderBytes;
    this.#position = position;
    this.#nextSequence = nextSequence;
  }

  /** Makes the first segment. */
  async begin(): Promise<void> {
    try {
      await this.#createSegment();
    } catch (error) {
      throw BrokerError.from(error, 'LOG_WRITE_FAILED', `no segment can be made in ${this.#options.directory}`);
    }
  }

  /** Opens the last segment for writing. */
  async resume(): Promise<void> {
    try {
      this.#file = await this.#options.disk.openWrite(this.#last.path, 'existing');
    } catch (error) {
      throw BrokerError.from(error, 'LOG_WRITE_FAILED', `${this.#last.path} cannot be opened for writing`);
    }
  }

  get firstSequence(): number {
    return this.#oldest.first;
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  get end(): LogAddress {
    return { segment: this.#last.first, position: this.#position };
  }

  get bytes(): number {
    return this.#olderBytes + this.#position;
  }

  get fenced(): boolean {
    return this.#fenced;
  }

  get #oldest(): Segment {
    const [oldest] = this.#segments;
    assert(oldest !== undefined, 'a log has at least one segment');
    return oldest;
  }

  get #last(): Segment {
    const last = this.#segments[this.#segments.length - 1];
    assert(last !== undefined, 'a log has at least one segment');
    return last;
  }

  // --- append ---

  append(group: readonly NewEntry[]): Promise<Appended> {
    if (this.#writing !== null) throw new InvariantError('one append at a time');
    if (this.#sealed) throw new InvariantError('the log is closed');
    if (this.#fenced) throw new InvariantError('the log is fenced: roll over first');
    return this.#alone(this.#append(group));
  }

  #alone<T>(work: Promise<T>): Promise<T> {
    const writing = work.finally(() => {
      this.#writing = null;
    });
    this.#writing = writing;
    return writing;
  }

  #assertOpen(): void {
    if (this.#sealed) throw new BrokerError('LOG_WRITE_FAILED', `${this.#options.directory} was given up meanwhile`);
  }

  async #append(group: readonly NewEntry[]): Promise<Appended> {
    try {
      if (this.#position >= this.#options.segmentBytes) await this.#nextSegment();
      this.#assertOpen();
      const file = this.#file;
      assert(file !== null, 'an open log has a file to write to');
      const firstSequence = this.#nextSequence;
      const { parts, addresses, bytes } = this.#encode(group);
      await file.writeSynced(parts, this.#position);
      this.#position += bytes;
      this.#nextSequence += group.length;
      return { firstSequence, addresses, bytes };
    } catch (error) {
      this.#fenced = true;
      throw BrokerError.from(error, 'LOG_WRITE_FAILED', `${this.#last.path} cannot be written`);
    }
  }

  /** The group as parts to be written one behind another: small parts copied together, large ones as they are. */
  #encode(group: readonly NewEntry[]): { parts: Uint8Array[]; addresses: LogAddress[]; bytes: number } {
    const scratch = Buffer.allocUnsafe(copiedBytes(group));
    const parts: Uint8Array[] = [];
    const addresses: LogAddress[] = [];
    let copied = 0;
    let from = 0;
    let position = this.#position;
    group.forEach(({ kind, parts: body }, index) => {
      addresses.push({ segment: this.#last.first, position });
      const header = { epoch: this.epoch, kind, sequence: this.#nextSequence + index, behind: index + 1 };
      writeEntryHeader(scratch, copied, header, body, this.#last.salt);
      copied += ENTRY_HEADER_BYTES;
      position += ENTRY_HEADER_BYTES;
      for (const part of body) {
        position += part.length;
        if (part.length < COPY_BYTES_MAX) {
          scratch.set(part, copied);
          copied += part.length;
        } else {
          parts.push(scratch.subarray(from, copied), part);
          from = copied;
        }
      }
    });
    if (copied > from) parts.push(scratch.subarray(from, copied));
    return { parts, addresses, bytes: position - this.#position };
  }

  async #nextSegment(): Promise<void> {
    const done = this.#file;
    const bytes = this.#position;
    await this.#createSegment();
    this.#olderBytes += bytes;
    await done?.close();
  }

  /** Makes the segment that begins at `nextSequence`; it counts only once it and its name are durable. */
  async #createSegment(): Promise<void> {
    const { disk, directory, shard, drawSalt = randomSalt } = this.#options;
    const segment = segmentAt(directory, this.#nextSequence, drawSalt());
    const header = writeSegmentHeader(shard, segment.first, segment.salt);
    const file = await this.#createFile(segment, header);
    try {
      this.#assertOpen();
      await file.writeSynced([header], 0);
      await disk.syncDirectory(directory);
    } catch (error) {
      this.#failed.push(file);
      throw error;
    }
    this.#segments = [...this.#segments.filter(({ first }) => first !== segment.first), segment];
    this.#file = file;
    this.#position = SEGMENT_HEADER_BYTES;
  }

  /**
   * A file of this name is left from a try that failed, or is the empty last segment: it holds nothing that counts and
   * is replaced in one step, so that its name, which says where the log goes on, is there at any moment.
   */
  async #createFile(segment: Segment, header: Uint8Array): Promise<DiskFile> {
    const { disk } = this.#options;
    try {
      return await disk.openWrite(segment.path, 'create');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    this.#assertOpen();
    this.#reader.drop(segment.first);
    await disk.replaceSmallFile(segment.path, header);
    return disk.openWrite(segment.path, 'existing');
  }

  rollOver(): Promise<void> {
    return this.#alone(this.#rollOver());
  }

  async #rollOver(): Promise<void> {
    assert(this.#fenced, 'only a fenced log rolls over');
    this.#assertOpen();
    if (this.#file !== null) {
      this.#failed.push(this.#file);
      this.#file = null;
    }
    const emptied = this.#last.first === this.#nextSequence;
    const bytes = this.#position;
    try {
      await this.#createSegment();
    } catch (error) {
      throw BrokerError.from(error, 'LOG_WRITE_FAILED', `no new segment can be made in ${this.#options.directory}`);
    }
    if (!emptied) this.#olderBytes += bytes;
    this.#fenced = false;
  }

  // --- read ---

  async read(from: LogAddress | null, bytesMax: number): Promise<LogRead> {
    const start = from ?? { segment: this.firstSequence, position: SEGMENT_HEADER_BYTES };
    const index = this.#segments.findIndex(({ first }) => first === start.segment);
    const segment = this.#segments[index];
    if (segment === undefined) {
      throw new BrokerError('LOG_READ_FAILED', `there is no segment ${start.segment} in ${this.#options.directory}`);
    }
    const next = this.#segments[index + 1];
    const end = next === undefined ? this.#position : null;
    const before = next?.first ?? this.#nextSequence;
    const range = { segment, position: start.position, end, before, bytesMax };
    const { entries, position } = await this.#reader.read(range);
    if (position !== null) return { entries, next: { segment: segment.first, position } };
    if (next === undefined) return { entries, next: null };
    const following = { segment: next.first, position: SEGMENT_HEADER_BYTES };
    return entries.length === 0 ? this.read(following, bytesMax) : { entries, next: following };
  }

  // --- truncate, close ---

  async truncateBefore(sequence: number): Promise<number> {
    let freed = 0;
    for (let [oldest, next] = this.#segments; oldest !== undefined; [oldest, next] = this.#segments) {
      if (next === undefined || next.first > sequence) break;
      const bytes = await this.#reader.size(oldest);
      await this.#removeOldest(oldest);
      this.#olderBytes -= bytes;
      freed += bytes;
    }
    if (freed > 0) await this.#syncNames();
    return freed;
  }

  /** Each removal is durable before the next: a power cut between two must not bring the older one back alone. */
  async #removeOldest(oldest: Segment): Promise<void> {
    await this.#syncNames();
    try {
      await this.#options.disk.remove(oldest.path);
    } catch (error) {
      throw BrokerError.from(error, 'LOG_WRITE_FAILED', `${oldest.path} cannot be removed`);
    }
    this.#segments = this.#segments.filter(({ first }) => first !== oldest.first);
    this.#reader.drop(oldest.first);
  }

  async #syncNames(): Promise<void> {
    const { disk, directory } = this.#options;
    try {
      await disk.syncDirectory(directory);
    } catch (error) {
      throw BrokerError.from(error, 'LOG_WRITE_FAILED', `the names in ${directory} cannot be made durable`);
    }
  }

  seal(): void {
    this.#sealed = true;
  }

  async close(): Promise<void> {
    this.seal();
    // Its outcome belongs to whoever wrote; here it only has to be over.
    await this.#writing?.catch(() => {});
    const files = this.#file === null ? [...this.#failed] : [...this.#failed, this.#file];
    this.#file = null;
    this.#failed.length = 0;
    await this.#reader.close();
    await Promise.all(files.map((file) => file.close()));
  }
}

function copiedBytes(group: readonly NewEntry[]): number {
  let bytes = group.length * ENTRY_HEADER_BYTES;
  for (const { parts } of group) for (const part of parts) if (part.length < COPY_BYTES_MAX) bytes += part.length;
  return bytes;
}

function randomSalt(): number {
  return randomBytes(4).readUInt32BE();
}
