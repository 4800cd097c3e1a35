/** The life of topics over the whole broker: deletion, and what a crash in the middle of it leaves. */
import { describe, expect, it } from 'vitest';
import { homeShardOf } from '../../src/domain/partition.ts';
import { Rig, turns } from './rig.ts';

const shardOfHome = `0${homeShardOf('orders', 2)}`;
const otherShard = `0${1 - homeShardOf('orders', 2)}`;

async function filled(): Promise<Rig> {
  const rig = await Rig.start();
  const client = await rig.client();
  await client.create('orders', { partitions: 2 });
  await client.hello('p-1');
  for (const partition of [0, 1]) {
    for (const sequence of [0, 1]) {
      await client.ask({ op: 'publish', topic: 'orders', partition, value: `old-${sequence}`, sequence });
    }
  }
  await client.ask({ op: 'subscribe', topic: 'orders', group: 'billing' });
  await client.ask({ op: 'commit', subscription: 1, partition: 0, offset: 2 });
  client.socket.close();
  await turns();
  return rig;
}

/** A topic made again under the name has nothing of the old one. */
async function expectNothingOld(rig: Rig): Promise<void> {
  const client = await rig.client();
  await client.hello('p-1');
  expect(await client.create('orders', { partitions: 2 })).toMatchObject({ op: 'created' });
  expect((await client.ask({ op: 'describe', topic: 'orders' })).state).toEqual([
    { partition: 0, epoch: 1, start: 0, highWatermark: 0 },
    { partition: 1, epoch: 1, start: 0, highWatermark: 0 },
  ]);
  expect((await client.ask({ op: 'producer', topic: 'orders' })).partitions).toEqual([]);
  await client.ask({ op: 'subscribe', topic: 'orders', from: 'committed', group: 'billing' });
  for (const partition of [0, 1]) {
    const reply = await client.ask({ op: 'publish', topic: 'orders', partition, value: 'new', sequence: 0 });
    expect(reply).toMatchObject({ op: 'published', offset: 0 });
    expect(reply.duplicate).toBeUndefined();
  }
  expect(client.delivered()).toEqual(
    new Map([
      [0, ['new']],
      [1, ['new']],
    ]),
  );
}

describe('a topic that is deleted', () => {
  it('is gone, and its subscribers are told for each partition', async () => {
    const rig = await filled();
    const [consumer, client] = [await rig.client(), await rig.client()];
    await consumer.ask({ op: 'subscribe', topic: 'orders' });
    expect(await client.ask({ op: 'delete', topic: 'orders' })).toMatchObject({ op: 'deleted', topic: 'orders' });
    await turns();
    expect(consumer.of('error').map(({ code, subscription, partition }) => [code, subscription, partition])).toEqual(
      expect.arrayContaining([
        ['UNKNOWN_TOPIC', 1, 0],
        ['UNKNOWN_TOPIC', 1, 1],
      ]),
    );
    expect(consumer.of('error')).toHaveLength(2);
    expect(await client.ask({ op: 'describe', topic: 'orders' })).toMatchObject({ code: 'UNKNOWN_TOPIC' });
    expect(await client.ask({ op: 'delete', topic: 'orders' })).toMatchObject({ code: 'UNKNOWN_TOPIC' });
    expect((await client.ask({ op: 'topics' })).topics).toEqual([]);
    await rig.stop();
  });

  it('tells a subscriber without credit too', async () => {
    const rig = await filled();
    const [consumer, client] = [await rig.client(), await rig.client()];
    await consumer.ask({ op: 'subscribe', topic: 'orders', partition: 0, credit: 1, from: 'earliest' });
    await client.ask({ op: 'delete', topic: 'orders' });
    await turns();
    expect(consumer.of('error')).toMatchObject([{ code: 'UNKNOWN_TOPIC', subscription: 1, partition: 0 }]);
    await rig.stop();
  });

  it('made again begins at offset 0 with nothing of the old one', async () => {
    const rig = await filled();
    await (await rig.client()).ask({ op: 'delete', topic: 'orders' });
    await expectNothingOld(rig);
    await rig.stop();
  });

  it.each(['a clean restart', 'a kill'])('stays gone after %s', async (end) => {
    const rig = await filled();
    await (await rig.client()).ask({ op: 'delete', topic: 'orders' });
    if (end === 'a kill') await rig.crash();
    else await rig.restart();
    expect(rig.broker.status['topics']).toBe(0);
    await expectNothingOld(rig);
    await rig.restart();
    const client = await rig.client();
    await client.ask({ op: 'subscribe', topic: 'orders', from: 'earliest' });
    expect(client.delivered()).toEqual(
      new Map([
        [0, ['new']],
        [1, ['new']],
      ]),
    );
    await rig.stop();
  });

  it('is closed in the other shards by the next start when a kill came between', async () => {
    const rig = await filled();
    const hold = rig.holdWrites(`shards/${otherShard}/log`);
    const client = await rig.client();
    client.send({ op: 'delete', id: 1, topic: 'orders' });
    await turns();
    expect(hold.waiting).toBe(1);
    expect(client.replyTo(1)).toBeUndefined();
    await rig.crash();
    await turns();
    expect(rig.logger.messages()).toContain('closing partitions of a deleted topic');
    const shards = rig.broker.status['shards'] as { partitions: number }[];
    expect(shards.map(({ partitions }) => partitions)).toEqual([0, 0]);
    await expectNothingOld(rig);
    await rig.stop();
  });

  it('is whole again when the kill came before its home had written it', async () => {
    const rig = await filled();
    rig.holdWrites(`shards/${shardOfHome}/log`);
    const client = await rig.client();
    client.send({ op: 'delete', id: 1, topic: 'orders' });
    await turns();
    await rig.crash();
    const again = await rig.client();
    await again.ask({ op: 'subscribe', topic: 'orders', from: 'earliest' });
    await turns();
    expect(again.delivered()).toEqual(
      new Map([
        [0, ['old-0', 'old-1']],
        [1, ['old-0', 'old-1']],
      ]),
    );
    await rig.stop();
  });
});

describe('a topic that is made', () => {
  it('is told only when that is durable, and is there after a kill', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    const hold = rig.holdWrites('/log/');
    client.send({ op: 'create', id: 1, topic: 'orders', partitions: 3 });
    await turns();
    expect(client.replyTo(1)).toBeUndefined();
    expect(rig.broker.status['topics']).toBe(0);
    hold.release();
    await turns();
    expect(client.replyTo(1)).toMatchObject({ op: 'created', partitions: 3 });
    await rig.crash();
    expect((await (await rig.client()).ask({ op: 'describe', topic: 'orders' })).partitions).toBe(3);
    await rig.stop();
  });

  it('by two at once with other settings is made by one, and refused to the other', async () => {
    const rig = await Rig.start();
    const [one, two] = [await rig.client(), await rig.client()];
    one.send({ op: 'create', id: 1, topic: 'orders', partitions: 3 });
    two.send({ op: 'create', id: 1, topic: 'orders', partitions: 5 });
    await turns();
    const replies = [one.replyTo(1), two.replyTo(1)];
    expect(replies.filter(({ op }) => op === 'created')).toHaveLength(1);
    expect(replies.filter(({ code }) => code === 'TOPIC_EXISTS')).toHaveLength(1);
    await rig.stop();
  });
});

describe('a data directory', () => {
  it('that the broker made itself is there after a power cut', async () => {
    const rig = new Rig();
    await rig.broker.start();
    await (await rig.client()).create('orders');
    await rig.crash();
    expect(rig.broker.status['topics']).toBe(1);
  });
});

describe('a change of a topic whose write hangs', () => {
  const home = `shards/${shardOfHome}/log`;

  /** Asks for a change that is answered OUTCOME_UNKNOWN, since its write does not come back for long enough. */
  async function unknown(rig: Rig, command: Readonly<Record<string, unknown>>) {
    const client = await rig.client();
    const hold = rig.holdWrites(home);
    client.send({ ...command, id: 99 });
    await rig.pass(12_000);
    expect(client.replyTo(99)).toMatchObject({ op: 'error', code: 'OUTCOME_UNKNOWN', retryable: true });
    return hold;
  }

  it('is not begun again meanwhile, and made once when it comes back', async () => {
    const rig = await Rig.start();
    const hold = await unknown(rig, { op: 'create', topic: 'orders', partitions: 2 });
    const client = await rig.client();
    const again = await client.ask({ op: 'create', topic: 'orders', partitions: 2 });
    expect(again).toMatchObject({ code: 'OUTCOME_UNKNOWN', retryAfterMs: 1000 });
    expect(again.message).toContain('waits to be written');
    hold.release();
    await turns();
    expect(await client.create('orders', { partitions: 2 })).toMatchObject({ op: 'created' });
    const entries = rig.disk.paths.filter((path) => path.includes(home)).map((path) => rig.disk.bytesOf(path));
    const text = Buffer.concat(entries).toString('latin1');
    expect(text.split('"change":"create"')).toHaveLength(2);
    await rig.restart();
    expect((await (await rig.client()).ask({ op: 'describe', topic: 'orders' })).state).toHaveLength(2);
    await rig.stop();
  });

  it('is a deletion all the same when it comes back: nothing is taken into what is gone', async () => {
    const rig = await filled();
    const hold = await unknown(rig, { op: 'delete', topic: 'orders' });
    hold.release();
    await turns();
    const client = await rig.client();
    expect(await client.ask({ op: 'describe', topic: 'orders' })).toMatchObject({ code: 'UNKNOWN_TOPIC' });
    await expectNothingOld(rig);
    await rig.restart();
    await rig.stop();
  });

  it('deletes once for two who ask, and a creation waits for it', async () => {
    const rig = await filled();
    const clients = [await rig.client(), await rig.client(), await rig.client()] as const;
    const [one, two, made] = await Promise.all([
      clients[0].ask({ op: 'delete', topic: 'orders' }),
      clients[1].ask({ op: 'delete', topic: 'orders' }),
      clients[2].ask({ op: 'create', topic: 'orders', partitions: 1 }),
    ]);
    expect([one.op, two.op]).toEqual(['deleted', 'deleted']);
    expect(made).toMatchObject({ op: 'created', partitions: 1 });
    await rig.restart();
    const described = await (await rig.client()).ask({ op: 'describe', topic: 'orders' });
    expect(described.state).toEqual([{ partition: 0, epoch: 1, start: 0, highWatermark: 0 }]);
    await rig.stop();
  });
});
