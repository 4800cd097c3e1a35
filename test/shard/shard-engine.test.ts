/** The record path of one shard: admission, offsets, idempotence, commits, groups, gates. */
import { describe, expect, test } from 'vitest';
import { WINDOW_PUBLISHES_MAX } from '../../src/domain/producer-window.ts';
import { EntryKind } from '../../src/storage/log.ts';
import { MemoryLog } from '../../src/storage/memory-log.ts';
import { readAll } from '../storage/log-contract.ts';
import { codeOf, quiet, ShardRig, topic } from './shard-rig.ts';

const orders = topic('orders');

async function rigInMemory(options: ConstructorParameters<typeof ShardRig>[0] = {}): Promise<{
  rig: ShardRig;
  log: MemoryLog;
}> {
  const log = new MemoryLog();
  return { rig: await ShardRig.open({ ...options, log }), log };
}

describe('a publish', () => {
  test('gets dense offsets per partition, and its answer once its group is durable', async () => {
    const { rig, log } = await rigInMemory();
    const held = log.holdAppend();
    const outcomes = [rig.publish(orders, 0, ['a', 'b']), rig.publish(orders, 1, ['c']), rig.publish(orders, 0, ['d'])];
    await quiet();
    expect(outcomes.map(codeOf)).toEqual([null, null, null]);
    expect(rig.partition(orders, 0).highWatermark).toBe(0);
    held.release();
    await quiet();
    expect(outcomes.map(({ is }) => is)).toEqual([
      { offset: 0, epoch: 1, duplicate: false },
      { offset: 0, epoch: 1, duplicate: false },
      { offset: 2, epoch: 1, duplicate: false },
    ]);
    expect(await rig.values(orders, 0)).toEqual(['a', 'b', 'd']);
    expect(await rig.values(orders, 1)).toEqual(['c']);
  });

  test('of one turn goes into one group, and what arrives meanwhile into the next', async () => {
    const { rig, log } = await rigInMemory();
    const before = log.appends;
    const held = log.holdAppend();
    for (let index = 0; index < 10; index += 1) rig.publish(orders, index % 3, [`${index}`]);
    await quiet();
    expect(log.appends).toBe(before + 1);
    for (let index = 0; index < 5; index += 1) rig.publish(orders, 0, [`later ${index}`]);
    await quiet();
    expect(log.appends).toBe(before + 1);
    held.release();
    await quiet();
    expect(log.appends).toBe(before + 2);
  });

  test('is told in the order of its partition', async () => {
    const { rig } = await rigInMemory({ limits: { groupBytes: 300 } });
    const told: number[] = [];
    for (let index = 0; index < 30; index += 1) {
      rig.engine.publish({
        topic: orders,
        partition: 0,
        batch: new Uint8Array(Buffer.from('01000000000000010000000400000000', 'hex')),
        count: 1,
        producer: null,
        outcome: { published: (offset) => told.push(offset), refused: () => told.push(-1) },
      });
    }
    await quiet();
    expect(told).toEqual(Array.from({ length: 30 }, (_, index) => index));
  });

  test('goes in groups of bounded size; one larger than that goes alone', async () => {
    const { rig, log } = await rigInMemory({ limits: { groupBytes: 1000 } });
    rig.publish(orders, 0, ['opens the partition']);
    await quiet();
    const before = log.appends;
    for (let index = 0; index < 12; index += 1) rig.publish(orders, 0, ['x'.repeat(150)]);
    rig.publish(orders, 0, ['y'.repeat(5000)]);
    rig.publish(orders, 0, ['z']);
    await quiet();
    // 12 of about 280 bytes, by threes; the large one; the last one.
    expect(log.appends - before).toBe(4 + 1 + 1);
    expect(await rig.values(orders, 0)).toHaveLength(15);
  });

  test('presses at the mark, is refused at twice that, and relieves below half', async () => {
    const { rig, log } = await rigInMemory({ limits: { shardQueueBytes: 10_000 } });
    const held = log.holdAppend();
    const { engine } = rig;
    let relieved = 0;
    const outcomes = [];
    for (let index = 0; index < 30; index += 1) outcomes.push(rig.publish(orders, 0, ['x'.repeat(1000)]));
    expect(engine.pressed).toBe(true);
    engine.onRelieved(() => {
      relieved += 1;
    });
    const refused = outcomes.filter((outcome) => codeOf(outcome) === 'OVERLOADED');
    expect(refused.length).toBeGreaterThan(5);
    expect(engine.queueBytes).toBeGreaterThan(20_000);
    expect(engine.queueBytes).toBeLessThan(22_000);
    await quiet();
    expect(relieved).toBe(0);
    held.release();
    await quiet();
    expect([relieved, engine.pressed, engine.queueBytes]).toEqual([1, false, 0]);
    expect(await rig.values(orders, 0)).toHaveLength(30 - refused.length);
  });

  test('wakes those who wait for the partition, once per turn', async () => {
    const { rig } = await rigInMemory();
    let woken = 0;
    rig.partition(orders, 0).waiters.add({ wake: () => (woken += 1) });
    for (let index = 0; index < 5; index += 1) rig.publish(orders, 0, ['x']);
    rig.publish(orders, 1, ['elsewhere']);
    await quiet();
    expect(woken).toBe(1);
    rig.publish(orders, 0, ['x']);
    await quiet();
    expect(woken).toBe(2);
  });

  test('bears a time that never goes back, whatever the wall clock does', async () => {
    const { rig } = await rigInMemory();
    const wall = [5000, 4000, 6000];
    rig.clock.now = () => wall.shift() ?? 6000;
    for (let index = 0; index < 3; index += 1) rig.publish(orders, 0, [`${index}`]);
    await quiet();
    const times = (await rig.records(orders, 0)).map(({ time }) => time);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(new Set(times).size).toBeLessThan(3);
  });
});

describe('a sequence', () => {
  const at = (sequence: number) => ({ id: 'p', sequence });

  test('that is stored is answered with its first offset and stored once', async () => {
    const { rig } = await rigInMemory();
    const first = rig.publish(orders, 0, ['a', 'b'], at(0));
    const second = rig.publish(orders, 0, ['c'], at(2));
    await quiet();
    expect([first.is, second.is].map((is) => is !== null && 'offset' in is && is.offset)).toEqual([0, 2]);
    const again = [rig.publish(orders, 0, ['a', 'b'], at(0)), rig.publish(orders, 0, ['c'], at(2))];
    expect(again.map(({ is }) => is)).toEqual([
      { offset: 0, epoch: 1, duplicate: true },
      { offset: 2, epoch: 1, duplicate: true },
    ]);
    expect(await rig.values(orders, 0)).toEqual(['a', 'b', 'c']);
  });

  test('that is being stored waits for the same outcome', async () => {
    const { rig, log } = await rigInMemory();
    const held = log.holdAppend();
    const outcomes = [rig.publish(orders, 0, ['a'], at(0)), rig.publish(orders, 0, ['a'], at(0))];
    await quiet();
    outcomes.push(rig.publish(orders, 0, ['a'], at(0)));
    expect(outcomes.map(codeOf)).toEqual([null, null, null]);
    held.release();
    await quiet();
    expect(outcomes.map(({ is }) => is !== null && 'duplicate' in is && is.duplicate)).toEqual([false, true, true]);
    expect(await rig.values(orders, 0)).toEqual(['a']);
  });

  test('may skip, and is refused when it goes back or begins inside a stored batch', async () => {
    const { rig } = await rigInMemory();
    rig.publish(orders, 0, ['a', 'b', 'c'], at(5));
    const flying = rig.publish(orders, 0, ['d'], at(6));
    expect(codeOf(flying)).toBe('SEQUENCE_OUT_OF_ORDER');
    await quiet();
    for (const sequence of [0, 4, 6, 7]) {
      expect(codeOf(rig.publish(orders, 0, ['x'], at(sequence)))).toBe('SEQUENCE_OUT_OF_ORDER');
    }
    expect(rig.engine.lastSequence(rig.partition(orders, 0), 'p')).toBe(7);
    const skipped = rig.publish(orders, 0, ['y'], at(100));
    await quiet();
    expect(codeOf(skipped)).toBe('offset 3');
    expect(await rig.values(orders, 0)).toEqual(['a', 'b', 'c', 'y']);
  });

  test('is of one producer and one partition', async () => {
    const { rig } = await rigInMemory();
    rig.publish(orders, 0, ['a'], at(0));
    rig.publish(orders, 1, ['a'], at(0));
    rig.publish(orders, 0, ['a'], { id: 'q', sequence: 0 });
    await quiet();
    expect(await rig.values(orders, 0)).toEqual(['a', 'a']);
    expect(await rig.values(orders, 1)).toEqual(['a']);
  });

  test('is remembered for as many publishes as may be unanswered, then refused as stale', async () => {
    const { rig } = await rigInMemory({ limits: { shardQueueBytes: 10_000_000 } });
    for (let sequence = 0; sequence <= WINDOW_PUBLISHES_MAX + 5; sequence += 1) {
      rig.publish(orders, 0, [`${sequence}`], at(sequence));
    }
    await quiet();
    expect(codeOf(rig.publish(orders, 0, ['x'], at(WINDOW_PUBLISHES_MAX + 5)))).toBe(
      `offset ${WINDOW_PUBLISHES_MAX + 5}`,
    );
    expect(codeOf(rig.publish(orders, 0, ['x'], at(6)))).toBe('offset 6');
    expect(codeOf(rig.publish(orders, 0, ['x'], at(5)))).toBe('SEQUENCE_OUT_OF_ORDER');
  });

  test('is answered behind a shut gate when it was stored before', async () => {
    const { rig } = await rigInMemory();
    rig.publish(orders, 0, ['a'], at(0));
    await quiet();
    rig.engine.publishGate.shut('DRAINING', 'going');
    expect(codeOf(rig.publish(orders, 0, ['a'], at(0)))).toBe('offset 0');
    expect(codeOf(rig.publish(orders, 0, ['b'], at(1)))).toBe('DRAINING');
  });
});

describe('a commit', () => {
  test('never goes back, and is one entry for all of a turn', async () => {
    const { rig, log } = await rigInMemory();
    rig.publish(
      orders,
      0,
      Array.from({ length: 10 }, (_, index) => `${index}`),
    );
    await quiet();
    const partition = rig.partition(orders, 0);
    const entries = (await readAll(log)).length;
    const outcomes = [3, 7, 5].map((offset) => rig.commit(partition, 'group', offset));
    outcomes.push(rig.commit(partition, 'other', 2));
    await quiet();
    expect(outcomes.map(codeOf)).toEqual(['committed', 'committed', 'committed', 'committed']);
    expect([
      rig.engine.offsets.committed(partition, 'group'),
      rig.engine.offsets.committed(partition, 'other'),
    ]).toEqual([7, 2]);
    expect((await readAll(log)).length).toBe(entries + 1);
    rig.commit(partition, 'group', 1);
    await quiet();
    expect(rig.engine.offsets.committed(partition, 'group')).toBe(7);
    rig.commit(partition, 'group', 8);
    await quiet();
    expect(rig.engine.offsets.committed(partition, 'group')).toBe(8);
  });

  test('is not known before it is durable', async () => {
    const { rig, log } = await rigInMemory();
    rig.publish(orders, 0, ['a']);
    await quiet();
    const partition = rig.partition(orders, 0);
    const held = log.holdAppend();
    const first = rig.commit(partition, 'group', 1);
    await quiet();
    const second = rig.commit(partition, 'late', 1);
    await quiet();
    expect([codeOf(first), codeOf(second), rig.engine.offsets.committed(partition, 'group')]).toEqual([
      null,
      null,
      undefined,
    ]);
    held.release();
    await quiet();
    expect([codeOf(first), codeOf(second)]).toEqual(['committed', 'committed']);
  });

  test('is kept when it shares its turn with the entry that opens its partition', async () => {
    const { rig } = await rigInMemory();
    const ticks = topic('ticks', 'async');
    const outcomes = [
      rig.commit(rig.partition(orders, 0), 'group', 0),
      rig.commit(rig.partition(orders, 1), 'group', 0),
    ];
    rig.publish(ticks, 0, ['a']);
    outcomes.push(rig.commit(rig.partition(ticks, 0), 'group', 1));
    await quiet();
    expect(outcomes.map(codeOf)).toEqual(['committed', 'committed', 'committed']);
    expect(rig.engine.offsets.committed(rig.partition(orders, 1), 'group')).toBe(0);
    expect(rig.engine.offsets.committed(rig.partition(ticks, 0), 'group')).toBe(1);
  });

  test('leaves the accounting of the queue at nothing, however many share an entry', async () => {
    const { rig } = await rigInMemory();
    rig.publish(orders, 0, ['a']);
    await quiet();
    for (let index = 0; index < 50; index += 1) rig.commit(rig.partition(orders, 0), `group ${index}`, 1);
    await quiet();
    expect(rig.engine.queueBytes).toBe(0);
  });
});

describe('a shut gate', () => {
  test('answers with its code and the time to wait, and stores nothing', async () => {
    const { rig, log } = await rigInMemory();
    rig.publish(orders, 0, ['a']);
    await quiet();
    const { nextSequence } = log;
    rig.engine.publishGate.shut('DISK_FULL', 'no room', 2000);
    const refused = rig.publish(orders, 0, ['b']);
    expect(refused.is).toMatchObject({ code: 'DISK_FULL', retryAfterMs: 2000, retryable: true });
    expect(codeOf(rig.commit(rig.partition(orders, 0), 'group', 1))).toBeNull();
    await quiet();
    rig.engine.commitGate.shut('DRAINING', 'going');
    expect(codeOf(rig.commit(rig.partition(orders, 0), 'group', 1))).toBe('DRAINING');
    await expect(rig.engine.closeTopic(orders.id)).rejects.toMatchObject({ code: 'DRAINING' });
    await expect(rig.engine.changeTopic({ change: 'delete', name: 'orders', id: 1 })).rejects.toMatchObject({
      code: 'DRAINING',
    });
    await quiet();
    expect(log.nextSequence).toBe(nextSequence + 1);
    rig.engine.publishGate.open();
    const taken = rig.publish(orders, 0, ['b']);
    await quiet();
    expect(codeOf(taken)).toBe('offset 1');
  });

  test('is what a shard begins with', async () => {
    const rig = new ShardRig({ log: new MemoryLog() });
    await rig.start(false);
    expect(codeOf(rig.publish(orders, 0, ['a']))).toBe('SHARD_FAILED');
    expect(codeOf(rig.commit(rig.partition(orders, 0), 'group', 0))).toBe('SHARD_FAILED');
  });

  test('lets what was admitted through: settle waits for all of it', async () => {
    const { rig, log } = await rigInMemory({ limits: { groupBytes: 300 } });
    const held = log.holdAppend();
    const outcomes = Array.from({ length: 10 }, (_, index) => rig.publish(orders, 0, [`${index}`]));
    rig.engine.publishGate.shut('DRAINING', 'going');
    let settled = false;
    const settling = rig.engine.settle().then(() => {
      settled = true;
    });
    await quiet();
    expect(settled).toBe(false);
    held.release();
    await settling;
    expect(outcomes.map(codeOf)).toEqual(Array.from({ length: 10 }, (_, index) => `offset ${index}`));
  });
});

describe('a deleted topic', () => {
  test('leaves no partition, commit or producer behind, and wakes its readers', async () => {
    const { rig } = await rigInMemory();
    rig.publish(orders, 0, ['a'], { id: 'p', sequence: 0 });
    rig.publish(topic('kept'), 0, ['b'], { id: 'p', sequence: 0 });
    await quiet();
    const partition = rig.partition(orders, 0);
    rig.commit(partition, 'group', 1);
    let woken = 0;
    partition.waiters.add({ wake: () => (woken += 1) });
    const unopened = rig.partition(orders, 1);
    unopened.waiters.add({ wake: () => (woken += 1) });
    await quiet();
    await rig.engine.closeTopic(orders.id);
    const { state } = rig.engine;
    expect([partition.closed, unopened.closed, woken]).toEqual([true, true, 2]);
    expect([...state.partitions.values()].map(({ topic: name }) => name)).toEqual(['kept']);
    expect([[...state.offsets.keys()], [...state.producers.keys()].length]).toEqual([[], 1]);
    // Made again under another id, it begins at nothing.
    const again = topic('orders', 'sync', 777);
    const outcome = rig.publish(again, 0, ['new'], { id: 'p', sequence: 0 });
    await quiet();
    expect(codeOf(outcome)).toBe('offset 0');
    expect(await rig.values(again, 0)).toEqual(['new']);
    expect(rig.partition(again, 0).handle).toBeGreaterThan(partition.handle);
  });

  test('takes no commit into its closed partition', async () => {
    const { rig } = await rigInMemory();
    rig.publish(orders, 0, ['a']);
    await quiet();
    const partition = rig.partition(orders, 0);
    const closing = rig.engine.closeTopic(orders.id);
    rig.commit(partition, 'group', 1);
    await closing;
    await quiet();
    expect(rig.engine.state.offsets.size).toBe(0);
    expect(rig.faults).toEqual([]);
  });

  test('fails no shard when a publish that knew it comes while it is being closed', async () => {
    const { rig } = await rigInMemory();
    rig.publish(orders, 0, ['a']);
    await quiet();
    const closing = rig.engine.closeTopic(orders.id);
    const late = rig.publish(orders, 0, ['b']);
    await quiet();
    await closing;
    expect(rig.faults).toEqual([]);
    expect(late.told).toBe(1);
  });
});

describe('the log of a shard', () => {
  test('opens a partition ahead of the first entry that names it', async () => {
    const { rig, log } = await rigInMemory();
    rig.publish(orders, 3, ['a']);
    rig.commit(rig.partition(orders, 4), 'group', 0);
    await quiet();
    const kinds = (await readAll(log)).map(({ kind }) => kind);
    expect(kinds).toEqual([
      EntryKind.opened,
      EntryKind.partition,
      EntryKind.batch,
      EntryKind.partition,
      EntryKind.commit,
    ]);
  });

  test('bears the epoch of its owner, higher with every start', async () => {
    const rig = await ShardRig.open();
    const epochs = [rig.log.epoch];
    for (let round = 0; round < 3; round += 1) {
      if (round % 2 === 0) await rig.stop();
      else await rig.crash({ keep: 'none' });
      await rig.start();
      epochs.push(rig.log.epoch);
    }
    expect(epochs).toEqual([1, 2, 3, 4]);
    expect((await readAll(rig.log)).filter(({ kind }) => kind === EntryKind.opened).map(({ epoch }) => epoch)).toEqual([
      1, 2, 3, 4,
    ]);
  });
});
