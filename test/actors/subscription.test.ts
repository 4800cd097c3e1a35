/** What a subscription delivers: from where to where, in what form, within what credit. */
import { describe, expect, it } from 'vitest';
import { decodeBatch } from '../../src/domain/record-batch.ts';
import { Rig, turns } from '../broker/rig.ts';
import { batchOf, upTo } from '../broker/wire-client.ts';

const valuesOf = (batch: Uint8Array): unknown[] =>
  [...decodeBatch(batch)].map(({ value }) => JSON.parse(Buffer.from(value ?? []).toString()));

describe('deliveries', () => {
  it('begin behind the reply, and go from what is stored to what comes without a seam', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await client.publishAll('orders', 0, upTo(5));
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
    await client.publishAll('fast', 0, ['opens the partition']);
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
    await client.publishAll('orders', 0, [1]);
    expect(await client.ask({ op: 'unsubscribe', subscription: 1 })).toEqual({
      op: 'unsubscribed',
      id: expect.any(String),
      subscription: 1,
    });
    await client.publishAll('orders', 0, [2]);
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
    await client.publishAll('orders', 0, upTo(20));
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
    await client.publishAll('orders', 1, [1]);
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
    await client.publishAll('orders', 0, upTo(9));
    expect(client.delivered().get(0)).toEqual(upTo(5));
    await rig.stop();
  });
});
