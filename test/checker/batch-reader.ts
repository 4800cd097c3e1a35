/**
 * The body of a `batch` entry and the records in it, read as `docs/storage.md` and `docs/protocol.md` describe them. Part
 * of the independent checker: nothing of the broker is imported.
 */

export interface StoredRecord {
  readonly offset: number;
  readonly key: Buffer | null;
  /** Null: a tombstone. */
  readonly value: Buffer | null;
  /** UTF-8 text of a JSON object of strings. */
  readonly headers: Buffer | null;
  readonly encoding: 'bytes' | 'utf8' | 'json';
  /** When the broker took it, ms since 1970. */
  readonly timestamp: number;
  /** Epoch of the partition. */
  readonly epoch: number;
  readonly producer: string | null;
  /** Of this record by its producer; null without one. */
  readonly sequence: number | null;
}

export interface StoredBatch {
  readonly handle: number;
  readonly baseOffset: number;
  readonly timestamp: number;
  readonly epoch: number;
  readonly records: readonly StoredRecord[];
}

const encodings = ['bytes', 'utf8', 'json'] as const;

/** Throws an Error that says what does not add up. */
export function readBatchEntry(body: Buffer): StoredBatch {
  const producerBytes = body.readUInt8(5);
  const at = 16 + producerBytes;
  const delivered = body.subarray(at);
  const batch = delivered.subarray(24);
  if (delivered.readUInt32BE(20) !== batch.length) throw new Error('the length of the delivered batch is wrong');
  const hasProducer = (body.readUInt8(4) & 1) !== 0;
  if (hasProducer !== producerBytes > 0) throw new Error('the producer flag and the producer id disagree');
  const producer = hasProducer ? body.toString('utf8', 16, at) : null;
  const firstSequence = Number(body.readBigUInt64BE(8));
  const baseOffset = Number(delivered.readBigUInt64BE(0));
  const timestamp = Number(delivered.readBigUInt64BE(8));
  const epoch = delivered.readUInt32BE(16);
  const records = readRecords(batch, (content, index) => ({
    ...content,
    offset: baseOffset + index,
    timestamp,
    epoch,
    producer,
    sequence: hasProducer ? firstSequence + index : null,
  }));
  return { handle: body.readUInt32BE(0), baseOffset, timestamp, epoch, records };
}

type Content = Pick<StoredRecord, 'key' | 'value' | 'headers' | 'encoding'>;

function readRecords(batch: Buffer, stored: (content: Content, index: number) => StoredRecord): StoredRecord[] {
  if (batch.readUInt8(0) !== 1) throw new Error(`batch version ${batch.readUInt8(0)}`);
  const count = batch.readUInt32BE(4);
  const records: StoredRecord[] = [];
  let at = 8 + batch.readUInt16BE(2);
  for (let index = 0; index < count; index += 1) {
    const end = at + 4 + batch.readUInt32BE(at);
    if (end > batch.length) throw new Error(`record ${index} of ${count} goes past the end of its batch`);
    records.push(stored(readRecord(batch.subarray(at, end)), index));
    at = end;
  }
  if (count === 0 || at !== batch.length) throw new Error(`${count} records end at byte ${at} of ${batch.length}`);
  return records;
}

function readRecord(record: Buffer): Content {
  const attributes = record.readUInt8(4);
  const encoding = encodings[attributes & 3];
  if (encoding === undefined) throw new Error('an unknown encoding');
  const hasHeaders = (attributes & 8) !== 0;
  const keyAt = hasHeaders ? 10 : 8;
  const headersAt = keyAt + record.readUInt16BE(6);
  const valueAt = headersAt + (hasHeaders ? record.readUInt16BE(8) : 0);
  if (valueAt > record.length) throw new Error('key and headers are longer than their record');
  return {
    encoding,
    key: (attributes & 4) === 0 ? null : record.subarray(keyAt, headersAt),
    headers: hasHeaders ? record.subarray(headersAt, valueAt) : null,
    value: (attributes & 16) === 0 ? record.subarray(valueAt) : null,
  };
}
