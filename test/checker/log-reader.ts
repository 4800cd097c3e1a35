/**
 * The log of one shard, read as `docs/storage.md` describes it: which entries are in it, where it is torn, and what is
 * damaged. Part of the independent checker: nothing of the broker is imported, so that a mistake in its code is not
 * repeated here. Reads only.
 */
import { crc32 } from 'node:zlib';

/** The files of a data directory; paths are relative to it, with `/`. */
export interface DataSource {
  /** Names in a folder, in any order; none when there is no such folder. */
  list(path: string): readonly string[];
  /** The bytes of a file; throws when there is none. */
  read(path: string): Uint8Array;
}

export interface StoredEntry {
  readonly sequence: number;
  /** Of the shard's owner. */
  readonly epoch: number;
  /** 1 batch, 2 topic, 3 partition, 4 commit, 5 opened, 6 clean, 7 delivered. */
  readonly kind: number;
  readonly body: Buffer;
  /** Path of the segment, and where in it the entry begins. */
  readonly segment: string;
  readonly position: number;
  /** Entries of its group up to and with itself: 1 begins a group. */
  readonly behind: number;
}

export interface StoredLog {
  readonly entries: readonly StoredEntry[];
  /** Sequence of the first entry that the log could hold; 1 in an empty one. */
  readonly first: number;
  /** Bytes at the end that the next open cuts. */
  readonly tornBytes: number;
  /** Why the shard must refuse to serve; null when it is sound. Entries are those before it. */
  readonly fault: string | null;
}

const HEADER_BYTES = 32;
const BODY_BYTES_MAX = 128 * 1024 * 1024;
const segmentName = /^\d{20}\.log$/;

interface Segment {
  readonly path: string;
  readonly first: number;
  readonly bytes: Buffer;
  readonly salt: number;
}

export function readLog(source: DataSource, folder: string, shard: number): StoredLog {
  const names = source.list(folder).filter((name) => segmentName.test(name));
  names.sort();
  const entries: StoredEntry[] = [];
  const segments: Segment[] = [];
  let tornBytes = 0;
  for (const [index, name] of names.entries()) {
    const path = `${folder}/${name}`;
    const bytes = bufferOf(source.read(path));
    const first = Number(name.slice(0, 20));
    const fault = segmentFault(bytes, shard, first);
    if (fault === null) {
      segments.push({ path, first, bytes, salt: bytes.readUInt32BE(24) });
      continue;
    }
    // A header is synced before anything is written behind it: a last segment of at most a header was being made.
    if (index === names.length - 1 && bytes.length <= HEADER_BYTES) {
      tornBytes = bytes.length;
      continue;
    }
    return { entries, first: segments[0]?.first ?? first, tornBytes: 0, fault: `${path}: ${fault}` };
  }
  const first = segments[0]?.first ?? 1;
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    const end = readSegment(segment, next?.first ?? Number.POSITIVE_INFINITY, entries);
    if (next === undefined ? end.position === segment.bytes.length : end.sequence === next.first) continue;
    const damaged = next !== undefined || durableBehind(segment, end.position, end.sequence);
    const fault = `${segment.path}, position ${end.position}: entry ${end.sequence} was due and does not read`;
    if (damaged) return { entries, first, tornBytes: 0, fault };
    tornBytes += segment.bytes.length - end.position;
  }
  return { entries, first, tornBytes, fault: null };
}

function segmentFault(bytes: Buffer, shard: number, first: number): string | null {
  if (bytes.length < HEADER_BYTES) return `a segment header of ${bytes.length} bytes`;
  if (bytes.toString('latin1', 0, 8) !== 'SLUICELG') return 'not a segment';
  if (crc32(bytes.subarray(0, 28)) !== bytes.readUInt32BE(28)) return 'the CRC of the segment header is wrong';
  if (bytes.readUInt16BE(8) !== 1) return `segment format version ${bytes.readUInt16BE(8)}`;
  if (bytes.readUInt32BE(12) !== shard) return `a segment of shard ${bytes.readUInt32BE(12)}`;
  if (Number(bytes.readBigUInt64BE(16)) !== first) return `a segment that begins at ${bytes.readBigUInt64BE(16)}`;
  return null;
}

/** Adds the entries of a segment up to the first that does not read, or that belongs to the next segment. */
function readSegment(
  segment: Segment,
  before: number,
  entries: StoredEntry[],
): { readonly position: number; readonly sequence: number } {
  const { bytes, salt, path } = segment;
  let position = HEADER_BYTES;
  let sequence = segment.first;
  while (sequence < before && headerReads(bytes, position, salt)) {
    const end = position + HEADER_BYTES + bytes.readUInt32BE(position);
    if (end > bytes.length || Number(bytes.readBigUInt64BE(position + 16)) !== sequence) break;
    const body = bytes.subarray(position + HEADER_BYTES, end);
    if (crc32(body) !== bytes.readUInt32BE(position + 4)) break;
    const [epoch, kind, behind] = [
      bytes.readUInt32BE(position + 8),
      bytes.readUInt8(position + 12),
      bytes.readUInt32BE(position + 24),
    ];
    entries.push({ sequence, epoch, kind, body, segment: path, position, behind });
    position = end;
    sequence += 1;
  }
  return { position, sequence };
}

/** True where a sound entry header of this segment stands. */
function headerReads(bytes: Buffer, at: number, salt: number): boolean {
  if (at + HEADER_BYTES > bytes.length) return false;
  if (bytes.readUInt8(at + 13) !== 1 || bytes.readUInt16BE(at + 14) !== 0) return false;
  if (bytes.readUInt32BE(at) > BODY_BYTES_MAX) return false;
  return crc32(bytes.subarray(at, at + 28), salt) === bytes.readUInt32BE(at + 28);
}

/** True when a header behind `position` says that the entry due there had been durable. */
function durableBehind({ bytes, salt }: Segment, position: number, due: number): boolean {
  for (let at = position; at + HEADER_BYTES <= bytes.length; at += 1) {
    if (!headerReads(bytes, at, salt)) continue;
    if (Number(bytes.readBigUInt64BE(at + 16)) - bytes.readUInt32BE(at + 24) >= due) return true;
  }
  return false;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
