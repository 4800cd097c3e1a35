/**
 * Opening a log: which segments there are, where the durable end is, and whether it is sound. A torn end, which no one
 * was ever told is stored, is cut; anything else that does not read is refused by file, position and sequence.
 */
import { BrokerError } from '../errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import { SEGMENT_HEADER_BYTES, segmentHeaderFault } from './entry.ts';
import type { LogAddress } from './log.ts';
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
}

/** Null in a directory without a segment. LOG_CORRUPT, LOG_READ_FAILED, LOG_VERSION. */
export async function recoverSegments(
  options: RecoveryOptions,
  from: RecoveryStart | null,
): Promise<RecoveredSegments | null> {
  const segments = await soundSegments(options);
  if (segments.length === 0) return null;
  let entriesChecked = 0;
  const count = (): void => {
    entriesChecked += 1;
  };
  const start = from === null ? null : await checkedStart(options.disk, segments, from);
  let index = start === null ? 0 : segments.findIndex(({ first }) => first === start.address.segment);
  let position = start?.address.position ?? SEGMENT_HEADER_BYTES;
  let sequence = start?.sequence ?? (segments[0] as Segment).first;
  for (; index < segments.length - 1; index += 1) {
    const next = segments[index + 1] as Segment;
    const end = await scan(options.disk, segments[index] as Segment, position, sequence, next.first, count);
    if (end.sequence !== next.first) throw corrupt((segments[index] as Segment).path, end);
    position = SEGMENT_HEADER_BYTES;
    sequence = next.first;
  }
  const last = segments[index] as Segment;
  const end = await scan(options.disk, last, position, sequence, Number.MAX_SAFE_INTEGER, count);
  const cutBytes = await cutTornEnd(options, last, end);
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
  for (const [index, segment] of segments.entries()) {
    const fault = await headerFault(options, segment);
    if (fault === null) continue;
    const last = index === segments.length - 1;
    if (!last || (await holdsEntries(options.disk, segment))) {
      throw new BrokerError(
        'LOG_CORRUPT',
        `${segment.path} is damaged at position 0, before entry ${segment.first}: ${fault}`,
      );
    }
    if (options.repair) {
      await options.disk.remove(segment.path);
      await options.disk.syncDirectory(options.directory);
    }
    segments.pop();
  }
  return segments;
}

async function headerFault({ disk, shard }: RecoveryOptions, segment: Segment): Promise<string | null> {
  return withFile(disk, segment, async (file, bytes) => {
    const header = await readChunk(file, 0, Math.min(bytes, SEGMENT_HEADER_BYTES));
    return segmentHeaderFault(header, shard, segment.first);
  });
}

function holdsEntries(disk: Disk, segment: Segment): Promise<boolean> {
  return withFile(disk, segment, (file, bytes) => durableBehind(file, 0, segment.first - 1, bytes));
}

function scan(
  disk: Disk,
  segment: Segment,
  position: number,
  sequence: number,
  before: number,
  visit: () => void,
): Promise<ScanEnd> {
  return withFile(disk, segment, (file, fileBytes) =>
    scanSegment(file, { segment: segment.first, position, sequence, before, fileBytes }, visit),
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
      { segment: segment.first, position, sequence: from.sequence, before: from.sequence + 1, fileBytes },
      () => {},
    );
    if (end.sequence === from.sequence + 1) return from;
    // Nothing sound there: a torn end is judged by the scan that follows, anything else means another log.
    return next === undefined && !(await durableBehind(file, position, from.sequence, fileBytes)) ? from : null;
  });
}

/** Cuts what lies behind the last sound entry, when no one can have been told that it is stored. */
async function cutTornEnd({ disk, repair }: RecoveryOptions, segment: Segment, end: ScanEnd): Promise<number> {
  const torn = await withFile(disk, segment, async (file, fileBytes) => {
    if (end.position === fileBytes) return 0;
    if (await durableBehind(file, end.position, end.sequence, fileBytes)) throw corrupt(segment.path, end);
    return fileBytes - end.position;
  });
  if (torn === 0 || !repair) return torn;
  const file = await disk.openWrite(segment.path, 'existing');
  try {
    await file.truncate(end.position);
    await file.sync();
  } catch (error) {
    throw BrokerError.from(error, 'LOG_WRITE_FAILED', `the torn end of ${segment.path} cannot be cut`);
  } finally {
    await file.close();
  }
  return torn;
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
