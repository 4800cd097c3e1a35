/**
 * The segment log: the log port on files. One synced write per group, at the end of the last segment; a segment over
 * its size is followed by a new one before the next group, so a group never spans two. After a failed write nothing is
 * written to that descriptor again: `rollOver` begins a new segment behind the last durable entry, and what the failed
 * write left in the old one is void, since a segment ends where the next begins.
 */
import { randomBytes } from 'node:crypto';
import { assert, BrokerError, InvariantError, systemCodeOf } from '../errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import { SEGMENT_HEADER_BYTES, saltTellsZeros, writeSegmentHeader } from './entry.ts';
import { EntryReader } from './entry-reader.ts';
import { encodeGroup } from './group-encoder.ts';
import type { Appended, Log, LogAddress, LogRead, NewEntry } from './log.ts';
import { type Segment, segmentAt } from './segment.ts';
import { type RecoveryStart, recoverSegments } from './segment-recovery.ts';
import { SpareSegment } from './spare-segment.ts';

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
  await SpareSegment.removeFrom(disk, directory);
  const aborting = signal === undefined ? {} : { signal };
  const found = await recoverSegments({ disk, directory, shard, repair: true, ...aborting }, from);
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
  readonly #spare: SpareSegment;
  /** The last segment was made of a spare one: zeros lie behind its end. */
  #padded = false;
  #appending: Promise<unknown> | null = null;
  #fenced = false;
  #closed = false;
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
    this.#spare = new SpareSegment(options.disk, options.directory, options.segmentBytes);
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
    return this.#segments[0]?.first ?? this.#nextSequence;
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

  get #last(): Segment {
    const last = this.#segments[this.#segments.length - 1];
    assert(last !== undefined, 'a log has at least one segment');
    return last;
  }

  // --- append ---

  append(group: readonly NewEntry[]): Promise<Appended> {
    if (this.#appending !== null) throw new InvariantError('one append at a time');
    if (this.#closed) throw new InvariantError('the log is closed');
    if (this.#fenced) throw new InvariantError('the log is fenced: roll over first');
    const appending = this.#append(group).finally(() => {
      this.#appending = null;
    });
    this.#appending = appending;
    return appending;
  }

  async #append(group: readonly NewEntry[]): Promise<Appended> {
    try {
      if (this.#position >= this.#options.segmentBytes) await this.#nextSegment();
      const file = this.#file;
      assert(file !== null, 'an open log has a file to write to');
      const firstSequence = this.#nextSequence;
      const { parts, addresses, bytes } = encodeGroup(group, {
        segment: this.#last,
        position: this.#position,
        sequence: firstSequence,
        epoch: this.epoch,
      });
      await file.writeSynced(parts, this.#position);
      this.#position += bytes;
      this.#nextSequence += group.length;
      if (this.#position * 2 >= this.#options.segmentBytes && !this.#closed) this.#spare.prepare();
      return { firstSequence, addresses, bytes };
    } catch (error) {
      this.#fenced = true;
      // What only saves time makes room for what has to be written.
      if (systemCodeOf(error) === 'ENOSPC') await this.#spare.discard();
      throw BrokerError.from(error, 'LOG_WRITE_FAILED', `${this.#last.path} cannot be written`);
    }
  }

  async #nextSegment(): Promise<void> {
    const done = this.#file;
    const bytes = this.#position;
    const padded = this.#padded;
    const spare = this.#spare.take();
    await this.#createSegment(spare);
    this.#spare.renew();
    this.#olderBytes += bytes;
    if (padded) await trim(done, bytes);
    await done?.close();
  }

  /** Makes the segment that begins at `nextSequence`; it counts only once it and its name are durable. */
  async #createSegment(spare: string | null = null): Promise<void> {
    const { disk, directory, shard } = this.#options;
    const segment = segmentAt(directory, this.#nextSequence, this.#drawSalt());
    const header = writeSegmentHeader(shard, segment.first, segment.salt);
    if (spare !== null) await this.#adopt(spare, segment, header);
    const file =
      spare === null ? await this.#createFile(segment, header) : await disk.openWrite(segment.path, 'existing');
    try {
      await file.writeSynced([header], 0);
      await disk.syncDirectory(directory);
    } catch (error) {
      this.#failed.push(file);
      throw error;
    }
    this.#segments = [...this.#segments.filter(({ first }) => first !== segment.first), segment];
    this.#file = file;
    this.#padded = spare !== null;
    this.#position = SEGMENT_HEADER_BYTES;
  }

  /** Makes a spare file the segment's. Its header is durable before it bears a name that is looked at. */
  async #adopt(spare: string, segment: Segment, header: Uint8Array): Promise<void> {
    const { disk } = this.#options;
    const file = await disk.openWrite(spare, 'existing');
    try {
      await file.writeSynced([header], 0);
    } finally {
      await file.close();
    }
    await disk.rename(spare, segment.path);
  }

  #drawSalt(): number {
    const { drawSalt = randomSalt } = this.#options;
    let salt = drawSalt();
    while (!saltTellsZeros(salt)) salt = drawSalt();
    return salt;
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
    this.#reader.drop(segment.first);
    await disk.replaceSmallFile(segment.path, header);
    return disk.openWrite(segment.path, 'existing');
  }

  async rollOver(): Promise<void> {
    assert(this.#fenced, 'only a fenced log rolls over');
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

  async close(): Promise<void> {
    this.#closed = true;
    // Its outcome belongs to whoever appended; here it only has to be over.
    await this.#appending?.catch(() => {});
    if (this.#padded && !this.#fenced) await trim(this.#file, this.#position);
    const files = this.#file === null ? [...this.#failed] : [...this.#failed, this.#file];
    this.#file = null;
    this.#failed.length = 0;
    await this.#reader.close();
    await Promise.all([...files.map((file) => file.close()), this.#spare.discard()]);
  }
}

/** Gives the zeros behind the end of a segment back. Those that stay cost space, and nothing reads them as entries. */
async function trim(file: DiskFile | null, bytes: number): Promise<void> {
  try {
    await file?.truncate(bytes);
  } catch {
    // All that is stored is stored: no reason to call a write or a release failed.
  }
}

function randomSalt(): number {
  return randomBytes(4).readUInt32BE();
}
