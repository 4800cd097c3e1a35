/** Where a subscription begins, and what it is told of what it cannot have. */
import { describe, expect, it } from 'vitest';
import { Rig, turns } from '../broker/rig.ts';
import { upTo, type WireClient } from '../broker/wire-client.ts';

describe('where a subscription begins', () => {
  async function filled(): Promise<{ rig: Rig; client: WireClient; times: number[] }> {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    const times: number[] = [];
    for (const value of upTo(10)) {
      times.push(rig.clock.now());
      await client.publishAll('orders', 0, [value]);
      await rig.pass(1000, 1000);
    }
    return { rig, client, times };
  }

  it.each([
    ['earliest', 0],
    ['latest', 10],
    [{ last: 3 }, 7],
    [{ last: 99 }, 0],
    [{ offset: 4 }, 4],
    [{ offset: 10 }, 10],
  ])('at %j', async (from, offset) => {
    const { rig, client } = await filled();
    const reply = await client.ask({ op: 'subscribe', topic: 'orders', from });
    expect(reply).toMatchObject({
      op: 'subscribed',
      topic: 'orders',
      subscription: 1,
      partitions: [{ partition: 0, epoch: 1, offset, highWatermark: 10 }],
    });
    await client.publishAll('orders', 0, [10]);
    expect(client.delivered().get(0)).toEqual(upTo(11 - offset, offset));
    await rig.stop();
  });

  it('at a time: the first record taken then or later', async () => {
    const { rig, client, times } = await filled();
    const at = (time: number) =>
      client.ask({ op: 'subscribe', topic: 'orders', from: { time } }).then((reply) => reply.partitions[0].offset);
    expect(await at(times[3] as number)).toBe(3);
    expect(await at((times[3] as number) + 1)).toBe(4);
    expect(await at(0)).toBe(0);
    expect(await at((times[9] as number) + 1)).toBe(10);
    await rig.stop();
  });

  it('at the latest by default, and with a group where that has committed', async () => {
    const { rig, client } = await filled();
    const at = (command: object) =>
      client.ask({ op: 'subscribe', topic: 'orders', ...command }).then((reply) => reply.partitions[0].offset);
    expect(await at({})).toBe(10);
    expect(await at({ group: 'billing' })).toBe(0);
    await client.ask({ op: 'commit', subscription: 2, partition: 0, offset: 6 });
    expect(await at({ group: 'billing' })).toBe(6);
    expect(await at({ group: 'billing', from: 'committed' })).toBe(6);
    expect(await at({ group: 'shipping' })).toBe(0);
    expect(await at({ group: 'billing', from: 'latest' })).toBe(10);
    await rig.stop();
  });

  it('at positions of single partitions, and elsewhere as `from` says', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 2 });
    for (const partition of [0, 1]) await client.publishAll('orders', partition, upTo(4));
    const reply = await client.ask({
      op: 'subscribe',
      topic: 'orders',
      from: 'latest',
      positions: [{ partition: 1, offset: 2, epoch: 1 }],
    });
    expect(reply.partitions.map(({ offset }: { offset: number }) => offset)).toEqual([4, 2]);
    expect(client.delivered()).toEqual(new Map([[1, [2, 3]]]));
    await rig.stop();
  });

  it('nowhere outside what a partition holds: the answer says the range', async () => {
    const { rig, client } = await filled();
    const reply = await client.ask({ op: 'subscribe', topic: 'orders', from: { offset: 11 } });
    expect(reply).toMatchObject({ op: 'error', code: 'OFFSET_OUT_OF_RANGE', retryable: false });
    expect(reply.message).toContain('0 to 10');
    const future = await client.ask({ op: 'subscribe', topic: 'orders', from: { offset: 1, epoch: 2 } });
    expect(future).toMatchObject({ op: 'error', code: 'OFFSET_OUT_OF_RANGE' });
    await rig.stop();
  });

  it('not on a partition that the topic lacks', async () => {
    const { rig, client } = await filled();
    const reply = await client.ask({ op: 'subscribe', topic: 'orders', partitions: [0, 1] });
    expect(reply).toMatchObject({ op: 'error', code: 'UNKNOWN_PARTITION' });
    await rig.stop();
  });

  it('not more often on one connection than subscriptionsMax, nor with more credit than creditMax', async () => {
    const rig = await Rig.start({ subscriptionsMax: 2, creditMax: 10 });
    const client = await rig.client();
    await client.create('orders');
    const subscribe = (credit = 10) => client.ask({ op: 'subscribe', topic: 'orders', credit });
    expect(await subscribe(11)).toMatchObject({ op: 'error', code: 'LIMIT_EXCEEDED' });
    await subscribe();
    await subscribe();
    expect(await subscribe()).toMatchObject({ op: 'error', code: 'LIMIT_EXCEEDED' });
    await client.ask({ op: 'unsubscribe', subscription: 1 });
    expect(await subscribe()).toMatchObject({ op: 'subscribed', subscription: 3 });
    await rig.stop();
  });
});

describe('gaps', () => {
  it('a position that a crash cost is told as lost, and goes on where the next epoch begins', async () => {
    const rig = await Rig.start({ flushMs: 1000 });
    const client = await rig.client();
    await client.create('fast', { durability: 'async' });
    await client.publishAll('fast', 0, upTo(3));
    await rig.pass(1100);
    await client.publishAll('fast', 0, upTo(4, 3));
    await rig.crash();
    const again = await rig.client();
    await again.publishAll('fast', 0, ['new']);
    const reply = await again.ask({
      op: 'subscribe',
      topic: 'fast',
      positions: [{ partition: 0, offset: 7, epoch: 1 }],
    });
    expect(reply.partitions).toMatchObject([{ epoch: 2, offset: 3 }]);
    expect(again.of('gap')).toEqual([
      { op: 'gap', subscription: 1, partition: 0, reason: 'lost', from: 3, to: 7, epoch: 2, offset: 3 },
    ]);
    expect(again.delivered().get(0)).toEqual(['new']);
    expect(again.of('records')).toMatchObject([{ epoch: 2, records: [{ offset: 3 }] }]);
    await rig.stop();
  });

  it('a position of an earlier epoch that was kept is no gap, and each delivery is of one epoch', async () => {
    const rig = await Rig.start({ flushMs: 1000 });
    const client = await rig.client();
    await client.create('fast', { durability: 'async' });
    await client.publishAll('fast', 0, upTo(3));
    await rig.pass(1100);
    await rig.crash();
    const again = await rig.client();
    await again.publishAll('fast', 0, [3]);
    await again.ask({ op: 'subscribe', topic: 'fast', positions: [{ partition: 0, offset: 1, epoch: 1 }] });
    await turns();
    expect(again.of('gap')).toEqual([]);
    expect(again.delivered().get(0)).toEqual([1, 2, 3]);
    expect(again.of('records').map(({ epoch }) => epoch)).toEqual([1, 2]);
    await rig.stop();
  });

  it('a clean restart begins no epoch', async () => {
    const rig = await Rig.start({ flushMs: 1000 });
    const client = await rig.client();
    await client.create('fast', { durability: 'async' });
    await client.publishAll('fast', 0, upTo(3));
    await rig.restart();
    const again = await rig.client();
    const reply = await again.ask({ op: 'subscribe', topic: 'fast', from: 'earliest' });
    expect(reply.partitions).toMatchObject([{ epoch: 1, offset: 0, highWatermark: 3 }]);
    await turns();
    expect(again.delivered().get(0)).toEqual([0, 1, 2]);
    await rig.stop();
  });

  it('a sync topic loses nothing and begins no epoch in a crash', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('safe');
    await client.publishAll('safe', 0, upTo(3));
    await rig.crash();
    const again = await rig.client();
    const reply = await again.ask({ op: 'subscribe', topic: 'safe', from: 'earliest' });
    expect(reply.partitions).toMatchObject([{ epoch: 1, highWatermark: 3 }]);
    await turns();
    expect(again.delivered().get(0)).toEqual([0, 1, 2]);
    await rig.stop();
  });
});
