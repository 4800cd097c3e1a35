/** Batches: what goes in comes out, and a batch that was cut or damaged in its lengths is found out before decoding. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BATCH_HEADER_BYTES,
  batchCount,
  batchFault,
  DELIVERED_HEADER_BYTES,
  decodeBatch,
  encodeBatch,
  getUint64,
  HEADERS_BYTES_MAX,
  KEY_BYTES_MAX,
  type RecordInput,
  readDeliveredBatches,
  recordBytes,
  setUint64,
  writeDeliveredHeader,
} from '../../src/domain/record-batch.ts';
import { batches, recordLists } from '../support/record-arbitraries.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

const sample: readonly RecordInput[] = [
  { key: utf8('k1'), headers: utf8('{"h":"v"}'), value: utf8('{"a":1}'), encoding: 'json' },
  { key: null, headers: null, value: utf8('plain'), encoding: 'utf8' },
  { key: utf8('gone'), headers: null, value: null, encoding: 'bytes' },
  { key: new Uint8Array(0), headers: null, value: new Uint8Array(0), encoding: 'bytes' },
];

/** Positions of the bytes that say how long something is, or whether it is there. */
function structuralBytes(batch: Uint8Array): number[] {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const positions = [0, 1, 2, 3, 4, 5, 6, 7];
  let at = BATCH_HEADER_BYTES + view.getUint16(2);
  while (at < batch.length) {
    for (let byte = 0; byte < 8; byte += 1) positions.push(at + byte);
    if ((view.getUint8(at + 4) & 8) !== 0) positions.push(at + 8, at + 9);
    at += 4 + view.getUint32(at);
  }
  return positions;
}

describe('a batch', () => {
  it('is laid out as its table says', () => {
    const [record] = sample;
    const hex = Buffer.from(encodeBatch([record as RecordInput])).toString('hex');
    const [header, head, headersLength] = ['0100000000000001', '000000180e000002', '0009'];
    expect(hex).toBe(header + head + headersLength + Buffer.from('k1{"h":"v"}{"a":1}').toString('hex'));
  });

  it('comes out as it went in', () => {
    fc.assert(
      fc.property(recordLists, (records) => {
        const batch = encodeBatch(records);
        expect(batchFault(batch)).toBeNull();
        expect(batchCount(batch)).toBe(records.length);
        const decoded = [...decodeBatch(batch)];
        expect(decoded.map(({ index, ...record }) => record)).toEqual(records);
        expect(decoded.map(({ index }) => index)).toEqual(records.map((_, index) => index));
      }),
    );
  });

  it('comes out as it went in from a view into a larger buffer', () => {
    const batch = encodeBatch(sample);
    const buffer = new Uint8Array(batch.length + 13).fill(0xff);
    buffer.set(batch, 7);
    const view = buffer.subarray(7, 7 + batch.length);
    expect(batchFault(view)).toBeNull();
    expect([...decodeBatch(view)].map(({ index, ...record }) => record)).toEqual(sample);
  });

  it('is as long as its records say', () => {
    fc.assert(
      fc.property(recordLists, (records) => {
        const expected = records.reduce((sum, record) => sum + recordBytes(record), BATCH_HEADER_BYTES);
        expect(encodeBatch(records).length).toBe(expected);
      }),
    );
  });

  it('is decoded from any record on', () => {
    expect([...decodeBatch(encodeBatch(sample), 2)].map(({ index }) => index)).toEqual([2, 3]);
    expect([...decodeBatch(encodeBatch(sample), 4)]).toEqual([]);
  });

  it('gives views into itself, not copies', () => {
    const batch = encodeBatch(sample);
    for (const record of decodeBatch(batch)) {
      for (const part of [record.key, record.headers, record.value])
        if (part !== null) expect(part.buffer).toBe(batch.buffer);
    }
  });

  it('may have an extension, which is skipped', () => {
    const batch = encodeBatch(sample);
    const extended = new Uint8Array(batch.length + 5);
    extended.set(batch.subarray(0, BATCH_HEADER_BYTES));
    extended.set([9, 9, 9, 9, 9], BATCH_HEADER_BYTES);
    extended.set(batch.subarray(BATCH_HEADER_BYTES), BATCH_HEADER_BYTES + 5);
    new DataView(extended.buffer).setUint16(2, 5);
    expect(batchFault(extended)).toBeNull();
    expect([...decodeBatch(extended)]).toEqual([...decodeBatch(batch)]);
  });

  it('is not made of no record, nor of a key or headers over their limit', () => {
    expect(() => encodeBatch([])).toThrow('at least 1 record');
    const record: RecordInput = { key: null, headers: null, value: utf8('v'), encoding: 'utf8' };
    expect(() => encodeBatch([{ ...record, key: new Uint8Array(KEY_BYTES_MAX + 1) }])).toThrow(
      'a key has at most 4096',
    );
    expect(() => encodeBatch([{ ...record, headers: new Uint8Array(HEADERS_BYTES_MAX + 1) }])).toThrow(
      'headers have at most 65535',
    );
    const largest = encodeBatch([
      { ...record, key: new Uint8Array(KEY_BYTES_MAX), headers: new Uint8Array(HEADERS_BYTES_MAX) },
    ]);
    expect(batchFault(largest)).toBeNull();
  });
});

describe('the fault of a batch', () => {
  it('is found at every truncation', () => {
    fc.assert(
      fc.property(recordLists, (records) => {
        const batch = encodeBatch(records);
        for (let length = 0; length < batch.length; length += 1) {
          if (batchFault(batch.subarray(0, length)) === null) throw new Error(`cut at ${length} of ${batch.length}`);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('is found when bytes follow the last record', () => {
    const batch = encodeBatch(sample);
    for (const extra of [1, 4, 8, 12, 100]) {
      const longer = new Uint8Array(batch.length + extra);
      longer.set(batch);
      expect(batchFault(longer)).toContain(`${extra} bytes follow the last of 4 records`);
    }
  });

  it('is found at every single corrupted byte of the lengths and count of a batch', () => {
    const batch = encodeBatch(sample);
    const missed: string[] = [];
    const lengths = lengthBytes(batch);
    expect(lengths.length).toBe(4 + 2 + 4 * 4);
    for (const at of lengths) {
      for (let value = 0; value < 256; value += 1) {
        if (value === batch[at]) continue;
        const damaged = batch.slice();
        damaged[at] = value;
        if (batchFault(damaged) === null) missed.push(`byte ${at} as ${value}`);
      }
    }
    expect(missed).toEqual([]);
  });

  it('is null only for what decodes within its bounds, after any change of its structure', () => {
    fc.assert(
      fc.property(recordLists, fc.nat(), fc.integer({ min: 0, max: 255 }), (records, place, value) => {
        const batch = encodeBatch(records);
        const positions = structuralBytes(batch);
        batch[positions[place % positions.length] as number] = value;
        expectSound(batch);
      }),
      { numRuns: 2000 },
    );
  });

  it('is null only for what decodes within its bounds, for any bytes', () => {
    const begun = fc
      .uint8Array({ minLength: 0, maxLength: 80 })
      .map((rest) => new Uint8Array([1, 0, 0, 0, 0, 0, 0, 1 + (rest.length % 3), ...rest]));
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), begun), expectSound), { numRuns: 2000 });
  });

  it.each<[string, (view: DataView) => void, string]>([
    ['another version', (view) => view.setUint8(0, 2), 'batch version 2 is unknown; expected 1'],
    ['batch attributes', (view) => view.setUint8(1, 1), 'batch attributes 1 are unknown'],
    ['no record', (view) => view.setUint32(4, 0), 'at least 1 record'],
    ['a count beyond all memory', (view) => view.setUint32(4, 0xffffffff), 'of 4294967295'],
    ['an extension beyond its end', (view) => view.setUint16(2, 0xffff), 'ends within the header of record 0'],
    ['a record length beyond its end', (view) => view.setUint32(8, 0xffffffff), 'past the end of the batch'],
    ['the encoding 3', (view) => view.setUint8(12, 3), 'record 0: attributes 3 are unknown'],
    ['record attributes of the future', (view) => view.setUint8(12, 0x20), 'record 0: attributes 32 are unknown'],
    ['a reserved byte', (view) => view.setUint8(13, 1), 'record 0: the reserved byte is not 0'],
    ['a key that is too long', (view) => view.setUint16(14, 4097), 'record 0: a key has at most 4096 bytes; got 4097'],
    ['a key length without a key', (view) => view.setUint8(12, 2 | 8), 'record 0: a key length without a key'],
    ['a key longer than the record', (view) => view.setUint16(14, 200), 'shorter than its key and headers'],
    ['headers longer than the record', (view) => view.setUint16(16, 200), 'shorter than its key and headers'],
    ['a value where there is none', (view) => view.setUint8(12, 4 | 8 | 16), 'marked as having none'],
  ])('names %s', (_, damage, fault) => {
    const batch = encodeBatch(sample);
    damage(new DataView(batch.buffer));
    expect(batchFault(batch)).toContain(fault);
  });
});

describe('a record with headers', () => {
  /** A batch of one record of these bytes behind its length. */
  const batchOf = (record: readonly number[]): Uint8Array =>
    new Uint8Array([1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, record.length, ...record]);

  it('that ends before their length is too short, also at the very end of a batch', () => {
    expect(batchFault(batchOf([8, 0, 0, 0]))).toBe('record 0: the record is shorter than its key and headers');
    expect(batchFault(batchOf([8, 0, 0, 0, 0]))).toBe('record 0: the record is shorter than its key and headers');
  });

  it('of no bytes and without a value is sound', () => {
    expect(batchFault(batchOf([8 | 16, 0, 0, 0, 0, 0]))).toBeNull();
    expect(batchFault(batchOf([8 | 16, 0, 0, 0, 0, 1]))).toContain('shorter than its key and headers');
  });
});

/** The bytes of the record count and of the record lengths and of the batch's extension length. */
function lengthBytes(batch: Uint8Array): number[] {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const positions = [2, 3, 4, 5, 6, 7];
  for (let at = BATCH_HEADER_BYTES; at < batch.length; at += 4 + view.getUint32(at)) {
    positions.push(at, at + 1, at + 2, at + 3);
  }
  return positions;
}

/** Either a fault in words, or all of it decodes into parts that lie within it, one behind another. */
function expectSound(batch: Uint8Array): void {
  const fault = batchFault(batch);
  if (fault !== null) {
    expect(fault.length).toBeGreaterThan(0);
    return;
  }
  const count = batchCount(batch);
  let decoded = 0;
  let bytes = 0;
  for (const record of decodeBatch(batch)) {
    decoded += 1;
    bytes += recordBytes(record);
    for (const part of [record.key, record.headers, record.value]) {
      if (part === null) continue;
      expect(part.byteOffset).toBeGreaterThanOrEqual(batch.byteOffset);
      expect(part.byteOffset + part.length).toBeLessThanOrEqual(batch.byteOffset + batch.length);
    }
  }
  expect(decoded).toBe(count);
  const extension = ((batch[2] as number) << 8) | (batch[3] as number);
  expect(bytes).toBe(batch.length - BATCH_HEADER_BYTES - extension);
}

describe('a delivery', () => {
  const deliver = (
    parts: readonly { baseOffset: number; time: number; epoch: number; batch: Uint8Array }[],
  ): Uint8Array => {
    const chunks = parts.map(({ batch, ...header }) => {
      const bytes = new Uint8Array(DELIVERED_HEADER_BYTES + batch.length);
      writeDeliveredHeader(new DataView(bytes.buffer), 0, { ...header, bytes: batch.length });
      bytes.set(batch, DELIVERED_HEADER_BYTES);
      return bytes;
    });
    return new Uint8Array(Buffer.concat(chunks));
  };

  const delivered = fc.record({
    baseOffset: fc.maxSafeNat(),
    time: fc.maxSafeNat(),
    epoch: fc.integer({ min: 0, max: 0xffffffff }),
    batch: batches,
  });

  it('gives its batches back with their offset, time and epoch', () => {
    fc.assert(
      fc.property(fc.array(delivered, { maxLength: 4 }), (parts) => {
        expect([...readDeliveredBatches(deliver(parts))]).toEqual(parts);
      }),
    );
  });

  it('throws a RangeError where it was cut within a batch', () => {
    const bytes = deliver([{ baseOffset: 7, time: 9, epoch: 1, batch: encodeBatch(sample) }]);
    for (let length = 1; length < bytes.length; length += 1) {
      const cut = () => [...readDeliveredBatches(bytes.subarray(0, length))];
      expect(cut).toThrow(RangeError);
      expect(cut).toThrow('the delivery ends within a batch');
    }
  });

  it('writes and reads 64-bit integers up to 2^53 − 1', () => {
    const view = new DataView(new ArrayBuffer(8));
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        setUint64(view, 0, value);
        expect(getUint64(view, 0)).toBe(value);
        expect(view.getBigUint64(0)).toBe(BigInt(value));
      }),
    );
  });
});
