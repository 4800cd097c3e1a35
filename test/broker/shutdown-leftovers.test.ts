/** What is still under way when a broker is stopped: answered, waited for, or ended, and never left behind. */
import { describe, expect, it } from 'vitest';
import { createBroker } from '../../src/broker.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Watchdog } from '../../src/ports/watchdog.ts';
import { MemoryDisk, RecordingLogger, SimulatedClock } from '../../src/testing/index.ts';
import type { DiskOp } from '../../src/testing/memory-disk.ts';
import { expectNothingLeft, Rig, turns } from './rig.ts';

it('answers what waited in a paused socket before it closes the connection', async () => {
  const rig = await Rig.start({ inFlightPublishes: 4 });
  const { clock } = rig;
  // Frames take a while: those that a pause held back come some time after it has ended.
  const slow: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
    clearTimeout: (handle) => clock.clearTimeout(handle),
    defer: (callback) => clock.setTimeout(callback, 40),
  };
  const client = await rig.client({ clock: slow });
  await rig.pass(100);
  client.send({ op: 'create', id: 'create', topic: 'orders', partitions: 1 });
  await rig.pass(100);
  const hold = rig.holdWrites('/log/');
  for (let id = 0; id < 12; id += 1) client.send({ op: 'publish', id, topic: 'orders', partition: 0, value: id });
  await rig.pass(500);
  const stopped = rig.broker.stop();
  await rig.pass(100);
  hold.release();
  await rig.until(stopped);
  const answered = Array.from({ length: 12 }, (_, id) => client.replyTo(id)?.op);
  expect(answered.slice(0, 4)).toEqual(['published', 'published', 'published', 'published']);
  expect(answered).not.toContain(undefined);
  expect(client.socket.closed).toMatchObject({ code: 1012 });
});

it('answers the last commit that it waited for before it closes the connection', async () => {
  const rig = await Rig.start();
  const producer = await rig.client();
  await producer.create('orders');
  for (const value of [1, 2]) await producer.ask({ op: 'publish', topic: 'orders', partition: 0, value });
  const consumer = await rig.client();
  const { subscription } = await consumer.ask({ op: 'subscribe', topic: 'orders', from: 'earliest', group: 'billing' });
  await consumer.ask({ op: 'commit', subscription, partition: 0, offset: 1 });
  const stopped = rig.broker.stop();
  await rig.pass(500);
  const hold = rig.holdWrites('/log/');
  consumer.send({ op: 'commit', id: 'last', subscription, partition: 0, offset: 2 });
  await rig.pass(100);
  expect(hold.waiting).toBeGreaterThan(0);
  expect(consumer.replyTo('last')).toBeUndefined();
  expect(consumer.socket.closed).toBeNull();
  hold.release();
  await rig.until(stopped);
  expect(consumer.replyTo('last')).toMatchObject({ op: 'committed', offset: 2 });
  expect(consumer.socket.closed).toMatchObject({ code: 1012 });
});

it('waits for a reserve that is being written: a clean end leaves no descriptor', async () => {
  const rig = await Rig.start({ reserveBytes: 65_536, diskLowBytes: 0, diskCheckMs: 100 });
  const client = await rig.client();
  await client.create('orders');
  rig.disk.capacityBytes = rig.disk.usedBytes;
  await rig.pass(300);
  // The write takes the reserve; what comes back makes room for a new one.
  await client.ask({ op: 'publish', topic: 'orders', value: 1 });
  const hold = rig.holdWrites('/reserve');
  rig.disk.capacityBytes = 1024 ** 3;
  await rig.pass(300);
  expect(hold.waiting).toBe(1);
  const stopped = rig.broker.stop();
  let hasEnded = false;
  void stopped.then(() => {
    hasEnded = true;
  });
  await rig.pass(300);
  expect(hasEnded).toBe(false);
  hold.release();
  expect(await rig.until(stopped)).toMatchObject({ outcome: 'clean' });
  await expectNothingLeft(rig);
});

it('is ended by the watchdog within its budget when it hangs before it has begun to start', async () => {
  const clock = new SimulatedClock();
  const disk = new MemoryDisk();
  disk.onCall = () => new Promise(() => {});
  const armed: { at: number; report: { outcome: string; reason: string; killedByWatchdog: boolean } }[] = [];
  const watchdog: Watchdog = {
    arm: (ms, report) => armed.push({ at: clock.monotonic() + ms, report: JSON.parse(report) }),
    disarm: () => {},
  };
  const broker = createBroker({ gracePeriodMs: 10_000 }, { clock, disk, watchdog, logger: new RecordingLogger() });
  void broker.start();
  await turns();
  await clock.advance(1000);
  void broker.stop({ reason: 'SIGTERM' });
  expect(armed.at(-1)).toMatchObject({
    at: 9500,
    report: { outcome: 'abandoned', reason: 'SIGTERM', killedByWatchdog: true },
  });
  // A milder word later gives it no more time; a harder one takes some.
  await clock.advance(1000);
  void broker.stop();
  expect(armed.at(-1)?.at).toBe(9500);
  void broker.stop({ mode: 'immediate' });
  expect(armed.at(-1)?.at).toBe(4500);
});

describe('a shard that is given up', () => {
  /** Holds the first such call in a log; `later` are the writing calls in that log's shard from its release on. */
  function holdOnce(rig: Rig, held: DiskOp): { waits: () => boolean; release: () => void; later: string[] } {
    const later: string[] = [];
    let shard: string | null = null;
    let go: (() => void) | null = null;
    let released = false;
    rig.disk.onCall = (op, path) => {
      if (released && shard !== null && path.startsWith(shard) && /^(write|truncate|replaceSmallFile)$/.test(op)) {
        later.push(`${op} ${path}`);
      }
      // The disk hangs as a whole: the look at its space keeps the shard from letting go of its files.
      if (op === 'space') return new Promise<void>(() => {});
      if (shard !== null || op !== held || !path.includes('/log')) return;
      shard = path.slice(0, path.indexOf('/log'));
      return new Promise<void>((resolve) => {
        go = resolve;
      });
    };
    const release = (): void => {
      released = true;
      go?.();
    };
    return { waits: () => go !== null, release, later };
  }

  it('while its log makes a new segment writes nothing into it when that call comes back', async () => {
    const rig = await Rig.start({ segmentBytes: 65_536, diskCheckMs: 100 });
    const client = await rig.client();
    await client.create('orders', { partitions: 1 });
    await client.ask({ op: 'publish', topic: 'orders', partition: 0, value: 'x'.repeat(70_000) });
    const hold = holdOnce(rig, 'syncDirectory');
    client.send({ op: 'publish', id: 'next', topic: 'orders', partition: 0, value: 'next' });
    await rig.pass(200);
    expect(hold.waits()).toBe(true);
    await rig.stop({ mode: 'immediate' });
    hold.release();
    await turns(20);
    expect(hold.later).toEqual([]);
  });

  it('while its log is opened mends nothing in it when that call comes back', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 1 });
    await client.ask({ op: 'publish', topic: 'orders', partition: 0, value: 1 });
    rig.crashed();
    const hold = holdOnce(rig, 'openWrite');
    rig.broker.start().catch(() => {});
    await rig.pass(50);
    expect(hold.waits()).toBe(true);
    await rig.stop({ mode: 'immediate' });
    hold.release();
    await turns(20);
    expect(hold.later).toEqual([]);
  });
});
