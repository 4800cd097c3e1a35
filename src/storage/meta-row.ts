/**
 * How a row of the meta store is stored: a table byte before its key, a CRC before its value, and a hash by which the
 * sum over all resident rows is kept. Pure; called by `meta-store.ts`.
 *
 *   stored key                      stored value
 *   0  u8  table                    0  u32  CRC-32 of table, key and value, seeded with the stored key's length
 *   1      key                      4       value
 *
 * The CRC covers the key as well: a bit that flips in a key must not turn one row into another.
 */
import { crc32 } from 'node:zlib';
import { murmur2 } from '../domain/partition.ts';
import { getUint64, setUint64 } from '../domain/record-batch.ts';
import { BrokerError } from '../errors.ts';

/** Table bytes. Numbers are on disk: never reuse one. */
export const RowTable = { head: 0, mark: 1, resident: 2, index: 3 } as const;
export type RowTable = (typeof RowTable)[keyof typeof RowTable];

/** A row as it lies in the store below. */
export interface StoredRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A stored row and its hash, an integer in [0, 2^52). */
export interface HashedRow extends StoredRow {
  readonly hash: number;
}

/** Hashes are added modulo this: two summands stay exact in a double. */
export const HASH_MODULUS = 2 ** 52;

const CRC_BYTES = 4;
const FORMAT_VERSION = 1;
const HEAD_BYTES = 25;

export function storedKey(table: RowTable, key: Uint8Array): Uint8Array {
  const stored = new Uint8Array(1 + key.length);
  stored[0] = table;
  stored.set(key, 1);
  return stored;
}

export function encodeRow(table: RowTable, key: Uint8Array, value: Uint8Array): HashedRow {
  const stored = storedKey(table, key);
  const bytes = new Uint8Array(CRC_BYTES + value.length);
  const crc = crcOf(stored, value);
  viewOf(bytes).setUint32(0, crc);
  bytes.set(value, CRC_BYTES);
  return { key: stored, value: bytes, hash: hashOf(crc, stored, value) };
}

/** The row without its dressing. META_DAMAGED when its CRC does not match; the result views the stored bytes. */
export function decodeRow(row: StoredRow): HashedRow {
  const value = row.value.subarray(CRC_BYTES);
  const crc = row.value.length < CRC_BYTES ? -1 : viewOf(row.value).getUint32(0);
  if (crc !== crcOf(row.key, value)) {
    throw new BrokerError('META_DAMAGED', `row ${Buffer.from(row.key).toString('hex').slice(0, 80)} fails its CRC`);
  }
  return { key: row.key.subarray(1), value, hash: hashOf(crc, row.key, value) };
}

/** What the head row says: written with every batch, so it stands for all the batches before it. */
export interface Head {
  /** Batches written, this one included. */
  readonly batches: number;
  readonly residents: number;
  /** Sum of the hashes of all resident rows, modulo `HASH_MODULUS`. */
  readonly sum: number;
}

/**
 *   0  u8   format version, 1      9   u64  resident rows
 *   1  u64  batches                17  u64  sum
 */
export function encodeHead(head: Head): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES);
  const view = viewOf(bytes);
  view.setUint8(0, FORMAT_VERSION);
  setUint64(view, 1, head.batches);
  setUint64(view, 9, head.residents);
  setUint64(view, 17, head.sum);
  return bytes;
}

/** META_DAMAGED for a version that is not known: the store is cheaper to rebuild than to convert. */
export function decodeHead(bytes: Uint8Array): Head {
  if (bytes[0] !== FORMAT_VERSION || bytes.length !== HEAD_BYTES) {
    throw new BrokerError('META_DAMAGED', `store format version ${bytes[0]} is unknown; expected ${FORMAT_VERSION}`);
  }
  const view = viewOf(bytes);
  return { batches: getUint64(view, 1), residents: getUint64(view, 9), sum: getUint64(view, 17) };
}

function crcOf(key: Uint8Array, value: Uint8Array): number {
  return crc32(value, crc32(key, key.length));
}

/**
 * CRC-32 and murmur2 side by side. A CRC alone is linear: two stale rows could cancel in a sum of CRCs, as they could
 * in any XOR; murmur2 is not, and sums are carried.
 */
function hashOf(crc: number, key: Uint8Array, value: Uint8Array): number {
  const mixed = (Math.imul(murmur2(key), 0x9e3779b1) ^ murmur2(value)) >>> 12;
  return crc * 2 ** 20 + mixed;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
