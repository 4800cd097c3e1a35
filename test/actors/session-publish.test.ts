/** Publishing as a client sees it: where records go, what is answered, topics made on the way. */
import { describe, expect, it } from 'vitest';
import { partitionOfKey } from '../../src/domain/partition.ts';
import { Rig, turns } from '../broker/rig.ts';
import { batchOf } from '../broker/wire-client.ts';

describe('where a record goes', () => {
  it('by its key, to the partition that Kafka gives it', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 16 });
    for (const key of ['21', 'foobar', 'abc', 'a-little-bit-long-string', 'ключ']) {
      const reply = await client.ask({ op: 'publish', topic: 'orders', key, value: 1 });
      expect(reply.partition).toBe(partitionOfKey(Buffer.from(key), 16));
    }
    // Kafka: murmur2("foobar") = -790332482, positive 1357151166, over 16 partitions 14.
    expect((await client.ask({ op: 'publish', topic: 'orders', key: 'foobar', value: 1 })).partition).toBe(14);
    await rig.stop();
  });

  it('to the partition that is asked for, whatever its key', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 16 });
    const reply = await client.ask({ op: 'publish', topic: 'orders', key: 'foobar', partition: 3, value: 1 });
    expect(reply).toMatchObject({ op: 'published', topic: 'orders', partition: 3, epoch: 1, offset: 0, count: 1 });
    await rig.stop();
  });

  it('to none that the topic lacks', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 2 });
    const reply = await client.ask({ op: 'publish', topic: 'orders', partition: 2, value: 1 });
    expect(reply).toMatchObject({ op: 'error', code: 'UNKNOWN_PARTITION' });
    expect(reply.message).toContain('0 to 1');
    await rig.stop();
  });

  it('evenly over all partitions when it has neither', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 4 });
    for (let n = 0; n < 8; n += 1) client.send({ op: 'publish', topic: 'orders', value: n });
    for (let n = 0; n < 4; n += 1) client.sendBinary({ op: 'publish', topic: 'orders' }, batchOf(n));
    await turns();
    expect(await client.counts('orders')).toEqual([3, 3, 3, 3]);
    await rig.stop();
  });
});

describe('replies', () => {
  it('tell the place of each record of many, in their order', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 4 });
    const keys = ['a', 'b', 'a', 'c', 'a'];
    const records = keys.map((key, value) => ({ key, value }));
    const first = await client.ask({ op: 'publish', topic: 'orders', records });
    const again = await client.ask({ op: 'publish', topic: 'orders', records });
    const next = new Map<number, number>();
    const expected = [...keys, ...keys].map((key) => {
      const partition = partitionOfKey(Buffer.from(key), 4);
      const offset = next.get(partition) ?? 0;
      next.set(partition, offset + 1);
      return { partition, offset, epoch: 1 };
    });
    expect([...first.positions, ...again.positions]).toEqual(expected);
    expect(first).toMatchObject({ op: 'published', topic: 'orders', count: 5 });
    await rig.stop();
  });

  it('keep keyless records of one publish together', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 4 });
    const { positions } = await client.ask({ op: 'publish', topic: 'orders', records: [{ value: 1 }, { value: 2 }] });
    expect(positions[0].partition).toBe(positions[1].partition);
    expect(positions.map(({ offset }: { offset: number }) => offset)).toEqual([0, 1]);
    await rig.stop();
  });

  it('to binary publishes of one turn leave as one frame, a row each', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await client.heard();
    const before = client.all.length;
    for (let n = 0; n < 5; n += 1)
      client.sendBinary({ op: 'publish', id: n, topic: 'orders', partition: 0 }, batchOf(n, n));
    client.sendBinary({ op: 'publish', topic: 'orders', partition: 0 }, batchOf(9));
    await turns();
    const answers = client.all.slice(before);
    expect(answers).toHaveLength(1);
    expect(answers[0]?.kind).toBe('binary');
    expect(answers[0]?.reply).toEqual({
      op: 'published',
      acks: [
        [0, 0, 1, 0, 2],
        [1, 0, 1, 2, 2],
        [2, 0, 1, 4, 2],
        [3, 0, 1, 6, 2],
        [4, 0, 1, 8, 2],
        [null, 0, 1, 10, 1],
      ],
    });
    await rig.stop();
  });

  it('come after the synced write for a sync topic, and at once for an async one', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('safe');
    await client.create('fast', { durability: 'async' });
    await client.publishAll('fast', 0, [0]);
    const hold = rig.holdWrites('/log/');
    expect(await client.ask({ op: 'publish', topic: 'safe', value: 1 })).toBeUndefined();
    expect(await client.ask({ op: 'publish', topic: 'fast', value: 1 })).toMatchObject({ op: 'published', offset: 1 });
    hold.release();
    await turns();
    expect(client.of('published')).toHaveLength(3);
    await rig.stop();
  });

  it('of a publish that was stored in part say so: OUTCOME_UNKNOWN, naming the partitions', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders', { partitions: 2 });
    const keys = { 0: '', 1: '' };
    for (let n = 0; keys[0] === '' || keys[1] === ''; n += 1) {
      keys[partitionOfKey(Buffer.from(`k${n}`), 2) as 0 | 1] = `k${n}`;
    }
    const [owner] = rig.disk.paths.filter((path) => path.includes('shards/00/log'));
    expect(owner).toBeDefined();
    rig.failWrites('shards/00/log', 'EIO');
    const reply = await client.ask({
      op: 'publish',
      topic: 'orders',
      records: [
        { key: keys[0], value: 1 },
        { key: keys[1], value: 2 },
      ],
    });
    expect(reply).toMatchObject({ op: 'error', code: 'OUTCOME_UNKNOWN' });
    expect(reply.message).toMatch(/stored on partitions [01]/);
    await rig.stop();
  });
});

describe('topics', () => {
  it('are made by the first publish with the defaults', async () => {
    const rig = await Rig.start({ partitions: 3, durability: 'async' });
    const client = await rig.client();
    expect(await client.ask({ op: 'publish', topic: 'orders', value: 1 })).toMatchObject({ op: 'published' });
    const { topics } = await client.ask({ op: 'topics' });
    expect(topics).toEqual([
      { topic: 'orders', partitions: 3, durability: 'async', retention: { ms: null, bytes: null } },
    ]);
    await rig.stop();
  });

  it('are made once, however many publish to a new one at the same time', async () => {
    const rig = await Rig.start();
    const clients = [await rig.client(), await rig.client(), await rig.client()];
    for (const client of clients) client.send({ op: 'publish', id: 1, topic: 'orders', partition: 0, value: 1 });
    await turns();
    expect(clients.map((client) => client.replyTo(1).offset).sort()).toEqual([0, 1, 2]);
    expect(rig.broker.status['topics']).toBe(1);
    await rig.stop();
  });

  it('are not made by a publish nor a subscription when autoCreate is off', async () => {
    const rig = await Rig.start({ autoCreate: false });
    const client = await rig.client();
    for (const command of [
      { op: 'publish', topic: 'orders', value: 1 },
      { op: 'subscribe', topic: 'orders' },
      { op: 'describe', topic: 'orders', create: true },
    ]) {
      expect(await client.ask(command)).toMatchObject({ op: 'error', code: 'UNKNOWN_TOPIC' });
    }
    await client.create('orders');
    expect(await client.ask({ op: 'publish', topic: 'orders', value: 1 })).toMatchObject({ op: 'published' });
    await rig.stop();
  });

  it('may be created again as they are, and not otherwise', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    const settings = { partitions: 4, durability: 'async', retention: { ms: 1000, bytes: null } };
    expect(await client.create('orders', settings)).toMatchObject({ op: 'created', ...settings });
    expect(await client.create('orders', settings)).toMatchObject({ op: 'created', ...settings });
    expect(await client.ask({ op: 'create', topic: 'orders' })).toMatchObject({ op: 'created', partitions: 4 });
    const reply = await client.create('orders', { ...settings, partitions: 5 });
    expect(reply).toMatchObject({ op: 'error', code: 'TOPIC_EXISTS' });
    expect(reply.message).toContain('"partitions":4');
    await rig.stop();
  });

  it('have names that are names', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    for (const topic of ['..', 'a..b', '../x', 'a\u0000b', '', 'a'.repeat(250), 'x'.repeat(65_536)]) {
      const reply = await client.ask({ op: 'publish', topic, value: 1 });
      expect(reply).toMatchObject({ op: 'error' });
      expect(['INVALID_TOPIC', 'BAD_REQUEST']).toContain(reply.code);
    }
    expect(rig.broker.status['topics']).toBe(0);
    await rig.stop();
  });

  it('are no more than topicsMax', async () => {
    const rig = await Rig.start({ topicsMax: 2 });
    const client = await rig.client();
    await client.create('a');
    await client.create('b');
    const reply = await client.create('c');
    expect(reply).toMatchObject({ op: 'error', code: 'LIMIT_EXCEEDED' });
    expect(reply.message).toContain('2');
    await client.ask({ op: 'delete', topic: 'a' });
    expect(await client.create('c')).toMatchObject({ op: 'created' });
    await rig.stop();
  });
});
