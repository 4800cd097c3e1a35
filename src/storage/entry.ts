/**
 * The log entry and the segment header, as bytes. Big-endian; documented in `docs/storage.md`.
 *
 *   segment header                          entry
 *   0   8    magic "SLUICELG"               0   u32  length of the body
 *   8   u16  format version, 1              4   u32  CRC-32 of the body
 *   10  u16  reserved, 0                    8   u32  epoch of the shard's owner that wrote it
 *   12  u32  shard                          12  u8   kind
 *   16  u64  sequence of the first entry    13  u8   format version, 1
 *   24  u32  salt, drawn for the segment    14  u16  reserved, 0
 *   28  u32  CRC-32 of bytes 0–27           16  u64  sequence
 *                                           24  u32  behind: sequence − last one durable when it was written
 *                                           28  u32  CRC-32 of bytes 0–27, begun from the segment's salt
 *                                           32       body
 *
 * The header has a CRC of its own, so that its length can be trusted before the body is read, and the salt keeps bytes
 * that a client sent, or an entry of another segment, from being taken for one of this segment's.
 * `behind` tells a torn group from corruption: what an entry of a group found durable can no longer be torn.
 */
import { crc32 } from 'node:zlib';
import { getUint64, setUint64 } from '../domain/record-batch.ts';
import { BrokerError } from '../errors.ts';
import type { EntryKind } from './log.ts';

export const SEGMENT_HEADER_BYTES = 32;
export const ENTRY_HEADER_BYTES = 32;
export const SEGMENT_VERSION = 1;
export const ENTRY_VERSION = 1;
/** No entry is longer: a length above it is damage. */
export const BODY_BYTES_MAX = 128 * 1024 * 1024;

const MAGIC = Buffer.from('SLUICELG');
const HEADER_CRC_AT = 28;

export interface EntryHeader {
  readonly epoch: number;
  readonly kind: EntryKind;
  readonly sequence: number;
  readonly behind: number;
}

/** Writes an entry's header at `at`, for a body of these parts. */
export function writeEntryHeader(
  target: Uint8Array,
  at: number,
  header: EntryHeader,
  body: readonly Uint8Array[],
  salt: number,
): void {
  const view = new DataView(target.buffer, target.byteOffset + at, ENTRY_HEADER_BYTES);
  let length = 0;
  let crc = 0;
  for (const part of body) {
    length += part.length;
    crc = crc32(part, crc);
  }
  view.setUint32(0, length);
  view.setUint32(4, crc);
  view.setUint32(8, header.epoch);
  view.setUint8(12, header.kind);
  view.setUint8(13, ENTRY_VERSION);
  view.setUint16(14, 0);
  setUint64(view, 16, header.sequence);
  view.setUint32(24, header.behind);
  view.setUint32(28, crc32(target.subarray(at, at + HEADER_CRC_AT), salt));
}

export type EntryReading =
  | { readonly is: 'entry'; readonly header: EntryHeader; readonly bytes: number; readonly body: Uint8Array }
  /** More bytes are needed to tell: `bytes` from the entry's start. */
  | { readonly is: 'short'; readonly bytes: number }
  | { readonly is: 'bad'; readonly fault: string };

/** Reads the header at `at`, which `source` holds whole; null where none of this segment stands. */
export function readEntryHeader(
  source: Uint8Array,
  at: number,
  salt: number,
): (EntryHeader & { readonly bytes: number }) | null {
  const view = new DataView(source.buffer, source.byteOffset + at, ENTRY_HEADER_BYTES);
  const length = view.getUint32(0);
  // Looked at first, since a scan asks at every byte.
  if (length > BODY_BYTES_MAX || view.getUint16(14) !== 0) return null;
  if (crc32(source.subarray(at, at + HEADER_CRC_AT), salt) !== view.getUint32(HEADER_CRC_AT)) return null;
  const version = view.getUint8(13);
  if (version !== ENTRY_VERSION) {
    throw new BrokerError(
      'LOG_VERSION',
      `a log entry has format version ${version}; this Sluice knows ${ENTRY_VERSION}`,
    );
  }
  return {
    epoch: view.getUint32(8),
    kind: view.getUint8(12) as EntryKind,
    sequence: getUint64(view, 16),
    behind: view.getUint32(24),
    bytes: ENTRY_HEADER_BYTES + length,
  };
}

/** Reads the entry at `at`. A sound entry of another format version is LOG_VERSION. */
export function readEntry(source: Uint8Array, at: number, salt: number): EntryReading {
  if (source.length - at < ENTRY_HEADER_BYTES) return { is: 'short', bytes: ENTRY_HEADER_BYTES };
  const header = readEntryHeader(source, at, salt);
  if (header === null) return { is: 'bad', fault: 'a header whose CRC does not match' };
  if (source.length - at < header.bytes) return { is: 'short', bytes: header.bytes };
  const body = source.subarray(at + ENTRY_HEADER_BYTES, at + header.bytes);
  const view = new DataView(source.buffer, source.byteOffset + at, ENTRY_HEADER_BYTES);
  if (crc32(body) !== view.getUint32(4)) return { is: 'bad', fault: 'a body whose CRC does not match' };
  return { is: 'entry', bytes: header.bytes, header, body };
}

/** `salt`: u32, drawn anew for every segment. */
export function writeSegmentHeader(shard: number, firstSequence: number, salt: number): Uint8Array {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  MAGIC.copy(bytes);
  view.setUint16(8, SEGMENT_VERSION);
  view.setUint32(12, shard);
  setUint64(view, 16, firstSequence);
  view.setUint32(24, salt);
  view.setUint32(28, crc32(bytes.subarray(0, 28)));
  return bytes;
}

/** What is wrong with a segment's header; null when nothing is. A sound one of another version is LOG_VERSION. */
export function segmentHeaderFault(bytes: Uint8Array, shard: number, firstSequence: number): string | null {
  if (bytes.length < SEGMENT_HEADER_BYTES) return `a header of ${bytes.length} bytes`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!MAGIC.equals(bytes.subarray(0, 8))) return 'a header that is none of a log segment';
  if (crc32(bytes.subarray(0, 28)) !== view.getUint32(28)) return 'a header whose CRC does not match';
  const version = view.getUint16(8);
  if (version !== SEGMENT_VERSION) {
    throw new BrokerError(
      'LOG_VERSION',
      `a log segment has format version ${version}; this Sluice knows ${SEGMENT_VERSION}`,
    );
  }
  if (view.getUint32(12) !== shard) return `a header of shard ${view.getUint32(12)}`;
  if (getUint64(view, 16) !== firstSequence) return `a header of first sequence ${getUint64(view, 16)}`;
  return null;
}

/** The salt of a segment whose header was found sound. */
export function segmentSalt(header: Uint8Array): number {
  return new DataView(header.buffer, header.byteOffset, header.byteLength).getUint32(24);
}
