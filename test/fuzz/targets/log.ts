/** What lies in the log: entries and segment headers, delivered batches, batch entries, control entries. */

import { crc32 } from 'node:zlib';
import {
  DELIVERED_HEADER_BYTES,
  readDeliveredBatches,
  writeDeliveredHeader,
} from '../../../src/domain/record-batch.ts';
import { readBatchEntry, stampBatch } from '../../../src/shard/batch-entry.ts';
import { type ControlKind, readControl, writeControl } from '../../../src/shard/control-entry.ts';
import {
  BODY_BYTES_MAX,
  ENTRY_HEADER_BYTES,
  readEntry,
  SEGMENT_HEADER_BYTES,
  segmentHeaderFault,
  segmentSalt,
  writeEntryHeader,
  writeSegmentHeader,
} from '../../../src/storage/entry.ts';
import { EntryKind } from '../../../src/storage/log.ts';
import { joined, jsonMutator, type Mutator, mutateJson } from '../mutation.ts';
import { about, bytesOf, holds, refusal, type SyncTarget, sameBytes, sameJson } from '../target.ts';
import { soundBatches } from './frames.ts';

export const SALT = 0x5a17_0001;
export const SHARD = 3;

export function entryOf(sequence: number, kind: EntryKind, body: Uint8Array, behind = 1, salt = SALT): Uint8Array {
  const bytes = new Uint8Array(ENTRY_HEADER_BYTES + body.length);
  bytes.set(body, ENTRY_HEADER_BYTES);
  writeEntryHeader(bytes, 0, { epoch: 2, kind, sequence, behind }, [body], salt);
  return bytes;
}

/** A u64 above 2^53 is read rounded: no writer has ever written one. */
export function exactU64(view: DataView, at: number): boolean {
  return view.getUint32(at) < 2 ** 21;
}

/** Gives every entry that lies one behind another from `at` on the CRCs of what is there. */
export function repairEntries(input: Uint8Array, at: number, salt: number): void {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  for (let start = at; start + ENTRY_HEADER_BYTES <= input.length; ) {
    const length = view.getUint32(start);
    const end = start + ENTRY_HEADER_BYTES + length;
    if (end <= input.length) view.setUint32(start + 4, crc32(input.subarray(start + ENTRY_HEADER_BYTES, end)));
    view.setUint32(start + 28, crc32(input.subarray(start, start + 28), salt));
    start = end;
  }
}

/** `read` stands in for the decoder, to show that a fault in it is found. */
export const entryTarget = (read: typeof readEntry): SyncTarget => ({
  name: 'entry',
  seeds: () => [
    entryOf(1, EntryKind.batch, bytesOf('body')),
    entryOf(2 ** 40 + 7, EntryKind.clean, bytesOf('{"time":5}'), 3),
    joined(entryOf(9, EntryKind.topic, new Uint8Array()), entryOf(10, EntryKind.opened, bytesOf('x'), 2)),
  ],
  dictionary: [Uint8Array.of(1, 1, 0, 0), Uint8Array.of(8, 0, 0, 0), Uint8Array.of(8, 0, 0, 1)],
  repair: (input) => repairEntries(input, 0, SALT),
  bytesMax: 1024,
  allocationMax: () => 4096,
  run: (input) => {
    let reading: ReturnType<typeof readEntry>;
    try {
      reading = read(input, 0, SALT);
    } catch (error) {
      return refusal(error, ['LOG_VERSION']);
    }
    if (reading.is === 'bad') return reading.fault;
    const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
    if (reading.is === 'short') {
      holds(reading.bytes > input.length, 'more bytes are wanted than there are');
      holds(reading.bytes <= ENTRY_HEADER_BYTES + BODY_BYTES_MAX, 'no more bytes are wanted than an entry may have');
      return 'short';
    }
    const { bytes, header, body } = reading;
    holds(bytes <= input.length && body.length === bytes - ENTRY_HEADER_BYTES, 'an entry lies within its input');
    if (!exactU64(view, 16)) return 'a sequence that is never reached';
    const again = new Uint8Array(bytes);
    again.set(body, ENTRY_HEADER_BYTES);
    writeEntryHeader(again, 0, header, [body], SALT);
    holds(sameBytes(again, input.subarray(0, bytes)), 'an entry written anew is the same, byte for byte');
    return `entry ${about(body.length)}`;
  },
});

export const entry = entryTarget(readEntry);

export const segmentHeader: SyncTarget = {
  name: 'segment-header',
  seeds: () => [writeSegmentHeader(SHARD, 1, SALT), writeSegmentHeader(SHARD, 77, 0), writeSegmentHeader(2, 1, SALT)],
  dictionary: ['SLUICELG', Uint8Array.of(0, 1, 0, 0), Uint8Array.of(0, 2)],
  repair: repairSegmentHeader,
  bytesMax: 64,
  allocationMax: () => 4096,
  run: (input) => {
    let fault: string | null;
    try {
      fault = segmentHeaderFault(input, SHARD, 1);
    } catch (error) {
      return refusal(error, ['LOG_VERSION']);
    }
    if (fault !== null) return fault.replace(/\d+/g, '');
    const again = writeSegmentHeader(SHARD, 1, segmentSalt(input));
    const reserved = input[10] === 0 && input[11] === 0;
    holds(!reserved || sameBytes(again, input.subarray(0, SEGMENT_HEADER_BYTES)), 'a header written anew is the same');
    return reserved ? 'sound' : 'sound, with reserved bytes';
  },
};

export function repairSegmentHeader(input: Uint8Array): void {
  if (input.length < SEGMENT_HEADER_BYTES) return;
  new DataView(input.buffer, input.byteOffset).setUint32(28, crc32(input.subarray(0, 28)));
}

export function delivery(baseOffset: number, batch: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(DELIVERED_HEADER_BYTES + batch.length);
  const header = { baseOffset, time: 1_700_000_000_000, epoch: 1, bytes: batch.length };
  writeDeliveredHeader(new DataView(bytes.buffer), 0, header);
  bytes.set(batch, DELIVERED_HEADER_BYTES);
  return bytes;
}

export const deliveredBatches: SyncTarget = {
  name: 'delivered-batches',
  seeds: () => [
    joined(...soundBatches.map((batch, index) => delivery(index * 10, batch))),
    delivery(2 ** 50, new Uint8Array()),
  ],
  dictionary: [],
  bytesMax: 1024,
  allocationMax: () => 4096,
  run: (input) => {
    let count = 0;
    let at = 0;
    const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
    try {
      for (const { batch, ...header } of readDeliveredBatches(input)) {
        const end = at + DELIVERED_HEADER_BYTES + batch.length;
        if (exactU64(view, at) && exactU64(view, at + 8)) {
          const again = new Uint8Array(DELIVERED_HEADER_BYTES);
          writeDeliveredHeader(new DataView(again.buffer), 0, { ...header, bytes: batch.length });
          holds(sameBytes(again, input.subarray(at, at + DELIVERED_HEADER_BYTES)), 'a header written anew is the same');
        }
        holds(batch.byteOffset + batch.length === input.byteOffset + end, 'batches lie one behind another');
        at = end;
        count += 1;
      }
    } catch (error) {
      if (error instanceof RangeError && error.message.startsWith('the delivery ends')) return error.message;
      throw error;
    }
    holds(at === input.length, 'nothing is left over');
    return `batches ${about(count)}`;
  },
};

const stamp = { handle: 4, producer: null, baseOffset: 12, time: 1_700_000_000_000, epoch: 1 };

export function batchEntryOf(handle: number, baseOffset: number, batch: Uint8Array, producer?: string): Uint8Array {
  const given = producer === undefined ? null : { id: producer, sequence: baseOffset };
  return joined(stampBatch({ ...stamp, handle, baseOffset, producer: given }, batch.length).head, batch);
}

export const batchEntry: SyncTarget = {
  name: 'batch-entry',
  seeds: () => soundBatches.flatMap((batch) => [batchEntryOf(4, 12, batch), batchEntryOf(1, 0, batch, 'producer-1')]),
  dictionary: ['producer-1'],
  bytesMax: 1024,
  allocationMax: (bytes) => 4096 + 2 * bytes,
  run: (input) => {
    let read: ReturnType<typeof readBatchEntry>;
    try {
      read = readBatchEntry(input);
    } catch (error) {
      return refusal(error, ['LOG_CORRUPT']);
    }
    const { count, delivered, ...found } = read;
    holds(
      delivered.byteOffset + delivered.length === input.byteOffset + input.length,
      'a delivery ends with its entry',
    );
    holds([...readDeliveredBatches(delivered)].length === 1, 'a delivery holds one batch');
    const { producer } = found;
    const view = new DataView(delivered.buffer, delivered.byteOffset, delivered.byteLength);
    const exact = [exactU64(view, 0), exactU64(view, 8), exactU64(new DataView(input.buffer, input.byteOffset), 8)];
    if (exact.includes(false)) return 'a number that is never reached';
    // Ids are printable ASCII: what is none cannot be written anew as it was.
    if (producer !== null && !/^[\x21-\x7e]*$/.test(producer.id)) return 'a producer id that is none';
    const batch = delivered.subarray(DELIVERED_HEADER_BYTES);
    const again = readBatchEntry(joined(stampBatch(found, batch.length).head, batch));
    holds(again.count === count && sameBytes(again.delivered, delivered), 'a delivery written anew is the same');
    for (const name of ['handle', 'producer'] as const)
      holds(sameJson(again[name], found[name]), `the ${name} is the same`);
    return `producer ${producer === null ? 'none' : about(producer.id.length)}`;
  },
};

export const controlBodies: readonly (readonly [ControlKind, object])[] = [
  [EntryKind.topic, { change: 'create', topic: topicBody('orders', 768) }],
  [EntryKind.topic, { change: 'delete', name: 'orders', id: 768 }],
  [EntryKind.partition, { change: 'open', handle: 4, topicId: 768, topic: 'orders', partition: 0, durability: 'sync' }],
  [EntryKind.partition, { change: 'close', handle: 4 }],
  [
    EntryKind.commit,
    [
      [4, 'group', 12],
      [9, 'g.h', 0],
    ],
  ],
  [EntryKind.delivered, [[4, 'group', 15]]],
  [EntryKind.opened, { epoch: 2, time: 5, clean: true, shorter: false }],
  [EntryKind.clean, { time: 6 }],
]; // prettier-ignore

function topicBody(name: string, id: number): object {
  const retention = { ms: null, bytes: 1000 };
  return { name, id, createdAt: 5, partitions: 4, durability: 'sync', retention };
}

export const controlWords = [
  'change',
  'create',
  'delete',
  'open',
  'close',
  'topic',
  'name',
  'id',
  'createdAt',
  'partitions',
  'durability',
  'sync',
  'async',
  'retention',
  'ms',
  'bytes',
  'handle',
  'topicId',
  'partition',
  'epoch',
  'time',
  'clean',
  'shorter',
  '__proto__',
]; // prettier-ignore

/** The kind stands first, in one byte. */
const controlMutator: Mutator = (input, { random }) =>
  joined(input.subarray(0, 1), bytesOf(mutateJson(Buffer.from(input.subarray(1)).toString(), random, controlWords)));

const controlKinds: readonly ControlKind[] = [2, 3, 4, 5, 6, 7];

export const controlEntry: SyncTarget = {
  name: 'control-entry',
  seeds: () => controlBodies.map(([kind, body]) => joined(Uint8Array.of(kind), bytesOf(JSON.stringify(body)))),
  dictionary: [...controlWords, '{', '}', '[', ']', ',', ':', '9007199254740992'],
  mutators: [controlMutator, controlMutator, jsonMutator(controlWords)],
  bytesMax: 2048,
  run: (input) => {
    const kind = controlKinds[(input[0] ?? 0) % controlKinds.length] as ControlKind;
    try {
      const body = readControl(kind, input.subarray(1));
      holds(sameJson(readControl(kind, writeControl(kind, body)), body), 'a body written anew is the same');
      return `kind ${kind}`;
    } catch (error) {
      return refusal(error, ['LOG_CORRUPT']);
    }
  },
};
