/**
 * The record batch: the records that a producer sends together, as bytes. The broker checks its structure and never
 * touches its records; the same bytes go to the log and on to every consumer. Browser and broker share this file.
 *
 * All integers are big-endian.
 *
 *   batch                                   record
 *   0  u8   version, 1                      0  u32  length of what follows this field
 *   1  u8   attributes, 0 in version 1      4  u8   attributes: bits 0–1 encoding (0 bytes, 1 UTF-8 text, 2 JSON),
 *   2  u16  length E of the extension                bit 2 has a key, bit 3 has headers, bit 4 has no value
 *   4  u32  number of records, ≥ 1          5  u8   reserved, 0
 *   8  E    extension, skipped if unknown   6  u16  key length K, 0 without a key
 *   8+E     records, one behind another     8  u16  headers length H, only with bit 3
 *                                              K    key
 *                                              H    headers: a JSON object of strings, UTF-8
 *                                              …    value, to the end of the record
 */

export const BATCH_VERSION = 1;
export const BATCH_HEADER_BYTES = 8;
export const RECORD_HEADER_BYTES = 8;
export const KEY_BYTES_MAX = 4096;
export const HEADERS_BYTES_MAX = 65_535;

export type Encoding = 'bytes' | 'utf8' | 'json';
const encodings: readonly Encoding[] = ['bytes', 'utf8', 'json'];

const HAS_KEY = 4;
const HAS_HEADERS = 8;
const NO_VALUE = 16;
const KNOWN_ATTRIBUTES = 3 | HAS_KEY | HAS_HEADERS | NO_VALUE;

/** One record as its producer gives it. A null value is a tombstone: it says that the key is gone. */
export interface RecordInput {
  readonly key: Uint8Array | null;
  /** UTF-8 text of a JSON object of strings; null for none. */
  readonly headers: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly encoding: Encoding;
}

/** A record read from a batch; its byte arrays are views into the batch. */
export interface RecordView extends RecordInput {
  /** Place in the batch, from 0; the record's offset is the batch's base offset plus this. */
  readonly index: number;
}

/** Size in bytes of one record in a batch. */
export function recordBytes(record: RecordInput): number {
  return (
    RECORD_HEADER_BYTES +
    (record.key?.length ?? 0) +
    (record.headers === null ? 0 : 2 + record.headers.length) +
    (record.value?.length ?? 0)
  );
}

/**
 * Encodes records into a batch, with `before` in front of it, so that a frame is made without another copy. Throws
 * RangeError when a key or headers are over their limit or there is no record.
 */
export function encodeBatch(
  records: readonly RecordInput[],
  before: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  if (records.length === 0) throw new RangeError('a batch has at least 1 record');
  const start = before.length;
  let at = start + BATCH_HEADER_BYTES;
  let size = at;
  for (const record of records) size += recordBytes(record);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes.set(before);
  view.setUint8(start, BATCH_VERSION);
  view.setUint32(start + 4, records.length);
  for (const record of records) at = writeRecord(bytes, view, at, record);
  return bytes;
}

/** Throws RangeError when the key or the headers of a record are over their limit. */
export function checkRecord({ key, headers }: RecordInput): void {
  if (key !== null && key.length > KEY_BYTES_MAX) {
    throw new RangeError(`a key has at most ${KEY_BYTES_MAX} bytes; got ${key.length}`);
  }
  if (headers !== null && headers.length > HEADERS_BYTES_MAX) {
    throw new RangeError(`headers have at most ${HEADERS_BYTES_MAX} bytes; got ${headers.length}`);
  }
}

function writeRecord(bytes: Uint8Array, view: DataView, start: number, record: RecordInput): number {
  checkRecord(record);
  const { key, headers, value } = record;
  let attributes = encodings.indexOf(record.encoding);
  if (key !== null) attributes |= HAS_KEY;
  if (headers !== null) attributes |= HAS_HEADERS;
  if (value === null) attributes |= NO_VALUE;
  view.setUint32(start, recordBytes(record) - 4);
  view.setUint8(start + 4, attributes);
  view.setUint16(start + 6, key?.length ?? 0);
  let at = start + RECORD_HEADER_BYTES;
  if (headers !== null) {
    view.setUint16(at, headers.length);
    at += 2;
  }
  for (const part of [key, headers, value]) {
    if (part === null) continue;
    bytes.set(part, at);
    at += part.length;
  }
  return at;
}

/** Number of records of a batch that `batchFault` found sound. */
export function batchCount(batch: Uint8Array): number {
  return viewOf(batch).getUint32(4);
}

/**
 * What is wrong with the structure of a batch, in words; null when every length in it adds up. Reads each record's
 * header and nothing else. A sound batch can be decoded by `decodeBatch` without a further check.
 */
export function batchFault(batch: Uint8Array): string | null {
  if (batch.length < BATCH_HEADER_BYTES) {
    return `a batch has at least ${BATCH_HEADER_BYTES} bytes; got ${batch.length}`;
  }
  const view = viewOf(batch);
  if (view.getUint8(0) !== BATCH_VERSION)
    return `batch version ${view.getUint8(0)} is unknown; expected ${BATCH_VERSION}`;
  if (view.getUint8(1) !== 0) return `batch attributes ${view.getUint8(1)} are unknown; expected 0`;
  const count = view.getUint32(4);
  if (count === 0) return 'a batch has at least 1 record';
  let at = BATCH_HEADER_BYTES + view.getUint16(2);
  for (let index = 0; index < count; index += 1) {
    if (at + RECORD_HEADER_BYTES > batch.length) {
      return `the batch ends within the header of record ${index} of ${count}`;
    }
    const length = view.getUint32(at);
    const end = at + 4 + length;
    if (end > batch.length)
      return `record ${index} of ${count} goes ${end - batch.length} bytes past the end of the batch`;
    const fault = recordFault(view, at, length);
    if (fault !== null) return `record ${index}: ${fault}`;
    at = end;
  }
  return at === batch.length ? null : `${batch.length - at} bytes follow the last of ${count} records`;
}

function recordFault(view: DataView, at: number, length: number): string | null {
  const attributes = view.getUint8(at + 4);
  if ((attributes & ~KNOWN_ATTRIBUTES) !== 0 || (attributes & 3) === 3) return `attributes ${attributes} are unknown`;
  if (view.getUint8(at + 5) !== 0) return 'the reserved byte is not 0';
  const keyBytes = view.getUint16(at + 6);
  if (keyBytes > KEY_BYTES_MAX) return `a key has at most ${KEY_BYTES_MAX} bytes; got ${keyBytes}`;
  if ((attributes & HAS_KEY) === 0 && keyBytes !== 0) return 'a key length without a key';
  let needed = RECORD_HEADER_BYTES - 4 + keyBytes;
  if ((attributes & HAS_HEADERS) !== 0) {
    if (length < needed + 2) return 'the record is shorter than its key and headers';
    needed += 2 + view.getUint16(at + RECORD_HEADER_BYTES);
  }
  if (length < needed) return 'the record is shorter than its key and headers';
  if ((attributes & NO_VALUE) !== 0 && length !== needed) return 'a value in a record marked as having none';
  return null;
}

/** The records of a sound batch, from record `first` on. */
export function* decodeBatch(batch: Uint8Array, first = 0): Generator<RecordView, void, undefined> {
  const view = viewOf(batch);
  const count = view.getUint32(4);
  let at = BATCH_HEADER_BYTES + view.getUint16(2);
  for (let index = 0; index < count; index += 1) {
    const end = at + 4 + view.getUint32(at);
    if (index >= first) yield readRecord(batch, view, at, end, index);
    at = end;
  }
}

function readRecord(batch: Uint8Array, view: DataView, start: number, end: number, index: number): RecordView {
  const attributes = view.getUint8(start + 4);
  const keyBytes = view.getUint16(start + 6);
  let at = start + RECORD_HEADER_BYTES;
  let headersBytes = 0;
  const hasHeaders = (attributes & HAS_HEADERS) !== 0;
  if (hasHeaders) {
    headersBytes = view.getUint16(at);
    at += 2;
  }
  const valueAt = at + keyBytes + headersBytes;
  return {
    index,
    encoding: encodings[attributes & 3] as Encoding,
    key: (attributes & HAS_KEY) === 0 ? null : batch.subarray(at, at + keyBytes),
    headers: hasHeaders ? batch.subarray(at + keyBytes, valueAt) : null,
    value: (attributes & NO_VALUE) === 0 ? batch.subarray(valueAt, end) : null,
  };
}

/**
 * The delivered batch: what stands in the log entry and what a consumer gets, byte for byte.
 *
 *   0   u64  base offset
 *   8   u64  append time, ms since 1970
 *   16  u32  partition epoch
 *   20  u32  length of the batch
 *   24       batch
 */
export const DELIVERED_HEADER_BYTES = 24;

export interface DeliveredBatch {
  readonly baseOffset: number;
  readonly time: number;
  readonly epoch: number;
  readonly batch: Uint8Array;
}

export function writeDeliveredHeader(
  view: DataView,
  at: number,
  header: { baseOffset: number; time: number; epoch: number; bytes: number },
): void {
  setUint64(view, at, header.baseOffset);
  setUint64(view, at + 8, header.time);
  view.setUint32(at + 16, header.epoch);
  view.setUint32(at + 20, header.bytes);
}

/** Reads the delivered batches that lie one behind another in `bytes`; throws RangeError when they do not add up. */
export function* readDeliveredBatches(bytes: Uint8Array): Generator<DeliveredBatch, void, undefined> {
  const view = viewOf(bytes);
  let at = 0;
  while (at < bytes.length) {
    if (at + DELIVERED_HEADER_BYTES > bytes.length) throw new RangeError('the delivery ends within a batch');
    const end = at + DELIVERED_HEADER_BYTES + view.getUint32(at + 20);
    if (end > bytes.length) throw new RangeError('the delivery ends within a batch');
    yield {
      baseOffset: getUint64(view, at),
      time: getUint64(view, at + 8),
      epoch: view.getUint32(at + 16),
      batch: bytes.subarray(at + DELIVERED_HEADER_BYTES, end),
    };
    at = end;
  }
}

/** Writes an integer of at most 2^53 − 1 as u64. */
export function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000));
  view.setUint32(at + 4, value >>> 0);
}

/** Reads a u64 that holds at most 2^53 − 1; a larger one comes back rounded. */
export function getUint64(view: DataView, at: number): number {
  return view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
