/** Members of groups, as the client library makes them, on a real broker in memory. */
import { describe, expect, it } from 'vitest';
import { type GroupConsumer, type GroupOptions, type GroupRecord, joinGroup } from '../../src/client/groups.ts';
import type { Client } from '../../src/client/index.ts';
import { DiskFault } from '../../src/testing/memory-disk.ts';
import { Rig, turns } from './rig.ts';
import { Site } from './site.ts';
import { upTo } from './wire-client.ts';

const SETTLE_MS = 200;

interface Member {
  readonly consumer: GroupConsumer;
  readonly records: GroupRecord[];
  /** What the loop ended with. */
  readonly ended: Promise<unknown>;
}

function member(
  client: Client,
  options: Partial<GroupOptions>,
  each: (record: GroupRecord) => unknown = () => {},
): Member {
  const consumer = joinGroup(client, { group: 'billing', topics: ['orders'], ...options });
  const records: GroupRecord[] = [];
  const ended = (async () => {
    for await (const record of consumer) {
      records.push(record);
      await each(record);
    }
  })().catch((error: unknown) => error);
  return { consumer, records, ended };
}

function held({ consumer }: Member): string[] {
  return consumer.assignment.map(({ topic, partition }) => `${topic}/${partition}`).sort();
}

function seen({ records }: Member): string[] {
  return records.map(({ partition, offset }) => `${partition}@${offset}`).sort();
}

async function stage(partitions: number, config: Parameters<typeof Rig.start>[0] = {}) {
  const rig = await Rig.start(config);
  const wire = await rig.client();
  await wire.create('orders', { partitions });
  for (let partition = 0; partition < partitions; partition += 1) await wire.publishAll('orders', partition, upTo(3));
  return { rig, wire, site: new Site(rig) };
}

async function committed(rig: Rig): Promise<(number | null)[]> {
  const { partitions } = await (await rig.client()).ask({ op: 'lag', group: 'billing' });
  return partitions.map((row: { committed: number | null }) => row.committed);
}

describe('a member', () => {
  it('is given its share, and commits by itself what its loop is done with', async () => {
    const { rig, site } = await stage(4);
    const members = [member(await site.connect(), { member: 'a' }), member(await site.connect(), { member: 'b' })];
    await site.pass(SETTLE_MS);
    expect(members.map((one) => held(one).length)).toEqual([2, 2]);
    expect(members.flatMap(held).sort()).toEqual(['orders/0', 'orders/1', 'orders/2', 'orders/3']);
    expect(members.flatMap(seen)).toHaveLength(12);
    await site.pass(1500);
    expect(await committed(rig)).toEqual([3, 3, 3, 3]);
    await site.end();
  });

  it('in the mode delivered never commits the record that the loop still has', async () => {
    const { rig, site } = await stage(1);
    let letGo = (): void => {};
    const a = member(await site.connect(), {}, (record) =>
      record.offset === 1 ? new Promise<void>((resolve) => (letGo = resolve)) : undefined,
    );
    await site.pass(SETTLE_MS + 2000);
    expect(await committed(rig)).toEqual([1]);
    letGo();
    await site.pass(2000);
    expect(await committed(rig)).toEqual([3]);
    expect(seen(a)).toEqual(['0@0', '0@1', '0@2']);
    await site.end();
  });

  it('in the mode acked commits up to the first record that is not acked, in whatever order the others are', async () => {
    const { rig, site } = await stage(1);
    const a = member(await site.connect(), { commit: 'acked' });
    await site.pass(SETTLE_MS);
    const ack = (offset: number) => a.records.find((record) => record.offset === offset)?.ack();
    ack(2);
    ack(1);
    await site.pass(1500);
    expect(await committed(rig)).toEqual([null]);
    ack(0);
    await site.pass(1500);
    expect(await committed(rig)).toEqual([3]);
    await site.end();
  });

  it('in the mode acked is sent no more than its credit before it acks', async () => {
    const { site, wire } = await stage(1);
    await wire.publishAll('orders', 0, upTo(20));
    const a = member(await site.connect(), { commit: 'acked', credit: 4 });
    await site.pass(SETTLE_MS);
    expect(a.records).toHaveLength(4);
    for (const record of a.records) record.ack();
    await site.pass(200);
    expect(a.records).toHaveLength(8);
    await site.end();
  });

  it('in the mode off commits what it is told to, those of one turn as one command', async () => {
    const { rig, site } = await stage(2);
    const a = member(await site.connect(), { commit: 'off' });
    await site.pass(SETTLE_MS + 2000);
    expect(await committed(rig)).toEqual([null, null]);
    const commits = Promise.all(a.records.map((record) => record.commit()));
    await site.pass(200);
    expect(await commits).toEqual([3, 3, 3, 3, 3, 3]);
    expect(await committed(rig)).toEqual([3, 3]);
    const refused = a.consumer.commit({ topic: 'orders', partition: 7, offset: 1 });
    await expect(refused).rejects.toMatchObject({ code: 'NOT_ASSIGNED' });
    await site.end();
  });

  it('gives back what it is asked for behind the record in hand, which is not given to the next', async () => {
    const { site, wire } = await stage(2);
    let letGo = (): void => {};
    const asked: string[] = [];
    const a = member(
      await site.connect(),
      {
        member: 'a',
        onRevoke: (partitions) => void asked.push(...partitions.map(({ partition }) => String(partition))),
      },
      (record) => (record.offset === 1 ? new Promise<void>((resolve) => (letGo = resolve)) : undefined),
    );
    await site.pass(SETTLE_MS);
    const b = member(await site.connect(), { member: 'b' });
    await site.pass(SETTLE_MS);
    expect(asked).toHaveLength(1);
    const inHand = a.records.at(-1)?.partition;
    for (let round = 0; round < 4; round += 1) {
      letGo();
      await site.pass(500);
    }
    expect([held(a).length, held(b).length]).toEqual([1, 1]);
    // Nothing was lost and nothing came twice, whichever of the two was in hand.
    expect([...seen(a), ...seen(b)].sort()).toEqual(['0@0', '0@1', '0@2', '1@0', '1@1', '1@2']);
    expect(inHand).toBeDefined();
    await wire.publishAll('orders', 0, [1]);
    await wire.publishAll('orders', 1, [1]);
    await site.pass(500);
    expect([...seen(a), ...seen(b)]).toHaveLength(8);
    await site.end();
  });

  it('leaves when it is closed: others go on behind what it was done with, at once', async () => {
    const { site } = await stage(2);
    const a = member(await site.connect(), { member: 'a' });
    const b = member(await site.connect(), { member: 'b' });
    await site.pass(SETTLE_MS);
    const closing = a.consumer.close();
    await site.pass(100);
    await closing;
    expect(await a.ended).toBeUndefined();
    expect(held(b)).toEqual(['orders/0', 'orders/1']);
    expect([...seen(a), ...seen(b)].sort()).toHaveLength(6);
    await expect(a.consumer.commit({ topic: 'orders', partition: 0, offset: 1 })).rejects.toMatchObject({
      code: 'CLOSED',
    });
    await site.end();
  });

  it('leaves when its loop is left, and the record that it was left with comes again', async () => {
    const { site } = await stage(1);
    const client = await site.connect();
    const taken: number[] = [];
    const looping = (async () => {
      for await (const record of joinGroup(client, { group: 'billing', topics: ['orders'] })) {
        taken.push(record.offset);
        if (record.offset === 1) break;
      }
    })();
    await site.pass(SETTLE_MS + 200);
    await looping;
    const b = member(client, { member: 'b' });
    await site.pass(SETTLE_MS);
    expect([taken, seen(b)]).toEqual([
      [0, 1],
      ['0@1', '0@2'],
    ]);
    await site.end();
  });

  it('waits on closing for what the loop has in hand, as long as it is told to', async () => {
    const { rig, site } = await stage(1);
    const a = member(await site.connect(), { commit: 'acked' });
    await site.pass(SETTLE_MS);
    const closing = a.consumer.close({ withinMs: 5000 });
    await site.pass(1000);
    for (const record of a.records) record.ack();
    await site.pass(200);
    await closing;
    expect(await committed(rig)).toEqual([3]);
    await site.end();
  });

  it('goes on with the next record when its connection is lost for a moment: nothing twice', async () => {
    const { site, wire, rig } = await stage(2);
    const a = member(await site.connect(), { member: 'a', commitMs: 60_000 });
    await site.pass(SETTLE_MS);
    site.sockets[0]?.cut();
    await wire.publishAll('orders', 0, [9]);
    await site.pass(3000);
    expect(seen(a)).toEqual(['0@0', '0@1', '0@2', '0@3', '1@0', '1@1', '1@2']);
    expect(a.consumer.assignment.map(({ generation }) => generation)).toEqual([1, 1]);
    const drained = a.consumer.settled;
    await site.pass(200);
    await drained;
    expect(await committed(rig)).toEqual([4, 3]);
    await site.end();
  });

  it.each(['a deploy', 'a kill'])('goes on across %s of the broker with what it had, nothing twice', async (what) => {
    const { rig, site } = await stage(4);
    const members = [member(await site.connect(), { member: 'a' }), member(await site.connect(), { member: 'b' })];
    await site.pass(SETTLE_MS);
    const before = members.map(held);
    if (what === 'a kill') await site.kill();
    else {
      const stopping = rig.broker.stop();
      await site.pass(3000);
      await stopping;
      await rig.again();
    }
    await site.pass(8000);
    const wire = await rig.client();
    for (const partition of upTo(4)) await wire.publishAll('orders', partition, [7]);
    await site.pass(1000);
    expect(members.map(held)).toEqual(before);
    expect(members.flatMap(seen)).toHaveLength(16);
    expect(new Set(members.flatMap(seen)).size).toBe(16);
    expect(members[0]?.consumer.assignment.map(({ generation }) => generation)).toEqual([1, 1]);
    await site.end();
  });

  it('goes on with a partition whose reads have failed for a while, and with the others meanwhile', async () => {
    const { rig, site } = await stage(2);
    // Nothing is left in memory: it is read from the disk.
    await site.kill();
    let failing = true;
    const errors: string[] = [];
    rig.disk.onCall = (op) => {
      if (op === 'read' && failing) throw new DiskFault('EIO');
    };
    const client = await site.connect();
    client.on('error', ({ code }) => errors.push(code));
    const one = member(client, { member: 'a' });
    await site.pass(SETTLE_MS);
    expect(errors).toContain('LOG_READ_FAILED');
    expect(seen(one)).toEqual([]);
    failing = false;
    await site.pass(10_000);
    expect(seen(one)).toEqual(['0@0', '0@1', '0@2', '1@0', '1@1', '1@2']);
    expect(held(one)).toEqual(['orders/0', 'orders/1']);
    await site.end();
  });

  it('ends when another connection joins as the same member', async () => {
    const { site } = await stage(1);
    const a = member(await site.connect(), { member: 'a' });
    await site.pass(SETTLE_MS);
    const taker = member(await site.connect(), { member: 'a' });
    await site.pass(SETTLE_MS);
    expect(await a.ended).toMatchObject({ code: 'MEMBER_TAKEN' });
    expect(held(taker)).toEqual(['orders/0']);
    await site.end();
  });

  it('ends with its signal, and others get what it had at once', async () => {
    const { site } = await stage(2);
    const abort = new AbortController();
    const a = member(await site.connect(), { member: 'a', signal: abort.signal });
    const b = member(await site.connect(), { member: 'b' });
    await site.pass(SETTLE_MS);
    abort.abort();
    await site.pass(100);
    expect(await a.ended).toBeUndefined();
    expect(held(b)).toHaveLength(2);
    await site.end();
  });

  it('tells a gap where its loop comes to one', async () => {
    const { site, rig } = await stage(1);
    const client = await site.connect();
    const gaps: unknown[] = [];
    client.on('gap', ({ topic, partition, from, to, subscription }) =>
      gaps.push([topic, partition, from, to, subscription]),
    );
    const a = member(client, { member: 'a' });
    await site.pass(SETTLE_MS);
    a.consumer.take(
      {
        op: 'gap',
        subscription: 1,
        topic: 'orders',
        partition: 0,
        reason: 'retention',
        from: 3,
        to: 9,
        epoch: 1,
        offset: 9,
      },
      new Uint8Array(),
    );
    await turns();
    expect(gaps).toEqual([['orders', 0, 3, 9, a.consumer]]);
    expect(a.consumer.assignment[0]?.offset).toBe(9);
    expect(rig.broker.port).not.toBeNull();
    await site.end();
  });

  it('refuses to join without a topic, and on a closed client', async () => {
    const { site } = await stage(1);
    const client = await site.connect();
    expect(() => joinGroup(client, { group: 'g', topics: [] })).toThrow(
      expect.objectContaining({ code: 'BAD_REQUEST' }),
    );
    await site.end();
    expect(() => joinGroup(client, { group: 'g', topics: ['t'] })).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });
});
