/**
 * The body of a log entry of kind `batch`: who wrote it, and the delivered batch that every consumer is given as it
 * stands. Big-endian. Documented in `docs/storage.md`.
 *
 *   0    u32  partition handle, unique in its shard
 *   4    u8   flags: bit 0 has a producer
 *   5    u8   length P of the producer id
 *   6    u16  reserved, 0
 *   8    u64  producer sequence of the first record, 0 without a producer
 *   16   P    producer id, UTF-8
 *   16+P      delivered batch: 24-byte header and the batch (`domain/record-batch.ts`)
 */
import {
  batchCount,
  DELIVERED_HEADER_BYTES,
  getUint64,
  setUint64,
  writeDeliveredHeader,
} from '../domain/record-batch.ts';
import { BrokerError } from '../errors.ts';

const FIXED_BYTES = 16;
const HAS_PRODUCER = 1;
const utf8 = new TextDecoder();

export interface ProducerStamp {
  readonly id: string;
  readonly sequence: number;
}

export interface BatchStamp {
  readonly handle: number;
  readonly producer: ProducerStamp | null;
  readonly baseOffset: number;
  readonly time: number;
  readonly epoch: number;
}

export interface BatchEntry extends BatchStamp {
  readonly count: number;
  /** The delivered batch: header and records, a view into the body. */
  readonly delivered: Uint8Array;
}

/**
 * Heads live as long as recent batches do, and so have memory of their own: out of Node's pool each would keep 8 KiB of
 * whatever else was made in the same moment.
 */
const SLAB_BYTES = 8 * 1024;
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let slabUsed = 0;

function headOf(bytes: number): Buffer {
  if (slabUsed + bytes > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    slabUsed = 0;
  }
  slabUsed += bytes;
  return slab.subarray(slabUsed - bytes, slabUsed);
}

/** The bytes that stand before the batch in an entry body, and the view of them that belongs to the delivery. */
export function stampBatch(stamp: BatchStamp, batchBytes: number): { head: Uint8Array; deliveredHeader: Uint8Array } {
  const producerBytes = stamp.producer === null ? 0 : Buffer.byteLength(stamp.producer.id);
  const head = headOf(FIXED_BYTES + producerBytes + DELIVERED_HEADER_BYTES);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  view.setUint32(0, stamp.handle);
  view.setUint8(4, stamp.producer === null ? 0 : HAS_PRODUCER);
  view.setUint8(5, producerBytes);
  view.setUint16(6, 0);
  setUint64(view, 8, stamp.producer?.sequence ?? 0);
  if (stamp.producer !== null) head.write(stamp.producer.id, FIXED_BYTES);
  const at = FIXED_BYTES + producerBytes;
  writeDeliveredHeader(view, at, {
    baseOffset: stamp.baseOffset,
    time: stamp.time,
    epoch: stamp.epoch,
    bytes: batchBytes,
  });
  return { head, deliveredHeader: head.subarray(at) };
}

/** The partition handle of a batch entry, without reading more of it. */
export function handleOf(body: Uint8Array): number {
  return (
    (((body[0] as number) << 24) | ((body[1] as number) << 16) | ((body[2] as number) << 8) | (body[3] as number)) >>> 0
  );
}

/** Reads a batch entry. LOG_CORRUPT when its lengths do not add up (its CRC was right: a defect wrote it). */
export function readBatchEntry(body: Uint8Array): BatchEntry {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const producerBytes = body.length > FIXED_BYTES ? view.getUint8(5) : 0;
  const at = FIXED_BYTES + producerBytes;
  const batchAt = at + DELIVERED_HEADER_BYTES;
  if (body.length < batchAt + 8 || view.getUint32(at + 20) !== body.length - batchAt) {
    throw new BrokerError('LOG_CORRUPT', `a batch entry of ${body.length} bytes does not add up`);
  }
  const hasProducer = (view.getUint8(4) & HAS_PRODUCER) !== 0;
  return {
    handle: view.getUint32(0),
    producer: hasProducer ? { id: utf8.decode(body.subarray(FIXED_BYTES, at)), sequence: getUint64(view, 8) } : null,
    baseOffset: getUint64(view, at),
    time: getUint64(view, at + 8),
    epoch: view.getUint32(at + 16),
    count: batchCount(body.subarray(batchAt)),
    delivered: body.subarray(at),
  };
}
