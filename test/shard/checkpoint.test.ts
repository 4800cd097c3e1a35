import { describe, expect, it } from 'vitest';
import { loadCheckpoint, takeCheckpoint } from '../../src/shard/checkpoint.ts';
import { ShardState } from '../../src/shard/shard-state.ts';
import type { MetaStore } from '../../src/storage/meta.ts';

const head = {
  version: 1,
  applied: 6,
  address: { segment: 1, position: 96 },
  epoch: 3,
  lastTime: 12,
  nextHandle: 6,
};
const topic = {
  name: 'orders',
  id: 256,
  createdAt: 5,
  partitions: 1,
  durability: 'sync',
  retention: { ms: null, bytes: 9 },
};
const partition = {
  topic: 'orders',
  topicId: 256,
  partition: 0,
  durability: 'sync',
  epochs: [{ epoch: 1, start: 0 }],
  start: 0,
  durable: 3,
  lastPoint: null,
};

type Rows = Readonly<Record<string, unknown>>;
const sound: Rows = {
  c: head,
  't/orders': topic,
  'p/4': partition,
  'o/4/g': 2,
  'd/4/g': 3,
  'q/4/p/1': [1, 12, 0, 0, 1],
};

function storeOf(rows: Rows): MetaStore {
  const none = (): never => {
    throw new Error('loading a checkpoint makes no such call');
  };
  const load = async () =>
    Object.entries(rows).map(([key, value]) => ({ key: Buffer.from(key), value: Buffer.from(JSON.stringify(value)) }));
  return { load, write: none, floor: none, above: none, clearIndex: none, close: none };
}

describe('a checkpoint', () => {
  it('is loaded as it was written, and written as it was loaded', async () => {
    const { state, from } = await loadCheckpoint(storeOf(sound), 0);
    expect(from).toEqual({ sequence: 7, address: head.address });
    expect(state.topics.get('orders')).toEqual(topic);
    expect(state.partitions.get(4)).toMatchObject({ ...partition, handle: 4, accepted: 3 });
    expect(state.committed(4, 'g')).toBe(2);
    expect(state.producer(4, 'p/1')?.judge(0)).toEqual({ is: 'duplicate', offset: 0, epoch: 1 });
    state.changes.topics.add('orders');
    for (const one of state.partitions.values()) state.changes.partitions.add(one);
    state.changes.offsets.add('4/g');
    state.changes.delivered.add('4/g');
    state.changes.producers.add('4/p/1');
    const written = takeCheckpoint(state, head.address).writes.map(({ key, value }) => [
      Buffer.from(key).toString(),
      JSON.parse(Buffer.from(value ?? []).toString()),
    ]);
    expect(Object.fromEntries(written)).toEqual(sound);
  });

  it('is none in an empty store', async () => {
    expect(await loadCheckpoint(storeOf({}), 0)).toEqual({ state: new ShardState(0), from: null });
  });

  it.each<[string, Rows]>([
    ['without its own row', { 't/orders': topic }],
    ['of another version', { c: { ...head, version: 2 } }],
    ['that does not say where to go on', { c: { ...head, address: {} } }],
    ['applied up to nowhere', { c: { ...head, applied: '6' } }],
    ['that is null', { c: null }],
    ['with a row that nobody writes', { c: head, x: 1 }],
    ['with a row without a name', { c: head, 'o/': 1 }],
    ['with a topic without partitions', { c: head, 't/orders': { ...topic, partitions: undefined } }],
    ['with a partition without an epoch', { c: head, 'p/4': { ...partition, epochs: [] } }],
    ['with a partition that ends before it starts', { c: head, 'p/4': { ...partition, start: 4 } }],
    ['with a partition under no handle', { c: head, 'p/four': partition }],
    ['with a partition under a handle written otherwise', { c: head, 'p/04': partition }],
    ['with an offset below 0', { c: head, 'o/4/g': -1 }],
    ['with an offset that is text', { c: head, 'd/4/g': '3' }],
    ['with a window of half a publish', { c: head, 'q/4/p': [1, 12, 0] }],
    ['with a window that is none', { c: head, 'q/4/p': 'abc' }],
    ['with a window of texts', { c: head, 'q/4/p': ['1', '2'] }],
  ])('%s is damaged, and the log rebuilds it', async (_, rows) => {
    await expect(loadCheckpoint(storeOf(rows), 0)).rejects.toMatchObject({ code: 'META_DAMAGED' });
  });
});
