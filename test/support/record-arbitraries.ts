/** Records and batches for property tests: keys, headers and values of every kind, the odd ones often. */
import fc from 'fast-check';
import { type Encoding, encodeBatch, type RecordInput } from '../../src/domain/record-batch.ts';

const encoder = new TextEncoder();

const bytes = fc.uint8Array({ maxLength: 40 });
const text = fc.string({ unit: 'binary', maxLength: 20 }).map((value) => encoder.encode(value));
const json = fc.json({ maxDepth: 3 }).map((value) => encoder.encode(value));
const headers = fc
  .dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), { maxKeys: 3 })
  .map((value) => encoder.encode(JSON.stringify(value)));

/** A record as a binary client may send it: nothing need be what its encoding says. */
export const records: fc.Arbitrary<RecordInput> = fc.record({
  key: fc.option(fc.oneof(bytes, text)),
  headers: fc.option(fc.oneof({ weight: 3, arbitrary: headers }, json, bytes)),
  value: fc.option(fc.oneof(bytes, text, json)),
  encoding: fc.constantFrom<Encoding>('bytes', 'utf8', 'json'),
});

export const recordLists = fc.array(records, { minLength: 1, maxLength: 8 });

export const batches = recordLists.map((list) => encodeBatch(list));
