/** Subscriptions as a client sees them: where they begin, what they deliver, credit, gaps, commits. */
import { describe, expect, it } from 'vitest';
import { decodeBatch } from '../../src/domain/record-batch.ts';
import { Rig, turns } from '../broker/rig.ts';
import { batchOf, type WireClient } from '../broker/wire-client.ts';

/** Publishes one record after another, each a batch of its own. */
async function publish(
  client: WireClient,
  topic: string,
  partition: number,
  values: readonly unknown[],
): Promise<void> {
  for (const value of values) await client.ask({ op: 'publish', topic, partition, value });
}

const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);
const valuesOf = (batch: Uint8Array): unknown[] =>
  [...decodeBatch(batch)].map(({ value }) => JSON.parse(Buffer.from(value ?? []).toString()));

describe('where a subscription begins', () => {
  async function filled(): Promise<{ rig: Rig; client: WireClient; times: number[] }> {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    const times: number[] = [];
    for (const value of upTo(10)) {
      times.push(rig.clock.now());
      await publish(client, 'orders', 0, [value]);
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
    await publish(client, 'orders', 0, [10]);
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
    for (const partition of [0, 1]) await publish(client, 'orders', partition, upTo(4));
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

describe('deliveries', () => {
  it('begin behind the reply, and go from what is stored to what comes without a seam', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await publish(client, 'orders', 0, upTo(5));
    client.send({ op: 'subscribe', id: 's', topic: 'orders', from: 'earliest' });
    for (const value of upTo(5, 5)) client.send({ op: 'publish', topic: 'orders', partition: 0, value });
    await turns();
    const ops = client.all.map(({ reply }) => reply.op);
    expect(ops.indexOf('subscribed')).toBeLessThan(ops.indexOf('records'));
    expect(client.delivered().get(0)).toEqual(upTo(10));
    await rig.stop();
  });

  it('hold what the publisher gave: key, headers, encoding, offset and time', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await client.ask({ op: 'subscribe', topic: 'orders' });
    const time = rig.clock.now();
    await client.ask({
      op: 'publish',
      topic: 'orders',
      key: 'k',
      headers: { h: 'v' },
      value: 'AP8=',
      encoding: 'base64',
    });
    expect(client.of('records')).toEqual([
      {
        op: 'records',
        subscription: 1,
        partition: 0,
        epoch: 1,
        highWatermark: 1,
        records: [{ offset: 0, time, key: 'k', headers: { h: 'v' }, value: 'AP8=', encoding: 'base64' }],
      },
    ]);
    await rig.stop();
  });

  it('as text begin at the asked offset, in the middle of a batch too', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    client.sendBinary({ op: 'publish', topic: 'orders', partition: 0 }, batchOf(0, 1, 2, 3));
    await turns();
    await client.ask({ op: 'subscribe', topic: 'orders', from: { offset: 2 } });
    expect(client.of('records').flatMap(({ records }) => records)).toMatchObject([
      { offset: 2, value: 2 },
      { offset: 3, value: 3 },
    ]);
    await rig.stop();
  });

  it('as binary are the batches of the publishers, byte for byte', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    const sent = [batchOf(0, 1), batchOf(2), batchOf(3, 4, 5)];
    for (const batch of sent) client.sendBinary({ op: 'publish', topic: 'orders', partition: 0 }, batch);
    await turns();
    client.sendBinary({ op: 'subscribe', topic: 'orders', from: { offset: 1 } });
    await turns();
    expect(client.batches.map(({ baseOffset }) => baseOffset)).toEqual([0, 2, 3]);
    expect(client.batches.map(({ batch }) => Buffer.from(batch))).toEqual(sent.map((batch) => Buffer.from(batch)));
    await rig.stop();
  });

  it('of a sync topic wait for the synced write, those of an async one do not', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('safe');
    await client.create('fast', { durability: 'async' });
    for (const topic of ['safe', 'fast']) await client.ask({ op: 'subscribe', topic });
    const hold = rig.holdWrites('/log/');
    for (const topic of ['safe', 'fast']) client.send({ op: 'publish', topic, partition: 0, value: topic });
    await turns();
    expect(client.delivered(1).get(0)).toBeUndefined();
    expect(client.delivered(2).get(0)).toEqual(['fast']);
    // Nor is it shown in any other way.
    const late = await client.ask({ op: 'subscribe', topic: 'safe', from: 'earliest' });
    expect(late.partitions).toMatchObject([{ offset: 0, highWatermark: 0 }]);
    expect((await client.ask({ op: 'describe', topic: 'safe' })).state).toMatchObject([{ highWatermark: 0 }]);
    hold.release();
    await turns();
    expect(client.delivered(1).get(0)).toEqual(['safe']);
    expect(client.delivered(3).get(0)).toEqual(['safe']);
    await rig.stop();
  });

  it('come from the log when memory has let go of them', async () => {
    const rig = await Rig.start({ recentBytes: 65_536, segmentBytes: 65_536 });
    const client = await rig.client();
    await client.create('orders', { partitions: 2 });
    const filler = 'x'.repeat(2000);
    for (const value of upTo(100)) {
      client.send({ op: 'publish', topic: 'orders', partition: value % 2, value: { value, filler } });
    }
    await turns();
    await client.ask({ op: 'subscribe', topic: 'orders', from: 'earliest' });
    await turns(60);
    const values = [...client.delivered().entries()].map(([partition, found]) => [
      partition,
      found.map((record) => (record as { value: number }).value),
    ]);
    expect(Object.fromEntries(values)).toEqual({
      0: upTo(100).filter((value) => value % 2 === 0),
      1: upTo(100).filter((value) => value % 2 === 1),
    });
    await rig.stop();
  });

  it('of one batch to many subscribers share its bytes', async () => {
    const rig = await Rig.start();
    const sent: Uint8Array[] = [];
    rig.onConnection = (connection) => {
      const { sendBinary } = connection;
      connection.sendBinary = (parts) => {
        sent.push(...parts);
        sendBinary.call(connection, parts);
      };
    };
    const publisher = await rig.client();
    await publisher.create('orders');
    const subscribers = await Promise.all(upTo(5).map(() => rig.client()));
    for (const subscriber of subscribers) {
      subscriber.sendBinary({ op: 'subscribe', topic: 'orders' });
      await subscriber.ask({ op: 'subscribe', topic: 'orders' });
    }
    const batch = batchOf('shared');
    publisher.sendBinary({ op: 'publish', topic: 'orders', partition: 0 }, batch);
    await turns();
    const copies = sent.filter((part) => Buffer.from(part).equals(Buffer.from(batch)));
    expect(copies).toHaveLength(5);
    expect(new Set(copies.map(({ buffer }) => buffer)).size).toBe(1);
    for (const subscriber of subscribers) {
      expect(subscriber.batches.map((delivered) => valuesOf(delivered.batch))).toEqual([['shared']]);
      expect(subscriber.delivered(2).get(0)).toEqual(['shared']);
    }
    await rig.stop();
  });

  it('end with the reply to unsubscribe', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await client.ask({ op: 'subscribe', topic: 'orders' });
    await publish(client, 'orders', 0, [1]);
    expect(await client.ask({ op: 'unsubscribe', subscription: 1 })).toEqual({
      op: 'unsubscribed',
      id: expect.any(String),
      subscription: 1,
    });
    await publish(client, 'orders', 0, [2]);
    expect(client.delivered().get(0)).toEqual([1]);
    expect(await client.ask({ op: 'unsubscribe', subscription: 1 })).toMatchObject({ code: 'UNKNOWN_SUBSCRIPTION' });
    await rig.stop();
  });
});

describe('credit', () => {
  it('is never overdrawn by more than one batch, and whole batches are delivered', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    for (const value of upTo(5)) client.sendBinary({ op: 'publish', topic: 'orders' }, batchOf(value, value, value));
    await turns();
    client.sendBinary({ op: 'subscribe', topic: 'orders', from: 'earliest', credit: 4 });
    await turns();
    expect(client.batches.map(({ baseOffset }) => baseOffset)).toEqual([0, 3]);
    // Two over: the next comes only when that is paid back.
    client.sendBinary({ op: 'credit', subscription: 1, records: 2 });
    await turns();
    expect(client.batches).toHaveLength(2);
    client.sendBinary({ op: 'credit', subscription: 1, records: 1 });
    await turns();
    expect(client.batches.map(({ baseOffset }) => baseOffset)).toEqual([0, 3, 6]);
    await rig.stop();
  });

  it('counts only records from the asked offset on', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    client.sendBinary({ op: 'publish', topic: 'orders' }, batchOf(...upTo(10)));
    client.sendBinary({ op: 'publish', topic: 'orders' }, batchOf(10));
    await turns();
    await client.ask({ op: 'subscribe', topic: 'orders', from: { offset: 9 }, credit: 2 });
    expect(client.delivered().get(0)).toEqual([9, 10]);
    await rig.stop();
  });

  it('held back brings nothing, and given late brings everything, once and in order', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await client.ask({ op: 'subscribe', topic: 'orders', credit: 1 });
    await publish(client, 'orders', 0, upTo(20));
    expect(client.delivered().get(0)).toEqual([0]);
    for (let n = 0; n < 30; n += 1) {
      client.send({ op: 'credit', subscription: 1, records: 1 });
      await turns(2);
    }
    expect(client.delivered().get(0)).toEqual(upTo(20));
    await rig.stop();
  });

  it('is shared fairly: a partition that always has more does not starve another', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 2 });
    const filler = 'x'.repeat(60_000);
    for (const value of upTo(20))
      client.send({ op: 'publish', topic: 'orders', partition: 0, value: { value, filler } });
    await publish(client, 'orders', 1, [1]);
    await client.ask({ op: 'subscribe', topic: 'orders', from: 'earliest', credit: 10 });
    const got = client.delivered();
    expect(got.get(1)).toEqual([1]);
    expect(got.get(0)?.length).toBe(9);
    await rig.stop();
  });

  it('never rises above creditMax', async () => {
    const rig = await Rig.start({ creditMax: 5 });
    const client = await rig.client();
    await client.create('orders');
    await client.ask({ op: 'subscribe', topic: 'orders', credit: 1 });
    for (let n = 0; n < 4; n += 1) client.send({ op: 'credit', subscription: 1, records: 5 });
    await publish(client, 'orders', 0, upTo(9));
    expect(client.delivered().get(0)).toEqual(upTo(5));
    await rig.stop();
  });
});

describe('gaps', () => {
  it('a position that a crash cost is told as lost, and goes on where the next epoch begins', async () => {
    const rig = await Rig.start({ flushMs: 1000 });
    const client = await rig.client();
    await client.create('fast', { durability: 'async' });
    await publish(client, 'fast', 0, upTo(3));
    await rig.pass(1100);
    await publish(client, 'fast', 0, upTo(4, 3));
    await rig.crash();
    const again = await rig.client();
    await publish(again, 'fast', 0, ['new']);
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
    await publish(client, 'fast', 0, upTo(3));
    await rig.pass(1100);
    await rig.crash();
    const again = await rig.client();
    await publish(again, 'fast', 0, [3]);
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
    await publish(client, 'fast', 0, upTo(3));
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
    await publish(client, 'safe', 0, upTo(3));
    await rig.crash();
    const again = await rig.client();
    const reply = await again.ask({ op: 'subscribe', topic: 'safe', from: 'earliest' });
    expect(reply.partitions).toMatchObject([{ epoch: 1, highWatermark: 3 }]);
    await turns();
    expect(again.delivered().get(0)).toEqual([0, 1, 2]);
    await rig.stop();
  });
});

describe('commits', () => {
  async function group(rig: Rig): Promise<WireClient> {
    const client = await rig.client();
    await client.ask({ op: 'subscribe', topic: 'orders', group: 'billing' });
    return client;
  }
  const commit = (client: WireClient, offset: number, partition = 0) =>
    client.ask({ op: 'commit', subscription: 1, partition, offset });

  it('never go back: one below is answered with what is committed', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await publish(client, 'orders', 0, upTo(5));
    const consumer = await group(rig);
    expect(await commit(consumer, 4)).toMatchObject({ op: 'committed', partition: 0, offset: 4 });
    expect(await commit(consumer, 2)).toMatchObject({ op: 'committed', partition: 0, offset: 4 });
    expect((await (await group(rig)).heard()).find(({ op }) => op === 'subscribed').partitions).toMatchObject([
      { offset: 4 },
    ]);
    await rig.stop();
  });

  it('are refused beyond the high watermark, on other partitions, and without a group', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 2 });
    await publish(client, 'orders', 0, upTo(5));
    const consumer = await group(rig);
    const reply = await commit(consumer, 6);
    expect(reply).toMatchObject({ op: 'error', code: 'OFFSET_OUT_OF_RANGE' });
    expect(reply.message).toContain('0 to 5');
    expect(await commit(consumer, 5)).toMatchObject({ op: 'committed', offset: 5 });
    expect(await commit(consumer, 0, 2)).toMatchObject({ op: 'error', code: 'UNKNOWN_PARTITION' });
    await client.ask({ op: 'subscribe', topic: 'orders' });
    expect(await commit(client, 0)).toMatchObject({ op: 'error', code: 'BAD_REQUEST' });
    expect(await client.ask({ op: 'commit', subscription: 9, partition: 0, offset: 0 })).toMatchObject({
      code: 'UNKNOWN_SUBSCRIPTION',
    });
    await rig.stop();
  });

  it.each(['a clean restart', 'a kill'])('that were answered outlive %s', async (end) => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await publish(client, 'orders', 0, upTo(5));
    await commit(await group(rig), 3);
    if (end === 'a kill') await rig.crash();
    else await rig.restart();
    const again = await group(rig);
    await turns();
    expect(again.delivered().get(0)).toEqual([3, 4]);
    await rig.stop();
  });

  it('of one turn are one entry of the log', async () => {
    const rig = await Rig.start({ shards: 1 });
    const client = await rig.client();
    await client.create('orders');
    await publish(client, 'orders', 0, upTo(50));
    const consumer = await group(rig);
    const entries = (): number => (rig.broker.status['shards'] as { logBytes: number }[])[0]?.logBytes ?? 0;
    const before = entries();
    await commit(consumer, 1);
    const one = entries() - before;
    for (const offset of upTo(40, 2))
      consumer.send({ op: 'commit', id: offset, subscription: 1, partition: 0, offset });
    await turns();
    expect(consumer.replyTo(41)).toMatchObject({ op: 'committed', offset: 41 });
    expect(entries() - before - one).toBeLessThan(1.5 * one);
    await rig.stop();
  });

  it('are answered after they are durable, not before', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await publish(client, 'orders', 0, upTo(5));
    const consumer = await group(rig);
    const hold = rig.holdWrites('/log/');
    expect(await commit(consumer, 3)).toBeUndefined();
    hold.release();
    await turns();
    expect(consumer.of('committed')).toMatchObject([{ offset: 3 }]);
    await rig.stop();
  });
});
