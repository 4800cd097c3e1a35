/**
 * The segment log: the log port on files. One synced write per group, at the end of the last segment; a segment over
 * its size is followed by a new one before the next group, so a group never spans two. After a failed write nothing is
 * written to that descriptor again: `rollOver` begins a new segment behind the last durable entry, and what the failed
 * write left in the old one is void, since a segment ends where the next begins.
 */
import { assert, BrokerError, InvariantError } from '../errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import { ENTRY_HEADER_BYTES, readEntry, SEGMENT_HEADER_BYTES, writeEntryHeader, writeSegmentHeader } from './entry.ts';
import type { Appended, Log, LogAddress, LogEntry, LogRead, NewEntry } from './log.ts';
import { type Segment, segmentAt } from './segment.ts';
import { type RecoveryStart, recoverSegments } from './segment-recovery.ts';
import { corrupt, readChunk } from './segment-scan.ts';

export interface SegmentLogOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly shard: number;
  /** Size at which a segment is followed by a new one, bytes. */
  readonly segmentBytes: number;
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
const READERS_MAX = 8;
const READ_BYTES_MIN = 4096;

/**
 * Opens the log of a directory, made when it is new. Checks it from `from` on, or whole; cuts a torn end. LOG_CORRUPT,
 * LOG_READ_FAILED, LOG_VERSION, LOG_WRITE_FAILED.
 */
export async function openSegmentLog(
  options: SegmentLogOptions,
  from: RecoveryStart | null,
): Promise<OpenedSegmentLog> {
  const { disk, directory, shard } = options;
  await disk.makeDirectory(directory);
  const found = await recoverSegments({ disk, directory, shard, repair: true }, from);
  if (found === null) {
    const log = new SegmentLog(options, [], 0, SEGMENT_HEADER_BYTES, 1);
    await log.begin();
    return { log, fromValid: from === null, cutBytes: 0, entriesChecked: 0 };
  }
  const { segments, position, nextSequence, olderBytes, fromValid, cutBytes, entriesChecked } = found;
  const log = new SegmentLog(options, segments, olderBytes, position, nextSequence);
  await log.resume();
  return { log, fromValid, cutBytes, entriesChecked };
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
  readonly #readers = new Map<number, Promise<DiskFile>>();
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
    this.#segments = [...segments];
    this.#olderBytes = olderBytes;
    this.#position = position;
    this.#nextSequence = nextSequence;
  }

  /** Makes the first segment. */
  async begin(): Promise<void> {
    await this.#createSegment();
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
      writeEntryHeader(scratch, copied, header, body);
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
    const { disk, directory, shard } = this.#options;
    const segment = segmentAt(directory, this.#nextSequence);
    const file = await this.#createFile(segment);
    try {
      await file.writeSynced([writeSegmentHeader(shard, segment.first)], 0);
      await disk.syncDirectory(directory);
    } catch (error) {
      this.#failed.push(file);
      throw error;
    }
    this.#segments = [...this.#segments.filter(({ first }) => first !== segment.first), segment];
    this.#file = file;
    this.#position = SEGMENT_HEADER_BYTES;
  }

  /** A file of this name is left from a try that failed: it holds nothing that counts, and goes. */
  async #createFile(segment: Segment): Promise<DiskFile> {
    const { disk, directory } = this.#options;
    try {
      return await disk.openWrite(segment.path, 'create');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    await this.#dropReader(segment.first);
    await disk.remove(segment.path);
    await disk.syncDirectory(directory);
    return disk.openWrite(segment.path, 'create');
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
    const file = await this.#reader(segment);
    const end = next === undefined ? this.#position : await file.size();
    const before = next?.first ?? this.#nextSequence;
    const { entries, position } = await this.#readEntries(file, segment, start.position, end, before, bytesMax);
    const last = entries[entries.length - 1];
    const done = last === undefined ? start.position >= end : last.sequence + 1 >= before;
    if (!done) return { entries, next: { segment: segment.first, position } };
    if (next === undefined) return { entries, next: null };
    const following = { segment: next.first, position: SEGMENT_HEADER_BYTES };
    return entries.length === 0 ? this.read(following, bytesMax) : { entries, next: following };
  }

  async #readEntries(
    file: DiskFile,
    segment: Segment,
    start: number,
    end: number,
    before: number,
    bytesMax: number,
  ): Promise<{ entries: LogEntry[]; position: number }> {
    const entries: LogEntry[] = [];
    let position = start;
    let due = start === SEGMENT_HEADER_BYTES ? segment.first : null;
    let want = Math.max(bytesMax, READ_BYTES_MIN);
    while (entries.length === 0 && position < end && (due === null || due < before)) {
      const chunk = await readChunk(file, position, Math.min(want, end - position));
      for (let at = 0; due === null || due < before; ) {
        const reading = readEntry(chunk, at);
        if (reading.is === 'short' && position + reading.bytes <= end) {
          want = Math.max(want, reading.bytes);
          break;
        }
        if (reading.is === 'short' && position === end) break;
        const sound = reading.is === 'entry' && (due === null || reading.header.sequence === due);
        if (reading.is !== 'entry' || !sound) {
          const fault = reading.is === 'bad' ? reading.fault : 'not the entry that was due';
          throw corrupt(segment.path, { position, sequence: due ?? before, fault });
        }
        const { sequence, epoch, kind } = reading.header;
        if (sequence >= before) return { entries, position: end };
        entries.push({ sequence, epoch, kind, body: reading.body, address: { segment: segment.first, position } });
        at += reading.bytes;
        position += reading.bytes;
        due = sequence + 1;
      }
    }
    return { entries, position };
  }

  /** An open descriptor of a segment; a bounded number stay open, the longest unused goes first. */
  #reader(segment: Segment): Promise<DiskFile> {
    const open = this.#readers.get(segment.first);
    const reader = open ?? this.#openReader(segment);
    this.#readers.delete(segment.first);
    this.#readers.set(segment.first, reader);
    if (this.#readers.size > READERS_MAX) {
      const oldest = this.#readers.keys().next().value;
      if (oldest !== undefined) void this.#dropReader(oldest);
    }
    return reader;
  }

  async #openReader(segment: Segment): Promise<DiskFile> {
    try {
      return await this.#options.disk.openRead(segment.path);
    } catch (error) {
      this.#readers.delete(segment.first);
      throw BrokerError.from(error, 'LOG_READ_FAILED', `${segment.path} cannot be opened`);
    }
  }

  async #dropReader(first: number): Promise<void> {
    const reader = this.#readers.get(first);
    this.#readers.delete(first);
    await reader?.then(
      (file) => file.close(),
      // It never opened; whoever asked for it was told.
      () => {},
    );
  }

  // --- truncate, close ---

  async truncateBefore(sequence: number): Promise<number> {
    const { disk, directory } = this.#options;
    let freed = 0;
    while (this.#segments.length > 1 && (this.#segments[1] as Segment).first <= sequence) {
      const oldest = this.#segments[0] as Segment;
      const bytes = await (await this.#reader(oldest)).size();
      this.#segments = this.#segments.slice(1);
      await this.#dropReader(oldest.first);
      await disk.remove(oldest.path);
      this.#olderBytes -= bytes;
      freed += bytes;
    }
    if (freed > 0) await disk.syncDirectory(directory);
    return freed;
  }

  async close(): Promise<void> {
    this.#closed = true;
    // Its outcome belongs to whoever appended; here it only has to be over.
    await this.#appending?.catch(() => {});
    const files = this.#file === null ? [...this.#failed] : [...this.#failed, this.#file];
    this.#file = null;
    this.#failed.length = 0;
    await Promise.all([...this.#readers.keys()].map((first) => this.#dropReader(first)));
    await Promise.all(files.map((file) => file.close()));
  }
}

function copiedBytes(group: readonly NewEntry[]): number {
  let bytes = group.length * ENTRY_HEADER_BYTES;
  for (const { parts } of group) for (const part of parts) if (part.length < COPY_BYTES_MAX) bytes += part.length;
  return bytes;
}
