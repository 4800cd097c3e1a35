/**
 * Opening a log: which segments there are, where the durable end is, and whether it is sound. A torn end, which no one
 * was ever told is stored, is cut; anything else that does not read is refused by file, position and sequence. What is
 * kept is durable before anything is built on it: a process that died in the middle of a write may have left bytes and
 * names that only the page cache holds.
 */
import { BrokerError } from '../errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import { SEGMENT_HEADER_BYTES, segmentHeaderFault, segmentSalt } from './entry.ts';
import type { LogAddress, LogEntry } from './log.ts';
import { listSegments, type Segment } from './segment.ts';
import { corrupt, durableBehind, readChunk, type ScanEnd, scanSegment } from './segment-scan.ts';

export interface RecoveryStart {
  readonly sequence: number;
  readonly address: LogAddress;
}

export interface RecoveredSegments {
  readonly segments: readonly Segment[];
  /** Position behind the last entry of the last segment. */
  readonly position: number;
  readonly nextSequence: number;
  readonly fromValid: boolean;
  readonly cutBytes: number;
  readonly entriesChecked: number;
  /** Bytes of all segments but the last. */
  readonly olderBytes: number;
}

export interface RecoveryOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly shard: number;
  /** False leaves everything as it is: a torn end is measured and not cut. */
  readonly repair: boolean;
  /** Ends it between two segments or two writes, with the signal's reason; no write begins behind it. */
  readonly signal?: AbortSignal;
}

/** Null in a directory without a segment. LOG_CORRUPT, LOG_READ_FAILED, LOG_VERSION, LOG_WRITE_FAILED. */
export async function recoverSegments(
  options: RecoveryOptions,
  from: RecoveryStart | null,
): Promise<RecoveredSegments | null> {
  const segments = await soundSegments(options);
  if (segments.length === 0) return null;
  const start = from === null ? null : await checkedStart(options.disk, segments, from);
  let index = start === null ? 0 : segments.findIndex(({ first }) => first === start.address.segment);
  let position = start?.address.position ?? SEGMENT_HEADER_BYTES;
  let sequence = start?.sequence ?? (segments[0] as Segment).first;
  let entriesChecked = 0;
  /** Where the last group begins that was found in the segment being scanned; its header counts as one. */
  let group = groupStart(position);
  const visit = (entry: LogEntry, behind: number): void => {
    entriesChecked += 1;
    if (behind === 1) group = entry.address.position;
  };
  for (; index < segments.length - 1; index += 1) {
    options.signal?.throwIfAborted();
    const next = segments[index + 1] as Segment;
    const end = await scan(options.disk, segments[index] as Segment, position, sequence, next.first, visit);
    if (end.sequence !== next.first) throw corrupt((segments[index] as Segment).path, end);
    position = SEGMENT_HEADER_BYTES;
    sequence = next.first;
    group = groupStart(position);
  }
  options.signal?.throwIfAborted();
  const last = segments[index] as Segment;
  const end = await scan(options.disk, last, position, sequence, Number.MAX_SAFE_INTEGER, visit);
  const cutBytes = await tornBytes(options.disk, last, end);
  if (options.repair) await settleEnd(options, last, group, end.position, cutBytes > 0);
  return {
    segments,
    position: end.position,
    nextSequence: end.sequence,
    fromValid: from === null || start !== null,
    cutBytes,
    entriesChecked,
    olderBytes: await bytesOf(options.disk, segments.slice(0, -1)),
  };
}

/** The segments, without a last one that a crash left half made: it holds no entry, and the one before is whole. */
async function soundSegments(options: RecoveryOptions): Promise<Segment[]> {
  const segments = await listSegments(options.disk, options.directory);
  const sound: Segment[] = [];
  for (const [index, segment] of segments.entries()) {
    const read = await readSegmentHeader(options.disk, segment, options.shard);
    if (read.fault === null) {
      sound.push(read.segment);
      continue;
    }
    // A header is durable before the first entry is written behind it: damaged with entries, it is damage.
    if (index < segments.length - 1 || read.fileBytes > SEGMENT_HEADER_BYTES) {
      throw new BrokerError(
        'LOG_CORRUPT',
        `${segment.path} is damaged at position 0, before entry ${segment.first}: ${read.fault}`,
      );
    }
    if (options.repair) await removeHalfMade(options, segment);
  }
  return sound;
}

/** The segment with the salt of its header, and what is wrong with that header; null when nothing is. */
export function readSegmentHeader(
  disk: Disk,
  segment: Segment,
  shard: number,
): Promise<{ readonly segment: Segment; readonly fault: string | null; readonly fileBytes: number }> {
  return withFile(disk, segment, async (file, fileBytes) => {
    const header = await readChunk(file, 0, Math.min(fileBytes, SEGMENT_HEADER_BYTES));
    const fault = segmentHeaderFault(header, shard, segment.first);
    return { segment: fault === null ? { ...segment, salt: segmentSalt(header) } : segment, fault, fileBytes };
  });
}

async function removeHalfMade({ disk, directory }: RecoveryOptions, segment: Segment): Promise<void> {
  try {
    await disk.remove(segment.path);
    await disk.syncDirectory(directory);
  } catch (error) {
    throw BrokerError.from(error, 'LOG_WRITE_FAILED', `${segment.path}, half made, cannot be removed`);
  }
}

function scan(
  disk: Disk,
  segment: Segment,
  position: number,
  sequence: number,
  before: number,
  visit: (entry: LogEntry, behind: number) => void,
): Promise<ScanEnd> {
  return withFile(disk, segment, (file, fileBytes) =>
    scanSegment(file, { segment, position, sequence, before, fileBytes }, visit),
  );
}

/** The start, when an entry of its sequence lies there or the log ends there; null when it is of another log. */
async function checkedStart(
  disk: Disk,
  segments: readonly Segment[],
  from: RecoveryStart,
): Promise<RecoveryStart | null> {
  const index = segments.findIndex(({ first }) => first === from.address.segment);
  const segment = segments[index];
  const next = segments[index + 1];
  if (segment === undefined || from.sequence < segment.first || from.address.position < SEGMENT_HEADER_BYTES)
    return null;
  // The entry behind the checkpoint may have begun the next segment.
  if (next !== undefined && next.first === from.sequence) {
    return { sequence: from.sequence, address: { segment: next.first, position: SEGMENT_HEADER_BYTES } };
  }
  if (next !== undefined && next.first < from.sequence) return null;
  return withFile(disk, segment, async (file, fileBytes) => {
    const { position } = from.address;
    if (position > fileBytes) return null;
    if (position === fileBytes) return next === undefined ? from : null;
    const end = await scanSegment(
      file,
      { segment, position, sequence: from.sequence, before: from.sequence + 1, fileBytes },
      () => {},
    );
    if (end.sequence === from.sequence + 1) return from;
    // Nothing sound there: a torn end is judged by the scan that follows, anything else means another log.
    return next === undefined && !(await durableBehind(file, segment, position, from.sequence, fileBytes))
      ? from
      : null;
  });
}

function groupStart(position: number): number {
  return position === SEGMENT_HEADER_BYTES ? 0 : position;
}

/** Bytes behind the last sound entry, when no one can have been told that they are stored. LOG_CORRUPT otherwise. */
function tornBytes(disk: Disk, segment: Segment, end: ScanEnd): Promise<number> {
  return withFile(disk, segment, async (file, fileBytes) => {
    if (end.position === fileBytes) return 0;
    if (await durableBehind(file, segment, end.position, end.sequence, fileBytes)) throw corrupt(segment.path, end);
    return fileBytes - end.position;
  });
}

/**
 * Cuts a torn end and makes the rest durable. Only the last group can be in doubt, since nothing is written behind a
 * group that is; it is written again as it stands: a sync alone says nothing about pages whose write has failed before.
 */
async function settleEnd(
  { disk, directory, signal }: RecoveryOptions,
  segment: Segment,
  group: number,
  end: number,
  torn: boolean,
): Promise<void> {
  let file: DiskFile | null = null;
  try {
    file = await disk.openWrite(segment.path, 'existing');
    signal?.throwIfAborted();
    if (torn) await file.truncate(end);
    const doubtful = end > group ? [await readChunk(file, group, end - group)] : [];
    signal?.throwIfAborted();
    if (doubtful.length > 0) await file.writeSynced(doubtful, group);
    await file.sync();
    await disk.syncDirectory(directory);
  } catch (error) {
    signal?.throwIfAborted();
    throw BrokerError.from(error, 'LOG_WRITE_FAILED', `the end of ${segment.path} cannot be made durable`);
  } finally {
    await file?.close();
  }
}

async function bytesOf(disk: Disk, segments: readonly Segment[]): Promise<number> {
  let bytes = 0;
  for (const segment of segments) bytes += await withFile(disk, segment, async (_file, size) => size);
  return bytes;
}

/** Runs with the segment open for reading. System errors are LOG_READ_FAILED. */
export async function withFile<T>(
  disk: Disk,
  segment: Segment,
  run: (file: DiskFile, bytes: number) => Promise<T>,
): Promise<T> {
  let file: DiskFile | null = null;
  try {
    file = await disk.openRead(segment.path);
    return await run(file, await file.size());
  } catch (error) {
    throw BrokerError.from(error, 'LOG_READ_FAILED', `${segment.path} cannot be read`);
  } finally {
    await file?.close();
  }
}
