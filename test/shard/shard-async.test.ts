/** Topics acknowledged from memory: shown at once, flushed within a bound, told apart after a crash by their epoch. */
import { describe, expect, test } from 'vitest';
import { endOfEpoch } from '../../src/domain/epoch.ts';
import { codeOf, quiet, ShardRig, topic } from './shard-rig.ts';

const ticks = topic('ticks', 'async');
const orders = topic('orders');

describe('a publish to an async topic', () => {
  test('is answered in the same call, and readable before it is written', async () => {
    const rig = await ShardRig.open();
    rig.publish(ticks, 0, ['opens the partition']);
    await quiet();
    const outcome = rig.publish(ticks, 0, ['a', 'b']);
    expect(outcome.is).toEqual({ offset: 1, epoch: 1, duplicate: false });
    const partition = rig.partition(ticks, 0);
    expect([partition.highWatermark, partition.durable]).toEqual([3, 1]);
    expect(await rig.values(ticks, 0)).toEqual(['opens the partition', 'a', 'b']);
  });

  test('waits for the write when it is the first of its partition, and so does what comes behind it meanwhile', async () => {
    const rig = await ShardRig.open();
    const first = rig.publish(ticks, 0, ['a']);
    const second = rig.publish(ticks, 0, ['b']);
    expect([first.is, second.is]).toEqual([null, null]);
    expect(rig.partition(ticks, 0).highWatermark).toBe(0);
    await quiet();
    expect(first.is).toEqual({ offset: 0, epoch: 1, duplicate: false });
    expect(second.is).toEqual({ offset: 1, epoch: 1, duplicate: false });
    expect(await rig.values(ticks, 0)).toEqual(['a', 'b']);
    const third = rig.publish(ticks, 0, ['c']);
    expect(third.is).toEqual({ offset: 2, epoch: 1, duplicate: false });
  });

  test('is written within flushMs', async () => {
    const rig = await ShardRig.open();
    rig.publish(ticks, 0, ['opens the partition']);
    await rig.clock.advance(100);
    await quiet();
    rig.publish(ticks, 0, ['a']);
    await rig.clock.advance(15);
    await quiet();
    rig.publish(ticks, 0, ['b']);
    await rig.clock.advance(4);
    await quiet();
    expect(rig.partition(ticks, 0).durable).toBe(1);
    await rig.clock.advance(1);
    await quiet();
    expect(rig.partition(ticks, 0).durable).toBe(3);
    expect(rig.clock.pending).toBe(0);
  });

  test('is written at once when flushBytes wait', async () => {
    const rig = await ShardRig.open({ limits: { flushBytes: 4096 } });
    rig.publish(ticks, 0, ['opens the partition']);
    await rig.clock.advance(100);
    await quiet();
    for (let index = 0; index < 3; index += 1) rig.publish(ticks, 0, ['x'.repeat(1000)]);
    await quiet();
    expect(rig.partition(ticks, 0).durable).toBe(1);
    rig.publish(ticks, 0, ['x'.repeat(1000)]);
    await quiet();
    expect(rig.partition(ticks, 0).durable).toBe(5);
  });

  test('goes along with the group of a sync topic', async () => {
    const rig = await ShardRig.open();
    rig.publish(ticks, 0, ['a']);
    rig.publish(orders, 0, ['b']);
    await quiet();
    expect([rig.partition(ticks, 0).durable, rig.partition(orders, 0).durable]).toEqual([1, 1]);
  });

  test('is written by a settle, without waiting for its time', async () => {
    const rig = await ShardRig.open();
    rig.publish(ticks, 0, ['a']);
    await rig.engine.settle();
    expect(rig.partition(ticks, 0).durable).toBe(1);
    expect(rig.clock.pending).toBe(0);
  });

  test('is kept in memory until it is written, however little memory there is', async () => {
    const rig = await ShardRig.open({ limits: { recentBytes: 1000 } });
    rig.publish(ticks, 0, ['opens the partition']);
    await rig.engine.settle();
    rig.disk.onCall = (op) => (op === 'write' ? new Promise<never>(() => {}) : undefined);
    const texts = Array.from({ length: 20 }, (_, index) => `${index}`.padEnd(200));
    for (const text of texts) rig.publish(ticks, 0, [text]);
    await rig.clock.advance(100);
    await quiet();
    expect(await rig.values(ticks, 0, 1)).toEqual(texts);
  });

  test('is answered with its offset when it is sent again before it is written', async () => {
    const rig = await ShardRig.open();
    const producer = { id: 'p', sequence: 4 };
    rig.publish(ticks, 0, ['opens the partition']);
    await quiet();
    rig.publish(ticks, 0, ['a'], producer);
    expect(rig.publish(ticks, 0, ['a'], producer).is).toEqual({ offset: 1, epoch: 1, duplicate: true });
    await rig.engine.settle();
    expect(rig.publish(ticks, 0, ['a'], producer).is).toEqual({ offset: 1, epoch: 1, duplicate: true });
    expect(await rig.values(ticks, 0)).toEqual(['opens the partition', 'a']);
  });
});

describe('an async partition after a restart', () => {
  test('is in the same epoch when the shutdown was clean, and lost nothing', async () => {
    const rig = await ShardRig.open();
    rig.publish(ticks, 0, ['a']);
    rig.publish(ticks, 0, ['b']);
    await rig.stop();
    await rig.crash({ keep: 'none' });
    await rig.start();
    expect(rig.recovered?.clean).toBe(true);
    expect(rig.partition(ticks, 0).epochs).toEqual([{ epoch: 1, start: 0 }]);
    expect(await rig.values(ticks, 0)).toEqual(['a', 'b']);
  });

  test('begins a new epoch where it was cut off when it was not, and offsets go on from there', async () => {
    const rig = await ShardRig.open();
    rig.publish(ticks, 0, ['kept']);
    rig.publish(orders, 0, ['kept too']);
    await rig.engine.settle();
    rig.publish(ticks, 0, ['lost 1', 'lost 2']);
    expect(rig.partition(ticks, 0).highWatermark).toBe(3);
    await rig.crash({ keep: 'none' });
    await rig.start();
    expect(rig.recovered?.clean).toBe(false);
    const { epochs } = rig.partition(ticks, 0);
    expect(epochs).toEqual([
      { epoch: 1, start: 0 },
      { epoch: 2, start: 1 },
    ]);
    // A consumer at (1, 3) is told that epoch 1 ended at 1: what it had seen at 1 and 2 is gone.
    expect(endOfEpoch(epochs, 1)).toBe(1);
    expect(endOfEpoch(epochs, 2)).toBeNull();
    expect(rig.partition(orders, 0).epochs).toEqual([{ epoch: 1, start: 0 }]);
    expect(rig.publish(ticks, 0, ['new']).is).toEqual({ offset: 1, epoch: 2, duplicate: false });
    await rig.engine.settle();
    expect((await rig.records(ticks, 0)).map(({ value, offset, epoch }) => [value, offset, epoch])).toEqual([
      ['kept', 0, 1],
      ['new', 1, 2],
    ]);
    await rig.crash({ keep: 'none' });
    await rig.start();
    expect(rig.partition(ticks, 0).epochs.map(({ start }) => start)).toEqual([0, 1, 2]);
    expect(await rig.values(ticks, 0)).toEqual(['kept', 'new']);
  });

  test('loses at most what was not flushed in time', async () => {
    const rig = await ShardRig.open();
    for (let index = 0; index < 50; index += 1) {
      rig.publish(ticks, 0, [`${index}`]);
      await rig.clock.advance(7);
      await quiet();
    }
    await rig.crash({ keep: 'none' });
    await rig.start();
    const left = await rig.values(ticks, 0);
    expect(left.length).toBeGreaterThanOrEqual(50 - Math.ceil(20 / 7) - 1);
    expect(left).toEqual(Array.from({ length: left.length }, (_, index) => `${index}`));
  });

  test('begins the new epoch durably before anything is accepted', async () => {
    const rig = await ShardRig.open();
    rig.publish(ticks, 0, ['kept']);
    await rig.engine.settle();
    await rig.crash({ keep: 'none' });
    rig.disk.onCall = (op) => (op === 'write' ? new Promise<never>(() => {}) : undefined);
    let open = false;
    void rig.start().then(() => {
      open = true;
    });
    await quiet();
    expect(open).toBe(false);
  });

  test('is counted as lost when its shard is given up', async () => {
    const rig = await ShardRig.open();
    rig.publish(ticks, 0, ['a']);
    await rig.engine.settle();
    rig.disk.onCall = (op) => (op === 'write' ? new Promise<never>(() => {}) : undefined);
    const shown = rig.publish(ticks, 0, ['b', 'c']);
    const waiting = rig.publish(orders, 0, ['d']);
    await quiet();
    const { BrokerError } = await import('../../src/errors.ts');
    rig.engine.fence(new BrokerError('SHARD_FAILED', 'given up'));
    expect([codeOf(shown), codeOf(waiting)]).toEqual(['offset 1', 'OUTCOME_UNKNOWN']);
    const { lost, unknown, pendingRecords } = rig.engine.counts;
    expect({ lost, unknown, pendingRecords }).toEqual({ lost: 2, unknown: 1, pendingRecords: 0 });
  });
});
