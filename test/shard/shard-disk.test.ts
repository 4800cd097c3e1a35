/** A shard whose disk is full, fails or hangs: what is answered, what is written again, what a late completion changes. */
import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { DiskFault } from '../../src/testing/memory-disk.ts';
import { codeOf, LOG_DIRECTORY, type Outcome, quiet, ShardRig, topic } from './shard-rig.ts';

const orders = topic('orders');
const KiB = 1024;

/** A shard with a record in it, and room for `free` bytes more. */
async function almostFull(free: number, reserveBytes = 0): Promise<ShardRig> {
  const rig = await ShardRig.open({ reserveBytes, segmentBytes: 1024 * KiB });
  rig.publish(orders, 0, ['first']);
  await quiet();
  rig.disk.capacityBytes = rig.disk.usedBytes + free;
  return rig;
}

describe('a shard on a full disk', () => {
  test('gives its reserve back and writes what it admitted, by itself', async () => {
    const rig = await almostFull(100, 64 * KiB);
    const outcome = rig.publish(orders, 0, ['x'.repeat(10 * KiB)]);
    await quiet();
    expect([codeOf(outcome), rig.diskFullSeen]).toEqual(['offset 1', 1]);
    expect(rig.disk.paths.filter((path) => path.endsWith('reserve'))).toEqual([]);
    expect(rig.faults).toEqual([]);
  });

  test('without a reserve waits, tries every diskCheckMs, and writes when there is space', async () => {
    const rig = await almostFull(100);
    const outcome = rig.publish(orders, 0, ['x'.repeat(10 * KiB)]);
    await quiet();
    for (let second = 0; second < 5; second += 1) {
      await rig.clock.advance(1000);
      await quiet();
      expect(codeOf(outcome)).toBeNull();
    }
    expect(rig.diskFullSeen).toBeGreaterThanOrEqual(5);
    rig.disk.capacityBytes += 100 * KiB;
    await rig.clock.advance(1000);
    await quiet();
    expect(codeOf(outcome)).toBe('offset 1');
    expect(await rig.values(orders, 0)).toHaveLength(2);
    expect([rig.faults, rig.clock.pending]).toEqual([[], 0]);
  });

  test('tries at once when it is told that there is space', async () => {
    const rig = await almostFull(100);
    const outcome = rig.publish(orders, 0, ['x'.repeat(10 * KiB)]);
    await quiet();
    rig.disk.capacityBytes += 100 * KiB;
    rig.engine.retryNow();
    await quiet();
    expect(codeOf(outcome)).toBe('offset 1');
  });

  test('refuses publishes while its gate says so; reads and what was admitted go on', async () => {
    const rig = await almostFull(100);
    const admitted = rig.publish(orders, 0, ['x'.repeat(10 * KiB)]);
    await quiet();
    rig.engine.publishGate.shut('DISK_FULL', 'free disk space is under the mark', 2000);
    expect(codeOf(rig.publish(orders, 0, ['refused']))).toBe('DISK_FULL');
    expect(await rig.values(orders, 0)).toEqual(['first']);
    rig.disk.capacityBytes += 100 * KiB;
    rig.engine.retryNow();
    await quiet();
    expect(codeOf(admitted)).toBe('offset 1');
  });

  test('answers OUTCOME_UNKNOWN to those who waited too long, writes all the same, and answers a resend with the offset', async () => {
    const rig = await almostFull(100);
    const producer = { id: 'p', sequence: 0 };
    const batch = ['x'.repeat(10 * KiB)];
    const outcome = rig.publish(orders, 0, batch, producer);
    await quiet();
    rig.engine.answerOverdue();
    expect(codeOf(outcome)).toBeNull();
    await rig.clock.advance(5000);
    await quiet();
    rig.engine.answerOverdue();
    expect(outcome.is).toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: true });
    const resent = rig.publish(orders, 0, batch, producer);
    expect(codeOf(resent)).toBeNull();
    rig.disk.capacityBytes += 100 * KiB;
    rig.engine.retryNow();
    await quiet();
    expect([codeOf(resent), outcome.told, resent.told]).toEqual(['offset 1', 1, 1]);
    expect(await rig.values(orders, 0)).toHaveLength(2);
    expect(codeOf(rig.publish(orders, 0, batch, producer))).toBe('offset 1');
  });

  test('ends its wait when it is given up', async () => {
    const rig = await almostFull(100);
    const outcome = rig.publish(orders, 0, ['x'.repeat(10 * KiB)]);
    await quiet();
    rig.engine.fence(new BrokerError('SHARD_FAILED', 'given up'));
    await quiet();
    expect([codeOf(outcome), rig.clock.pending]).toEqual(['OUTCOME_UNKNOWN', 0]);
    await rig.engine.settle();
    await rig.engine.release();
    expect(rig.disk.openFiles).toBe(0);
  });
});

describe('a shard whose write fails', () => {
  test.each([
    new DiskFault('EIO'),
    new DiskFault('EIO', { landedBytes: 70 }),
    new DiskFault('EIO', { landedBytes: 1e6 }),
    new DiskFault('EIO', { late: true }),
  ])('writes the group again in a fresh segment, and each of its records once: %o', async (fault) => {
    const rig = await ShardRig.open();
    rig.publish(orders, 0, ['first']);
    await quiet();
    failWrites(rig, 1, fault);
    const outcomes = [rig.publish(orders, 0, ['a']), rig.publish(orders, 1, ['b'])];
    await quiet();
    expect(outcomes.map(codeOf)).toEqual(['offset 1', 'offset 0']);
    expect(rig.disk.paths.filter((path) => path.startsWith(LOG_DIRECTORY))).toHaveLength(2);
    rig.disk.landLate();
    rig.publish(orders, 0, ['c']);
    await quiet();
    expect(await rig.values(orders, 0)).toEqual(['first', 'a', 'c']);
    await rig.crash({ keep: 'none' });
    await rig.start();
    expect(await rig.values(orders, 0)).toEqual(['first', 'a', 'c']);
    expect(await rig.values(orders, 1)).toEqual(['b']);
    expect(rig.faults).toEqual([]);
  });

  test('gives up after three tries: OUTCOME_UNKNOWN for the group, SHARD_FAILED for the rest, told once each', async () => {
    const rig = await ShardRig.open({ limits: { groupBytes: 300 } });
    rig.publish(orders, 0, ['first']);
    await quiet();
    failWrites(rig, 1000, new DiskFault('EIO'));
    const outcomes: Outcome[] = ['a', 'b', 'c'].map((text) => rig.publish(orders, 0, [text.repeat(200)]));
    await quiet();
    expect(outcomes.map(codeOf)).toEqual(['OUTCOME_UNKNOWN', 'SHARD_FAILED', 'SHARD_FAILED']);
    expect(outcomes.map(({ told }) => told)).toEqual([1, 1, 1]);
    expect(rig.faults.map(({ code }) => code)).toEqual(['LOG_WRITE_FAILED']);
    expect(codeOf(rig.publish(orders, 0, ['later']))).toBe('SHARD_FAILED');
    expect(() => rig.engine.fetch(rig.partition(orders, 0), 0, 1000, null)).toThrow(BrokerError);
    await rig.engine.release();
    expect(rig.disk.openFiles).toBe(0);
  });

  test('has after the restart all that was acknowledged, whether or not the unknown group is there', async () => {
    for (const landedBytes of [0, 1e6]) {
      const rig = await ShardRig.open();
      rig.publish(orders, 0, ['kept'], { id: 'p', sequence: 0 });
      await quiet();
      failWrites(rig, 1000, new DiskFault('EIO', { landedBytes }));
      const unknown = rig.publish(orders, 0, ['unknown'], { id: 'p', sequence: 1 });
      await quiet();
      expect(codeOf(unknown)).toBe('OUTCOME_UNKNOWN');
      await rig.crash({ keep: 'all' });
      await rig.start();
      // The same sequence again: stored once, whichever it was.
      const resent = rig.publish(orders, 0, ['unknown'], { id: 'p', sequence: 1 });
      await quiet();
      expect(codeOf(resent)).toBe('offset 1');
      expect(await rig.values(orders, 0)).toEqual(['kept', 'unknown']);
    }
  });
});

describe('a shard whose write hangs', () => {
  async function hung(): Promise<{ rig: ShardRig; release: () => void; outcomes: Outcome[] }> {
    const rig = await ShardRig.open();
    rig.publish(orders, 0, ['first']);
    await quiet();
    let release = (): void => {};
    rig.disk.onCall = (op) => {
      if (op !== 'write') return;
      rig.disk.onCall = null;
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    };
    const outcomes = [rig.publish(orders, 0, ['flying'], { id: 'p', sequence: 0 })];
    await quiet();
    outcomes.push(rig.publish(orders, 0, ['waiting']));
    await rig.clock.advance(3000);
    return { rig, release: () => release(), outcomes };
  }

  test('tells its age, and after a fence what became of each: a late completion changes nothing', async () => {
    const { rig, release, outcomes } = await hung();
    expect(rig.engine.figures.writeAgeMs).toBe(3000);
    rig.engine.fence(new BrokerError('SHARD_FAILED', 'the disk hangs'));
    expect(outcomes.map(codeOf)).toEqual(['OUTCOME_UNKNOWN', 'SHARD_FAILED']);
    const before = figuresOf(rig);
    expect(before).toMatchObject({ lost: 0, unknown: 2, durable: 1 });
    release();
    await quiet();
    expect(outcomes.map(({ told }) => told)).toEqual([1, 1]);
    expect(figuresOf(rig)).toEqual(before);
    expect([rig.faults, rig.engine.queueBytes]).toEqual([[], 0]);
    await rig.engine.release();
    // Written after all: the resend finds it.
    await rig.crash({ keep: 'none' });
    await rig.start();
    expect(codeOf(rig.publish(orders, 0, ['flying'], { id: 'p', sequence: 0 }))).toBe('offset 1');
    expect(await rig.values(orders, 0)).toEqual(['first', 'flying']);
  });

  test('goes on as if nothing had been when it comes back in time', async () => {
    const { rig, release, outcomes } = await hung();
    release();
    await quiet();
    expect(outcomes.map(codeOf)).toEqual(['offset 1', 'offset 2']);
    expect(rig.engine.figures.writeAgeMs).toBeNull();
  });

  test('settles for a shutdown once it is fenced', async () => {
    const { rig } = await hung();
    let settled = false;
    const settling = rig.engine.settle().then(() => {
      settled = true;
    });
    await quiet();
    expect(settled).toBe(false);
    rig.engine.fence(new BrokerError('SHARD_FAILED', 'the disk hangs'));
    await settling;
    expect(settled).toBe(true);
  });
});

function failWrites(rig: ShardRig, count: number, fault: DiskFault): void {
  let left = count;
  rig.disk.onCall = (op) => {
    if (op !== 'write' || left === 0) return;
    left -= 1;
    throw fault;
  };
}

function figuresOf(rig: ShardRig): Record<string, number> {
  const { lost, unknown, pendingRecords, writtenRecords } = rig.engine.counts;
  const { durable, highWatermark } = rig.partition(orders, 0);
  const { applied } = rig.engine.state;
  const { groups } = rig.engine.figures;
  return { groups, lost, unknown, pendingRecords, writtenRecords, durable, highWatermark, applied };
}
