/** Commits: how far a group has come, durable and never going back. */
import { describe, expect, it } from 'vitest';
import { Rig, turns } from '../broker/rig.ts';
import { upTo, type WireClient } from '../broker/wire-client.ts';

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
    await client.publishAll('orders', 0, upTo(5));
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
    await client.publishAll('orders', 0, upTo(5));
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
    await client.publishAll('orders', 0, upTo(5));
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
    await client.publishAll('orders', 0, upTo(50));
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
    await client.publishAll('orders', 0, upTo(5));
    const consumer = await group(rig);
    const hold = rig.holdWrites('/log/');
    expect(await commit(consumer, 3)).toBeUndefined();
    hold.release();
    await turns();
    expect(consumer.of('committed')).toMatchObject([{ offset: 3 }]);
    await rig.stop();
  });
});
