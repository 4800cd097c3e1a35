/** The broker in memory that `sluice/testing` gives to others: its time, its crashes, its faults. */
import { describe, expect, it } from 'vitest';
import { createTestBroker } from '../../src/testing/index.ts';

describe('createTestBroker', () => {
  it('serves clients in its process and from outside, and stops', async () => {
    const test = await createTestBroker();
    const inside = await test.client();
    const outside = await test.connect();
    expect(await test.until(outside.publish('orders', { value: 1, partition: 0 }))).toMatchObject({ offset: 0 });
    expect((await test.until(inside.topics())).map(({ topic }) => topic)).toEqual(['orders']);
    expect(await test.stop()).toMatchObject({ outcome: 'clean' });
    expect(inside.state).toBe('closed');
    await test.until(outside.close());
    expect(test.clock.pending).toBe(0);
  });

  it.each(['kill', 'power-cut', 'torn'] as const)(
    'keeps what was acknowledged through a crash (%s), again and again',
    async (how) => {
      await using test = await createTestBroker({ seed: 5 });
      const client = await test.connect();
      const acked: number[] = [];
      for (let round = 0; round < 3; round += 1) {
        for (let n = 0; n < 5; n += 1) {
          const value = round * 10 + n;
          await test.until(client.publish('orders', { value, partition: 0 }));
          acked.push(value);
        }
        // One more is under way when it dies: the client sends it again, and it is stored once.
        const last = client.publish('orders', { value: round * 10 + 5, partition: 0 });
        await test.crash({ how });
        await test.until(last);
        acked.push(round * 10 + 5);
      }
      const read = client.subscribe('orders', { from: 'earliest', partitions: [0] });
      const found: unknown[] = [];
      while (found.length < acked.length) found.push((await test.until(read.next())).value?.value);
      expect(found).toEqual(acked);
      expect((await test.until(client.describe('orders'))).state[0]).toMatchObject({ highWatermark: acked.length });
      await test.until(client.close());
    },
  );

  it('loses what an async topic had in memory alone in a crash, and nothing in a restart', async () => {
    await using test = await createTestBroker();
    const client = await test.connect();
    await test.until(client.createTopic('ticks', { partitions: 1, durability: 'async' }));
    const end = async () => (await test.until(client.describe('ticks'))).state[0]?.highWatermark;
    await test.until(client.publish('ticks', { value: 0 }));
    await test.advance(5000);
    test.faults.holdWrites();
    await test.until(client.publish('ticks', { value: 1 }));
    await test.crash();
    expect(await end()).toBe(1);
    await test.until(client.publish('ticks', { value: 2 }));
    expect(await test.restart()).toMatchObject({ outcome: 'clean' });
    expect(await end()).toBe(2);
    await test.until(client.close());
  });

  it('answers for its disk: full, and mended', async () => {
    await using test = await createTestBroker({ diskCheckMs: 1000 });
    const client = await test.client();
    await test.until(client.createTopic('orders', { partitions: 1 }));
    test.faults.fill();
    const refused = client.publish('orders', { value: 'x'.repeat(1000) }, { deadlineMs: 3000 });
    await expect(test.until(refused)).rejects.toMatchObject({
      code: expect.stringMatching(/TIMEOUT|OUTCOME_UNKNOWN|DISK_FULL/),
    });
    test.faults.mend();
    expect(await test.until(client.publish('orders', { value: 'y' }))).toMatchObject({ topic: 'orders' });
  });

  it('names the shard whose disk fails for good, in status and in the report', async () => {
    const test = await createTestBroker({ shards: 1 });
    const client = await test.client();
    await test.until(client.createTopic('orders', { partitions: 1 }));
    test.faults.failWrites('EIO');
    await expect(test.until(client.publish('orders', { value: 1 }, { deadlineMs: 30_000 }))).rejects.toThrow();
    const report = await test.stop();
    expect(report.outcome).toBe('failed');
    expect(report.children).toContainEqual(expect.objectContaining({ id: 'shard-00', state: 'failed' }));
  });

  it('moves no time by itself, and says so of what never comes', async () => {
    await using test = await createTestBroker();
    const before = test.clock.monotonic();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(test.clock.monotonic()).toBe(before);
    await expect(test.until(new Promise(() => {}), 100)).rejects.toThrow('nothing came of it within 100 ms');
    await test.advance(1234);
    expect(test.clock.monotonic() - before).toBe(1334);
  });

  it('sets up each broker anew', async () => {
    let brokers = 0;
    await using test = await createTestBroker({
      setUp: () => {
        brokers += 1;
      },
    });
    await test.restart();
    await test.crash();
    expect(brokers).toBe(3);
  });
});
