/**
 * Reading entries out of segments, by any number of readers at a time. A bounded number of descriptors stay open, the
 * longest unused goes first, and none is closed while it is read from. Called by the segment log, which says where a
 * segment's durable end lies.
 */
import { BrokerError } from '../errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import { readEntry, SEGMENT_HEADER_BYTES } from './entry.ts';
import type { LogEntry } from './log.ts';
import type { Segment } from './segment.ts';
import { corrupt, readChunk, scanSegment } from './segment-scan.ts';

/** Most descriptors that stay open while no one reads from them. */
const IDLE_MAX = 8;
const READ_BYTES_MIN = 4096;

export interface EntryRange {
  readonly segment: Segment;
  /** Where an entry begins, or where the segment's entries end. */
  readonly position: number;
  /** No entry goes beyond it; null for the end of the file. */
  readonly end: number | null;
  /** First sequence that no longer belongs to the segment. */
  readonly before: number;
  /** About as many bytes are read; at least one entry when there is one. */
  readonly bytesMax: number;
}

export interface EntryRead {
  readonly entries: readonly LogEntry[];
  /** Where to read on; null when the segment holds no more. */
  readonly position: number | null;
}

interface OpenSegment {
  readonly file: Promise<DiskFile>;
  users: number;
  /** To be closed once no one uses it. */
  dropped: boolean;
}

export class EntryReader {
  readonly #disk: Disk;
  /** By first sequence, the longest unused first. */
  readonly #open = new Map<number, OpenSegment>();
  /** Descriptors being let go of. */
  readonly #closing = new Set<Promise<void>>();
  /** Reads under way, and who waits for their end. */
  #uses = 0;
  readonly #unused: (() => void)[] = [];
  #closed = false;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** LOG_CORRUPT, LOG_READ_FAILED. */
  read(range: EntryRange): Promise<EntryRead> {
    return this.#using(range.segment, async (file) => readEntries(file, range, range.end ?? (await sizeOf(file))));
  }

  /** Bytes of the segment's file. LOG_READ_FAILED. */
  size(segment: Segment): Promise<number> {
    return this.#using(segment, sizeOf);
  }

  /** Lets go of a segment's descriptor, once those who read from it are done; a later read opens it anew. */
  drop(first: number): void {
    const open = this.#open.get(first);
    if (open === undefined) return;
    this.#open.delete(first);
    open.dropped = true;
    this.#closeUnused(open);
  }

  /** Resolves when every descriptor is let go of: reads under way are over by then. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const first of [...this.#open.keys()]) this.drop(first);
    if (this.#uses > 0) await new Promise<void>((resolve) => this.#unused.push(resolve));
    while (this.#closing.size > 0) await Promise.all(this.#closing);
  }

  async #using<T>(segment: Segment, run: (file: DiskFile) => Promise<T>): Promise<T> {
    if (this.#closed) throw new BrokerError('LOG_READ_FAILED', 'the log is closed');
    const open = this.#open.get(segment.first) ?? { file: this.#openFile(segment), users: 0, dropped: false };
    // Set again, so that the map's own order is the order of last use.
    this.#open.delete(segment.first);
    this.#open.set(segment.first, open);
    open.users += 1;
    this.#uses += 1;
    try {
      return await run(await open.file);
    } finally {
      open.users -= 1;
      this.#uses -= 1;
      this.#closeUnused(open);
      this.#dropIdle();
      if (this.#uses === 0) for (const resolve of this.#unused.splice(0)) resolve();
    }
  }

  async #openFile(segment: Segment): Promise<DiskFile> {
    try {
      return await this.#disk.openRead(segment.path);
    } catch (error) {
      this.#open.delete(segment.first);
      throw BrokerError.from(error, 'LOG_READ_FAILED', `${segment.path} cannot be opened`);
    }
  }

  #dropIdle(): void {
    let idle = 0;
    for (const { users } of this.#open.values()) if (users === 0) idle += 1;
    for (const [first, { users }] of this.#open) {
      if (idle <= IDLE_MAX) return;
      if (users > 0) continue;
      this.drop(first);
      idle -= 1;
    }
  }

  #closeUnused(open: OpenSegment): void {
    if (!open.dropped || open.users > 0) return;
    const closing: Promise<void> = open.file
      .then(
        (file) => file.close(),
        // It never opened; whoever asked for it was told.
        () => {},
      )
      // Only read from: nothing is lost with a descriptor that does not close well.
      .catch(() => {})
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

async function readEntries(file: DiskFile, range: EntryRange, end: number): Promise<EntryRead> {
  const { segment, before } = range;
  const entries: LogEntry[] = [];
  let { position } = range;
  /** Sequence due at `position`; not known before the first entry, unless that is the segment's. */
  let due = position === SEGMENT_HEADER_BYTES ? segment.first : null;
  let want = Math.max(range.bytesMax, READ_BYTES_MIN);
  while (entries.length === 0 && position < end && (due === null || due < before)) {
    const chunk = await readChunk(file, position, Math.min(want, end - position));
    for (let at = 0; at < chunk.length && (due === null || due < before); ) {
      const reading = readEntry(chunk, at, segment.salt);
      if (reading.is === 'short' && position + reading.bytes <= end) {
        want = Math.max(want, reading.bytes);
        break;
      }
      const sound = reading.is === 'entry' && (due === null || reading.header.sequence === due);
      if (reading.is !== 'entry' || !sound || reading.header.sequence >= before) {
        // What is sound goes out; the read that begins here is told.
        if (entries.length > 0) return { entries, position };
        if (due === null && (await endsAt(file, range, end))) return { entries, position: null };
        const fault = reading.is === 'bad' ? reading.fault : 'not the entry that was due';
        throw corrupt(segment.path, { position, sequence: due ?? before, fault });
      }
      const { sequence, epoch, kind } = reading.header;
      entries.push({ sequence, epoch, kind, body: reading.body, address: { segment: segment.first, position } });
      at += reading.bytes;
      position += reading.bytes;
      due = sequence + 1;
    }
  }
  return { entries, position: position >= end || due === before ? null : position };
}

/**
 * True when the segment's entries end where `range` begins: what stands there was left by a write that failed and is
 * void. Told from damage by reading the segment from its beginning, which is done for an address that does not lead to
 * a sound entry and for no other. LOG_CORRUPT names the entry that is damaged.
 */
async function endsAt(file: DiskFile, { segment, position, before }: EntryRange, fileBytes: number): Promise<boolean> {
  const start = { segment, position: SEGMENT_HEADER_BYTES, sequence: segment.first, before, fileBytes };
  const end = await scanSegment(file, start, () => {});
  if (end.sequence < before) throw corrupt(segment.path, end);
  return end.position === position;
}

async function sizeOf(file: DiskFile): Promise<number> {
  try {
    return await file.size();
  } catch (error) {
    throw BrokerError.from(error, 'LOG_READ_FAILED', `the size of ${file.path} cannot be read`);
  }
}
