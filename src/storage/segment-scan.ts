/**
 * Reading a segment entry by entry, checked, and telling a torn end from damage. Read errors are errors: they are never
 * taken for the end of the log.
 */
import { BrokerError } from '../errors.ts';
import type { DiskFile } from './disk.ts';
import { ENTRY_HEADER_BYTES, readEntry, readEntryHeader } from './entry.ts';
import type { LogEntry } from './log.ts';
import type { Segment } from './segment.ts';

const CHUNK_BYTES = 1024 * 1024;

/** Where a run of sound, dense entries stops. */
export interface ScanEnd {
  /** Position behind the last sound entry. */
  readonly position: number;
  /** Sequence that was due there. */
  readonly sequence: number;
  /** What stands there instead of an entry; null at the limit or the end of the file. */
  readonly fault: string | null;
}

export interface ScanRange {
  readonly segment: Segment;
  readonly position: number;
  /** Sequence due at `position`. */
  readonly sequence: number;
  /** First sequence that no longer belongs to the segment: where the next one begins. */
  readonly before: number;
  readonly fileBytes: number;
}

/**
 * Visits sound entries from `range.position` on, until the first that is not sound, `range.before`, or the end.
 * `behind`: how far the entry lay behind the last durable one when it was written; 1 begins a group.
 */
export async function scanSegment(
  file: DiskFile,
  range: ScanRange,
  visit: (entry: LogEntry, behind: number) => void,
): Promise<ScanEnd> {
  let { position, sequence } = range;
  let want = CHUNK_BYTES;
  while (sequence < range.before && position < range.fileBytes) {
    const chunk = await readChunk(file, position, Math.min(want, range.fileBytes - position));
    let at = 0;
    while (sequence < range.before) {
      const reading = readEntry(chunk, at, range.segment.salt);
      if (reading.is === 'bad') return { position, sequence, fault: reading.fault };
      if (reading.is === 'short') {
        if (position + reading.bytes > range.fileBytes) {
          const fault = position === range.fileBytes ? null : `an entry cut off at the end of the file`;
          return { position, sequence, fault };
        }
        want = Math.max(CHUNK_BYTES, reading.bytes);
        break;
      }
      const { header } = reading;
      if (header.sequence !== sequence) return { position, sequence, fault: `an entry of sequence ${header.sequence}` };
      const { epoch, kind, behind } = header;
      visit({ sequence, epoch, kind, body: reading.body, address: { segment: range.segment.first, position } }, behind);
      at += reading.bytes;
      position += reading.bytes;
      sequence += 1;
    }
  }
  return { position, sequence, fault: null };
}

/**
 * True when the header of an entry behind `position` says that the entry due there had been durable: then what stands
 * there is damage, not the torn end of a group that was never acknowledged. Looks at every byte, once.
 */
export async function durableBehind(
  file: DiskFile,
  segment: Segment,
  position: number,
  due: number,
  fileBytes: number,
): Promise<boolean> {
  for (let start = position; start + ENTRY_HEADER_BYTES <= fileBytes; start += CHUNK_BYTES) {
    const chunk = await readChunk(file, start, Math.min(CHUNK_BYTES + ENTRY_HEADER_BYTES - 1, fileBytes - start));
    for (let at = 0; at + ENTRY_HEADER_BYTES <= chunk.length; at += 1) {
      const header = readEntryHeader(chunk, at, segment.salt);
      if (header !== null && header.sequence - header.behind >= due) return true;
    }
  }
  return false;
}

/** Reads exactly `bytes`. LOG_READ_FAILED when the disk fails or gives fewer. */
export async function readChunk(file: DiskFile, position: number, bytes: number): Promise<Uint8Array> {
  const chunk = Buffer.allocUnsafe(bytes);
  let read: number;
  try {
    read = await file.read(chunk, position);
  } catch (error) {
    throw BrokerError.from(error, 'LOG_READ_FAILED', `${file.path} cannot be read at position ${position}`);
  }
  if (read < bytes) {
    throw new BrokerError('LOG_READ_FAILED', `${file.path} gave ${read} of ${bytes} bytes at position ${position}`);
  }
  return chunk;
}

export function corrupt(path: string, end: ScanEnd): BrokerError {
  return new BrokerError(
    'LOG_CORRUPT',
    `${path} is damaged at position ${end.position}, where entry ${end.sequence} was due: ${end.fault ?? 'the file ends'}`,
  );
}
