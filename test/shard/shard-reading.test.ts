/** Reading a shard from any offset and any time, from memory, by the index and from the log: equal to a model. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { ReadHint } from '../../src/shard/partition-reader.ts';
import { seededRandom } from '../storage/seeded-random.ts';
import { type FoundRecord, META_DIRECTORY, quiet, ShardRig, topic } from './shard-rig.ts';

const orders = topic('orders');
const ticks = topic('ticks', 'async');
const KiB = 1024;

interface Wanted {
  readonly value: string;
  readonly time: number;
}

type Model = Map<string, Wanted[]>;

const places = [
  [orders, 0],
  [orders, 1],
  [orders, 2],
  [ticks, 0],
] as const;

/** Many partitions interleaved, a rare one among them; far more than the memory for recent batches. */
async function filled(seed: number): Promise<{ rig: ShardRig; model: Model }> {
  const random = seededRandom(seed);
  const limits = {
    recentBytes: 4 * KiB,
    checkpointBytes: 150 * KiB,
    groupBytes: 40 * KiB,
    shardQueueBytes: 10_000 * KiB,
  };
  const rig = await ShardRig.open({ segmentBytes: 100 * KiB, limits });
  const model: Model = new Map(places.map(([of, partition]) => [`${of.name}/${partition}`, []]));
  for (let index = 0; index < 260; index += 1) {
    const rare = index % 90 === 7;
    const [of, partition] = rare
      ? places[2]
      : (places[[0, 1, 3][Math.floor(random.next() * 3)] as number] ?? places[0]);
    const count = 1 + Math.floor(random.next() * 3);
    const texts = Array.from({ length: count }, (_, at) =>
      `${of.name}/${partition} ${index}.${at} `.padEnd(
        random.next() < 0.1 ? 20 * KiB : Math.floor(random.next() * 3000),
        '-',
      ),
    );
    rig.publish(of, partition, texts);
    const time = rig.clock.now();
    model.get(`${of.name}/${partition}`)?.push(...texts.map((value) => ({ value, time })));
    if (random.next() < 0.5) await rig.clock.advance(Math.floor(random.next() * 40));
    if (random.next() < 0.3) await quiet();
  }
  await quiet();
  return { rig, model };
}

async function expectModel(rig: ShardRig, model: Model): Promise<void> {
  for (const [of, partition] of places) {
    const wanted = model.get(`${of.name}/${partition}`) ?? [];
    for (let offset = 0; offset <= wanted.length; offset += offset < 12 ? 1 : 7) {
      for (const bytesMax of [1, 30_000, 400_000]) {
        // Small fetches over the whole of a partition cost much and show no more.
        if (bytesMax === 1 && offset < wanted.length - 20) continue;
        const found = await rig.records(of, partition, offset, bytesMax);
        expect(found.map(({ value }) => value)).toEqual(wanted.slice(offset).map(({ value }) => value));
        expect(found.map((record) => record.offset)).toEqual(wanted.slice(offset).map((_, at) => offset + at));
      }
    }
  }
}

async function expectTimes(rig: ShardRig, model: Model): Promise<void> {
  for (const [of, partition] of places) {
    const wanted = model.get(`${of.name}/${partition}`) ?? [];
    const target = rig.partition(of, partition);
    const times = [...new Set(wanted.map(({ time }) => time))];
    for (const time of [0, ...times.flatMap((at) => [at - 1, at, at + 1]), Number.MAX_SAFE_INTEGER]) {
      const expected = wanted.findIndex((record) => record.time >= time);
      expect([time, await rig.engine.offsetAtTime(target, time)]).toEqual([
        time,
        expected < 0 ? wanted.length : expected,
      ]);
    }
  }
}

describe.each([1, 2])('a shard of many segments (seed %i)', (seed) => {
  let rig: ShardRig;
  let model: Model;

  beforeAll(async () => {
    ({ rig, model } = await filled(seed));
  });

  test('is one whose reads come from memory, from unsaved index points, from saved ones', async () => {
    const points = [...rig.engine.state.partitions.values()].flatMap(({ unsavedPoints }) => unsavedPoints);
    expect(points.length).toBeGreaterThan(1);
    expect(rig.disk.paths.length).toBeGreaterThan(4);
    expect(rig.engine.figures.recentBytes).toBeLessThan(64 * KiB);
    expect(rig.logger.messages('error')).toEqual([]);
  });

  test('reads every partition from any offset', () => expectModel(rig, model));

  test('finds the offset of any time', () => expectTimes(rig, model));

  test('goes on by the hint as it does without one', async () => {
    const target = rig.partition(orders, 0);
    for (let offset = 0, hint: ReadHint | null = null; offset < target.highWatermark; ) {
      const withHint = await rig.engine.fetch(target, offset, 20_000, hint);
      const without = await rig.engine.fetch(target, offset, 20_000, null);
      expect(withHint.batches[0]?.baseOffset).toBe(without.batches[0]?.baseOffset);
      const last = withHint.batches[withHint.batches.length - 1];
      offset = (last?.baseOffset ?? 0) + (last?.count ?? 0);
      hint = withHint.hint;
    }
  });

  test('gives nothing at the high watermark or beyond', async () => {
    const target = rig.partition(orders, 0);
    for (const beyond of [0, 1, 1000]) {
      expect(await rig.engine.fetch(target, target.highWatermark + beyond, 1000, null)).toEqual({
        batches: [],
        hint: null,
      });
    }
  });

  test('reads the same after a clean restart, and after a crash, with and without what was saved', async () => {
    await rig.stop();
    await rig.crash({ keep: 'none' });
    await rig.start();
    await expectModel(rig, model);
    await expectTimes(rig, model);
    await rig.crash({ keep: 'none' });
    await rig.meta.destroy(META_DIRECTORY);
    await rig.start();
    expect(rig.recovered?.replayed).toBeGreaterThan(200);
    await expectModel(rig, model);
    await expectTimes(rig, model);
  });
});

describe('a read', () => {
  async function onDisk(): Promise<ShardRig> {
    const rig = await ShardRig.open({ limits: { recentBytes: 1 } });
    for (const text of ['a', 'b', 'c']) {
      rig.publish(orders, 0, [text.repeat(300)]);
      await quiet();
    }
    return rig;
  }

  async function read(rig: ShardRig): Promise<FoundRecord[]> {
    return rig.records(orders, 0, 0);
  }

  test('that the disk fails is an error, and the next one is served', async () => {
    const rig = await onDisk();
    const { DiskFault } = await import('../../src/testing/memory-disk.ts');
    rig.disk.onCall = (op) => {
      if (op !== 'read' && op !== 'openRead') return;
      rig.disk.onCall = null;
      throw new DiskFault('EIO');
    };
    await expect(read(rig)).rejects.toMatchObject({ code: 'LOG_READ_FAILED' });
    expect(await read(rig)).toHaveLength(3);
  });

  test('finds its way while the index points that it needs are on their way to the meta store', async () => {
    const rig = await ShardRig.open({ limits: { recentBytes: 1, checkpointBytes: 1000 } });
    let saving = 0;
    rig.meta.disk(META_DIRECTORY).onCall = (call) => {
      if (call !== 'batch') return;
      saving += 1;
      return new Promise<never>(() => {});
    };
    for (const text of ['a', 'b', 'c', 'd', 'e']) {
      rig.publish(orders, 0, [text.repeat(300)]);
      await quiet();
    }
    expect(saving).toBe(1);
    expect((await read(rig)).map(({ value }) => value[0])).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('behind a damaged row of the index goes through the log: slower, never another record, and said', async () => {
    const rig = await onDisk();
    await rig.stop();
    await rig.crash({ keep: 'none' });
    const meta = rig.meta.disk(META_DIRECTORY);
    meta.flipBit(meta.rows().size - 1, 'value', 70);
    await rig.start();
    expect(await read(rig)).toHaveLength(3);
    const partition = rig.partition(orders, 0);
    expect(await rig.engine.offsetAtTime(partition, 0)).toBe(0);
    expect(rig.logger.messages('warn')).toContain('the index is damaged: reading through the log');
  });

  test('of a damaged entry gives what lies before it and then says so; nothing damaged is delivered', async () => {
    const rig = await onDisk();
    const bytes = rig.disk.bytesOf(rig.disk.paths.find((path) => path.endsWith('.log')) ?? '');
    const at = Buffer.from(bytes).indexOf('b'.repeat(300));
    bytes[at + 100] = 0;
    const partition = rig.partition(orders, 0);
    const fetched = await rig.engine.fetch(partition, 0, 1, null);
    expect(fetched.batches.map(({ baseOffset }) => baseOffset)).toEqual([0]);
    await expect(read(rig)).rejects.toMatchObject({ code: 'LOG_CORRUPT' });
  });
});
