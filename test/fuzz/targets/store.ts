/** What a shard keeps beside its log, and what tells a data directory: rows, checkpoints, the identity file. */
import { crc32 } from 'node:zlib';
import { loadCheckpoint, takeCheckpoint } from '../../../src/shard/checkpoint.ts';
import { Partition } from '../../../src/shard/partition.ts';
import { ShardState } from '../../../src/shard/shard-state.ts';
import { readDataDirectory } from '../../../src/storage/data-directory.ts';
import type { Disk } from '../../../src/storage/disk.ts';
import type { MetaStore, MetaWrite } from '../../../src/storage/meta.ts';
import {
  decodeHead,
  decodeRow,
  encodeHead,
  encodeRow,
  HASH_MODULUS,
  RowTable,
  type StoredRow,
} from '../../../src/storage/meta-row.ts';
import { joined, jsonMutator, type Mutator, mutateJson } from '../mutation.ts';
import {
  type AsyncTarget,
  about,
  bytesOf,
  holds,
  PropertyBroken,
  refusal,
  type SyncTarget,
  sameBytes,
  sameJson,
} from '../target.ts';
import { exactU64, SHARD } from './log.ts';

/** A stored row as one input: u8 length of the key, key, value. */
function rowOf(input: Uint8Array): StoredRow {
  const keyEnd = 1 + (input[0] ?? 0);
  return { key: input.subarray(1, keyEnd), value: input.subarray(keyEnd) };
}

function rowBytes({ key, value }: StoredRow): Uint8Array {
  return joined(Uint8Array.of(key.length), key, value);
}

export const metaRow: SyncTarget = {
  name: 'meta-row',
  seeds: () => [
    rowBytes(encodeRow(RowTable.resident, bytesOf('t/orders'), bytesOf('{"id":1}'))),
    rowBytes(encodeRow(RowTable.index, new Uint8Array(12), new Uint8Array(24))),
    rowBytes(encodeRow(RowTable.mark, new Uint8Array(), new Uint8Array())),
  ],
  dictionary: [Uint8Array.of(0), Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)],
  repair: (input) => {
    const { key, value } = rowOf(input);
    if (value.length < 4) return;
    const view = new DataView(value.buffer, value.byteOffset);
    view.setUint32(0, crc32(value.subarray(4), crc32(key, key.length)));
  },
  bytesMax: 512,
  allocationMax: (bytes) => 8192 + 2 * bytes,
  run: (input) => {
    const stored = rowOf(input);
    let row: ReturnType<typeof decodeRow>;
    try {
      row = decodeRow(stored);
    } catch (error) {
      return refusal(error, ['META_DAMAGED']);
    }
    holds(Number.isSafeInteger(row.hash) && row.hash >= 0 && row.hash < HASH_MODULUS, 'a hash is in its range');
    // No writer stores a row without its table.
    if (stored.key.length === 0) return 'a row without a table';
    const again = encodeRow(stored.key[0] as RowTable, row.key, row.value);
    holds(sameBytes(again.key, stored.key) && sameBytes(again.value, stored.value), 'a row encoded anew is the same');
    holds(again.hash === row.hash, 'and has the same hash');
    return `row ${about(row.value.length)}`;
  },
};

export const metaHead: SyncTarget = {
  name: 'meta-head',
  seeds: () => [
    encodeHead({ batches: 7, residents: 3, sum: 2 ** 51 + 5 }),
    encodeHead({ batches: 0, residents: 0, sum: 0 }),
  ],
  dictionary: [],
  bytesMax: 64,
  allocationMax: () => 8192,
  run: (input) => {
    let head: ReturnType<typeof decodeHead>;
    try {
      head = decodeHead(input);
    } catch (error) {
      return refusal(error, ['META_DAMAGED']);
    }
    const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
    if (![1, 9, 17].every((at) => exactU64(view, at))) return 'a number that is never reached';
    holds(sameBytes(encodeHead(head), input), 'a head encoded anew is the same');
    return 'head';
  },
};

const address = { segment: 1, position: 96 };

/** Rows as lines of text: key, tab, value. */
function checkpointText(writes: readonly MetaWrite[]): Uint8Array {
  const lines = writes.flatMap(({ table, key, value }) =>
    table === 'resident' && value !== null ? [`${Buffer.from(key).toString()}\t${Buffer.from(value).toString()}`] : [],
  );
  return bytesOf(lines.join('\n'));
}

function rowsOf(input: Uint8Array): StoredRow[] {
  const rows: StoredRow[] = [];
  if (input.length === 0) return rows;
  for (const line of Buffer.from(input).toString('latin1').split('\n')) {
    const tab = line.indexOf('\t');
    const [key, value] = tab < 0 ? [line, ''] : [line.slice(0, tab), line.slice(tab + 1)];
    rows.push({ key: Buffer.from(key, 'latin1'), value: Buffer.from(value, 'latin1') });
  }
  return rows;
}

function soundState(): ShardState {
  const state = new ShardState(SHARD);
  const retention = { ms: null, bytes: 5 };
  const topic = { name: 'orders', id: 259, createdAt: 5, partitions: 2, durability: 'sync', retention } as const;
  state.applyTopic({ change: 'create', topic }, 1);
  for (const partition of [0, 1]) {
    const handle = 4 + partition;
    state.applyPartition(
      { change: 'open', handle, topicId: 259, topic: 'orders', partition, durability: 'async' },
      2 + partition,
    );
  }
  state.applyOpened({ epoch: 3, time: 10, clean: false, shorter: false }, 4);
  const producer = { id: 'p/1', sequence: 0 };
  state.applyBatch({ handle: 4, producer, baseOffset: 0, time: 12, epoch: 2, count: 3 }, address, 5);
  state.applyCommits(
    [
      [4, 'g', 2],
      [5, 'h', 0],
    ],
    6,
  ); // prettier-ignore
  return state;
}

function storeOf(rows: readonly StoredRow[]): MetaStore {
  const none = (): never => {
    throw new PropertyBroken('loading a checkpoint makes no such call');
  };
  return { load: async () => rows, write: none, floor: none, above: none, clearIndex: none, close: none };
}

/** All of the state as a checkpoint writes it. */
function written(state: ShardState, at: typeof address): Uint8Array {
  const { changes } = state;
  for (const name of state.topics.keys()) changes.topics.add(name);
  for (const partition of state.partitions.values()) changes.partitions.add(partition);
  for (const key of state.offsets.keys()) changes.offsets.add(key);
  for (const key of state.delivered.keys()) changes.delivered.add(key);
  for (const key of state.producers.keys()) changes.producers.add(key);
  return checkpointText(takeCheckpoint(state, at).writes);
}

const rowWords = [
  'c',
  't/orders',
  'p/4',
  'o/4/g',
  'd/4/g',
  'q/4/p',
  'version',
  'applied',
  'address',
  'segment',
  'position',
  'epoch',
  'lastTime',
  'nextHandle',
  'topic',
  'topicId',
  'partition',
  'durability',
  'epochs',
  'start',
  'durable',
  'lastPoint',
  'name',
  'id',
  'createdAt',
  'partitions',
  'retention',
  'ms',
  'bytes',
  'sync',
  'async',
  '__proto__',
]; // prettier-ignore

/** Changes the value of one row, or leaves a row out. */
const rowMutator: Mutator = (input, { random }) => {
  const lines = Buffer.from(input).toString().split('\n');
  const at = Math.floor(random.next() * lines.length);
  const [key = '', value = ''] = (lines[at] ?? '').split('\t', 2);
  if (random.next() < 0.1) lines.splice(at, 1);
  else lines[at] = `${key}\t${mutateJson(value, random, rowWords)}`;
  return bytesOf(lines.join('\n'));
};

const count = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

export const checkpoint: AsyncTarget = {
  name: 'checkpoint',
  seeds: () => {
    const state = soundState();
    return [new Uint8Array(), written(state, address)];
  },
  dictionary: [...rowWords, '\n', '\t', '{', '}', '[', ']', ',', ':', '-1', '"', 'null'],
  mutators: [rowMutator, rowMutator, rowMutator],
  bytesMax: 4096,
  runAsync: async (input) => {
    let loaded: Awaited<ReturnType<typeof loadCheckpoint>>;
    try {
      loaded = await loadCheckpoint(storeOf(rowsOf(input)), SHARD);
    } catch (error) {
      // The field that is named, where one is.
      return `${refusal(error, ['META_DAMAGED'])} ${/"path": \[\s*"(\w{1,20})/.exec((error as Error).message)?.[1] ?? ''}`;
    }
    const { state, from } = loaded;
    if (from === null) return 'empty';
    holds(from.sequence === state.applied + 1 && count(state.applied), 'a checkpoint is applied up to an entry');
    holds(count(from.address.segment) && count(from.address.position), 'what goes on lies somewhere');
    holds([state.epoch, state.lastTime, state.nextHandle].every(count), 'a checkpoint counts');
    for (const offset of [...state.offsets.values(), ...state.delivered.values()])
      holds(count(offset), 'an offset is one');
    for (const window of state.producers.values()) {
      holds(
        window.toNumbers().every((number) => Number.isSafeInteger(number)),
        'a window holds numbers',
      );
    }
    for (const [handle, partition] of state.partitions) checkPartition(handle, partition);
    const text = written(state, from.address);
    const again = await loadCheckpoint(storeOf(rowsOf(text)), SHARD);
    holds(sameJson(again.from, from), 'a checkpoint written anew goes on at the same place');
    holds(sameBytes(written(again.state, from.address), text), 'a checkpoint written anew is the same');
    return `topics ${state.topics.size} partitions ${state.partitions.size} producers ${state.producers.size}`;
  },
};

function checkPartition(handle: number, partition: Partition): void {
  holds(partition instanceof Partition && partition.handle === handle && count(handle), 'a partition has its handle');
  holds(
    count(partition.start) && count(partition.durable) && partition.start <= partition.durable,
    'offsets are in order',
  );
  holds(count(partition.epoch) && partition.epoch > 0, 'a partition has an epoch');
  holds(partition.durability === 'sync' || partition.durability === 'async', 'a partition promises something');
  holds(typeof partition.topic === 'string' && count(partition.topicId), 'a partition is of a topic');
}

const identityWords = ['format', 'shards', 'clusterId', 'createdAt', '__proto__'];

export const dataIdentity: AsyncTarget = {
  name: 'data-identity',
  seeds: () => [
    bytesOf('{\n  "format": 1,\n  "shards": 4,\n  "clusterId": "c-1",\n  "createdAt": 1700000000000\n}\n'),
    bytesOf('{"format":2,"shards":{"count":4},"new":true}'),
  ],
  dictionary: [...identityWords, '{', '}', ',', ':', '"', '1', '2', '257', '-1'],
  mutators: [jsonMutator(identityWords), jsonMutator(identityWords)],
  bytesMax: 512,
  runAsync: async (input) => {
    const disk = { readSmallFile: async () => input } as Partial<Disk> as Disk;
    let parsed: { readonly format?: unknown } | null;
    try {
      parsed = JSON.parse(Buffer.from(input).toString()) as { format?: unknown } | null;
    } catch {
      parsed = null;
    }
    try {
      const found = await readDataDirectory(disk, '/data');
      holds(found !== null, 'a file that is there says something');
      const { format, shards, createdAt, clusterId } = found.identity;
      holds(format === 1, `only format 1 is taken; got ${format}`);
      holds(
        Number.isSafeInteger(createdAt) && shards >= 1 && shards <= 256 && Number.isInteger(shards),
        'numbers are in range',
      );
      const again = await readDataDirectory(
        { readSmallFile: async () => bytesOf(JSON.stringify(found.identity)) } as Partial<Disk> as Disk,
        '/data',
      );
      holds(sameJson(again?.identity, found.identity), 'an identity written anew is the same');
      return `identity ${about(clusterId.length)}`;
    } catch (error) {
      const code = refusal(error, ['DATA_DIR_INVALID', 'DATA_DIR_VERSION']);
      const newer = Number.isSafeInteger(parsed?.format) && (parsed?.format as number) > 1;
      holds(newer === (code === 'DATA_DIR_VERSION'), 'a newer format is refused as newer, and nothing else is');
      return code;
    }
  },
};
