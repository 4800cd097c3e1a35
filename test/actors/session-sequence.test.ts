/** Idempotent publishing as a client sees it: what is stored once, and what is stored a prefix of what was sent. */
import { describe, expect, it } from 'vitest';
import { Rig, turns } from '../broker/rig.ts';
import { batchOf, type WireClient } from '../broker/wire-client.ts';

describe('sequences', () => {
  async function producer(rig: Rig, id = 'p-1'): Promise<WireClient> {
    const client = await rig.client();
    await client.hello(id);
    return client;
  }
  const publish = (client: WireClient, sequence: number, partition = 0) =>
    client.ask({ op: 'publish', topic: 'orders', partition, value: sequence, sequence });

  it('store a resend once and answer it with the first offset', async () => {
    const rig = await Rig.start();
    const client = await producer(rig);
    await client.create('orders', { partitions: 2 });
    expect(await publish(client, 5)).toMatchObject({ op: 'published', offset: 0 });
    expect(await publish(client, 6)).toMatchObject({ op: 'published', offset: 1 });
    expect(await publish(client, 5)).toMatchObject({ op: 'published', offset: 0, duplicate: true });
    expect(await publish(client, 5, 1)).toMatchObject({ op: 'published', offset: 0 });
    expect(await client.counts('orders')).toEqual([2, 1]);
    await rig.stop();
  });

  it('mark a resent binary publish as a duplicate in its row', async () => {
    const rig = await Rig.start();
    const client = await producer(rig);
    await client.create('orders');
    for (const id of [1, 2])
      client.sendBinary({ op: 'publish', id, topic: 'orders', partition: 0, sequence: 0 }, batchOf(1, 2));
    await turns();
    expect(client.of('published').flatMap(({ acks }) => acks)).toEqual([
      [1, 0, 1, 0, 2],
      [2, 0, 1, 0, 2, 1],
    ]);
    await rig.stop();
  });

  it('let a resend from another connection wait for the publish that is under way', async () => {
    const rig = await Rig.start();
    const client = await producer(rig);
    await client.create('orders');
    const hold = rig.holdWrites('/log/');
    client.send({ op: 'publish', id: 1, topic: 'orders', partition: 0, value: 1, sequence: 0 });
    await turns();
    const newer = await producer(rig);
    newer.send({ op: 'publish', id: 1, topic: 'orders', partition: 0, value: 1, sequence: 0 });
    await turns();
    expect(newer.replyTo(1)).toBeUndefined();
    hold.release();
    await turns();
    expect(newer.replyTo(1)).toMatchObject({ op: 'published', offset: 0, duplicate: true });
    expect(await newer.counts('orders')).toEqual([1]);
    await rig.stop();
  });

  it.each(['a clean restart', 'a kill'])('are remembered across %s', async (end) => {
    const rig = await Rig.start();
    const client = await producer(rig);
    await client.create('orders');
    await publish(client, 0);
    await publish(client, 1);
    if (end === 'a kill') await rig.crash();
    else await rig.restart();
    const again = await producer(rig);
    expect(await again.ask({ op: 'producer', topic: 'orders' })).toMatchObject({
      partitions: [{ partition: 0, sequence: 1 }],
    });
    expect(await publish(again, 0)).toMatchObject({ offset: 0, duplicate: true });
    expect(await publish(again, 1)).toMatchObject({ offset: 1, duplicate: true });
    expect(await publish(again, 2)).toMatchObject({ offset: 2 });
    await rig.stop();
  });

  it('are not told while the shard of a partition does not serve: none would be taken for no records', async () => {
    const rig = await Rig.start();
    const client = await producer(rig);
    await client.create('orders', { partitions: 2 });
    await publish(client, 0, 0);
    await publish(client, 1, 1);
    rig.failWrites('shards/00', 'EIO');
    await Promise.all([publish(client, 2, 0), publish(client, 3, 1)]);
    expect(await client.ask({ op: 'producer', topic: 'orders' })).toMatchObject({
      op: 'error',
      code: 'SHARD_FAILED',
      retryable: true,
    });
    rig.disk.onCall = null;
    await rig.stop();
  });

  it('that were skipped are refused for good, and name the last one', async () => {
    const rig = await Rig.start();
    const client = await producer(rig);
    await client.create('orders');
    await publish(client, 10);
    const reply = await publish(client, 4);
    expect(reply).toMatchObject({ op: 'error', code: 'SEQUENCE_OUT_OF_ORDER', retryable: false });
    expect(reply.message).toContain('10');
    await rig.stop();
  });

  it('of one publish to many partitions are remembered by each of them', async () => {
    const rig = await Rig.start();
    const client = await producer(rig);
    await client.create('orders', { partitions: 4 });
    const command = {
      op: 'publish',
      topic: 'orders',
      sequence: 0,
      records: ['a', 'b', 'c', 'd'].map((key) => ({ key, value: key })),
    };
    const first = await client.ask(command);
    const again = await client.ask(command);
    expect(again).toMatchObject({ duplicate: true });
    expect(again.positions).toEqual(first.positions);
    await rig.stop();
  });

  describe('after a refusal that may be retried', () => {
    it('later ones of that partition are refused until the refused one comes again; others go on', async () => {
      const rig = await Rig.start({ diskCheckMs: 1000 });
      const client = await producer(rig);
      await client.create('orders', { partitions: 2 });
      await publish(client, 0);
      rig.disk.capacityBytes = 0;
      await rig.pass(1100);
      expect(await publish(client, 1)).toMatchObject({ op: 'error', code: 'DISK_FULL', retryable: true });
      expect((await publish(client, 2)).code).toBe('DISK_FULL');
      rig.disk.capacityBytes = 1024 ** 3;
      await rig.pass(1100);
      // There is room again, but 2 would be stored without 1.
      expect((await publish(client, 2)).code).toBe('DISK_FULL');
      expect((await publish(client, 3)).code).toBe('DISK_FULL');
      expect(await publish(client, 3, 1)).toMatchObject({ op: 'published', partition: 1 });
      expect(await publish(client, 1)).toMatchObject({ op: 'published', offset: 1 });
      expect(await publish(client, 2)).toMatchObject({ op: 'published', offset: 2 });
      expect(await client.counts('orders')).toEqual([3, 1]);
      await rig.stop();
    });

    it('all that is sent again behind the refused one is taken, though that one is not answered yet', async () => {
      const rig = await Rig.start({ diskCheckMs: 1000 });
      const client = await producer(rig);
      await client.create('orders');
      rig.disk.capacityBytes = 0;
      await rig.pass(1100);
      for (const sequence of [0, 1, 2]) expect((await publish(client, sequence)).code).toBe('DISK_FULL');
      rig.disk.capacityBytes = 1024 ** 3;
      await rig.pass(1100);
      const hold = rig.holdWrites('/log/');
      for (const sequence of [0, 1, 2]) {
        client.send({
          op: 'publish',
          id: `again ${sequence}`,
          topic: 'orders',
          partition: 0,
          value: sequence,
          sequence,
        });
      }
      await turns();
      hold.release();
      await turns();
      const offsets = [0, 1, 2].map((sequence) => client.replyTo(`again ${sequence}`).offset);
      expect(offsets).toEqual([0, 1, 2]);
      await rig.stop();
    });

    it('holds nobody back who is another producer on the same connection', async () => {
      const rig = await Rig.start({ diskCheckMs: 1000 });
      const client = await producer(rig);
      await client.create('orders');
      rig.disk.capacityBytes = 0;
      await rig.pass(1100);
      expect((await publish(client, 0)).code).toBe('DISK_FULL');
      rig.disk.capacityBytes = 1024 ** 3;
      await rig.pass(1100);
      await client.hello('p-2');
      expect(await publish(client, 7)).toMatchObject({ op: 'published', offset: 0 });
      await rig.stop();
    });

    it('binds the connection it was on alone: the next one starts anew', async () => {
      const rig = await Rig.start({ diskCheckMs: 1000 });
      const client = await producer(rig);
      await client.create('orders');
      rig.disk.capacityBytes = 0;
      await rig.pass(1100);
      expect((await publish(client, 0)).code).toBe('DISK_FULL');
      rig.disk.capacityBytes = 1024 ** 3;
      await rig.pass(1100);
      const next = await producer(rig);
      expect(await publish(next, 1)).toMatchObject({ op: 'published', offset: 0 });
      await rig.stop();
    });

    it('a publish without a sequence is not held back', async () => {
      const rig = await Rig.start({ diskCheckMs: 1000 });
      const client = await producer(rig);
      await client.create('orders');
      rig.disk.capacityBytes = 0;
      await rig.pass(1100);
      expect((await publish(client, 0)).code).toBe('DISK_FULL');
      rig.disk.capacityBytes = 1024 ** 3;
      await rig.pass(1100);
      const reply = await client.ask({ op: 'publish', topic: 'orders', partition: 0, value: 1 });
      expect(reply).toMatchObject({ op: 'published', offset: 0 });
      await rig.stop();
    });
  });
});
