/**
 * Reading a segment entry by entry, checked, and telling a torn end from damage. Read errors are errors: they are never
 * taken for the end of the log.
 */
import { BrokerError } from '../errors.ts';
import type { DiskFile } from './disk.ts';
import { BODY_BYTES_MAX, ENTRY_HEADER_BYTES, readEntry } from './entry.ts';
import type { LogEntry } from './log.ts';

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
  readonly segment: number;
  readonly position: number;
  /** Sequence due at `position`. */
  readonly sequence: number;
  /** First sequence that no longer belongs to the segment: where the next one begins. */
  readonly before: number;
  readonly fileBytes: number;
}

/** Visits sound entries from `range.position` on, until the first that is not sound, `range.before`, or the end. */
export async function scanSegment(
  file: DiskFile,
  range: ScanRange,
  visit: (entry: LogEntry) => void,
): Promise<ScanEnd> {
  let { position, sequence } = range;
  let want = CHUNK_BYTES;
  while (sequence < range.before && position < range.fileBytes) {
    const chunk = await readChunk(file, position, Math.min(want, range.fileBytes - position));
    let at = 0;
    while (sequence < range.before) {
      const reading = readEntry(chunk, at);
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
      visit({
        sequence,
        epoch: header.epoch,
        kind: header.kind,
        body: reading.body,
        address: { segment: range.segment, position },
      });
      at += reading.bytes;
      position += reading.bytes;
      sequence += 1;
    }
  }
  return { position, sequence, fault: null };
}

/**
 * True when a sound entry behind `position` says that the entry due there had been durable: then what stands there is
 * damage, not the torn end of a group that was never acknowledged. Looks at every byte.
 */
export async function durableBehind(
  file: DiskFile,
  position: number,
  due: number,
  fileBytes: number,
): Promise<boolean> {
  const overlap = ENTRY_HEADER_BYTES;
  for (let start = position; start < fileBytes; start += CHUNK_BYTES) {
    const chunk = await readChunk(file, start, Math.min(CHUNK_BYTES + overlap, fileBytes - start));
    for (let at = 0; at < Math.min(CHUNK_BYTES, chunk.length - overlap + 1); at += 1) {
      const bytes = plausible(chunk, at, due);
      if (bytes === null || start + at + bytes > fileBytes) continue;
      const whole =
        at + bytes <= chunk.length ? chunk.subarray(at, at + bytes) : await readChunk(file, start + at, bytes);
      const reading = readEntry(whole, 0);
      if (reading.is === 'entry' && reading.header.sequence - reading.header.behind >= due) return true;
    }
  }
  return false;
}

/** The length of what may be an entry behind `due`, by its header alone; null when it can't be one. */
function plausible(chunk: Uint8Array, at: number, due: number): number | null {
  const view = new DataView(chunk.buffer, chunk.byteOffset + at, ENTRY_HEADER_BYTES);
  const length = view.getUint32(0);
  if (length > BODY_BYTES_MAX || view.getUint16(14) !== 0 || view.getUint32(28) !== 0) return null;
  const sequence = view.getUint32(16) * 0x1_0000_0000 + view.getUint32(20);
  return sequence >= due && sequence < due + 0xffff_ffff ? ENTRY_HEADER_BYTES + length : null;
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
