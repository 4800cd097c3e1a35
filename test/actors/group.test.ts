/** Consumer groups in a whole broker: who is given what, what moves and when, and who is refused. */
import { describe, expect, it } from 'vitest';
import { expectNothingLeft, Rig, turns } from '../broker/rig.ts';
import { upTo } from '../broker/wire-client.ts';
import { GroupClient } from './group-client.ts';

const SETTLE_MS = 100;
const GRACE_MS = 10_000;

async function rigWith(partitions: number, config: Parameters<typeof Rig.start>[0] = {}): Promise<Rig> {
  const rig = await Rig.start(config);
  const client = await rig.client();
  await client.create('orders', { partitions });
  for (let partition = 0; partition < partitions; partition += 1) await client.publishAll('orders', partition, upTo(3));
  return rig;
}

/** Members of one group that have what they are to have. */
async function members(rig: Rig, ...names: string[]): Promise<GroupClient[]> {
  const joined: GroupClient[] = [];
  for (const name of names) joined.push(await GroupClient.join(rig, name));
  await rig.pass(SETTLE_MS);
  return joined;
}

describe('a group', () => {
  it('deals the partitions once to those who join together, and delivers each to its owner alone', async () => {
    const rig = await rigWith(4);
    const [a, b] = (await members(rig, 'a', 'b')) as [GroupClient, GroupClient];
    expect(a.partitions).toEqual(['orders/0', 'orders/2']);
    expect(b.partitions).toEqual(['orders/1', 'orders/3']);
    expect([...a.delivered()].sort()).toEqual([
      ['orders/0', [0, 1, 2]],
      ['orders/2', [0, 1, 2]],
    ]);
    expect([...b.delivered().keys()].sort()).toEqual(['orders/1', 'orders/3']);
    expect(a.wire.of('assigned')).toHaveLength(1);
    await rig.stop();
  });

  it('asks back only what moves, delivers nothing more of it, and gives it on behind its last commit', async () => {
    const rig = await rigWith(4);
    const [a] = (await members(rig, 'a')) as [GroupClient];
    const [b] = (await members(rig, 'b')) as [GroupClient];
    expect(a.look().asked.size).toBe(2);
    expect(b.partitions).toEqual([]);
    const [moving = ''] = a.asked;
    const kept = a.partitions.find((key) => !a.asked.has(key)) ?? '';
    const publisher = await rig.client();
    for (const key of [moving, kept]) await publisher.publishAll('orders', Number(key.split('/')[1]), [99]);
    expect(a.delivered().get(moving)).toEqual([0, 1, 2]);
    expect(a.delivered().get(kept)).toEqual([0, 1, 2, 3]);
    expect(await a.commit(moving, 2)).toMatchObject({ op: 'committed', topic: 'orders', offset: 2 });
    expect(await a.release()).toMatchObject({ op: 'released' });
    expect(b.partitions).toHaveLength(2);
    expect(b.delivered().get(moving)).toEqual([2, 3]);
    expect(a.partitions).toHaveLength(2);
    await rig.stop();
  });

  it('fences an owner that does not give back in time', async () => {
    const rig = await rigWith(2, { groupRevokeMs: 3000 });
    const [a] = (await members(rig, 'a')) as [GroupClient];
    const [b] = (await members(rig, 'b')) as [GroupClient];
    const [moving = ''] = a.look().asked;
    await rig.pass(2800);
    expect(b.partitions).toEqual([]);
    expect(await a.commit(moving, 1)).toMatchObject({ op: 'committed' });
    await rig.pass(400);
    expect(b.partitions).toEqual([moving]);
    expect(await a.commit(moving, 3, 1)).toMatchObject({ op: 'error', code: 'NOT_ASSIGNED', retryable: false });
    expect(b.delivered().get(moving)).toEqual([1, 2]);
    await rig.stop();
  });

  it('refuses a commit of another generation, of a partition of another, and beyond the end, and says why', async () => {
    const rig = await rigWith(2);
    const [a, b] = (await members(rig, 'a', 'b')) as [GroupClient, GroupClient];
    const [own = ''] = a.partitions;
    const [other = ''] = b.partitions;
    expect(await a.commit(own, 1, 0)).toMatchObject({ op: 'error', code: 'STALE_GENERATION' });
    expect((await a.commit(own, 1, 7)).message).toContain('since generation 1; got 7');
    expect((await a.commit(own, 1, undefined)).op).toBe('committed');
    expect(await a.commit(other, 1, 1)).toMatchObject({ op: 'error', code: 'NOT_ASSIGNED' });
    const beyond = await a.commit(own, 4);
    expect(beyond).toMatchObject({ op: 'error', code: 'OFFSET_OUT_OF_RANGE' });
    expect(beyond.message).toContain('0 to 3');
    const { offsets, refused } = await a.wire.ask({
      op: 'commit',
      subscription: a.subscription,
      offsets: [
        { topic: 'orders', partition: 0, offset: 2, generation: 1 },
        { topic: 'orders', partition: 1, offset: 2, generation: 1 },
      ],
    });
    expect(offsets).toEqual([{ topic: 'orders', partition: 0, offset: 2 }]);
    expect(refused).toMatchObject([{ topic: 'orders', partition: 1, code: 'NOT_ASSIGNED', retryable: false }]);
    await rig.stop();
  });

  it('lets nobody commit who is no member, while it has members', async () => {
    const rig = await rigWith(1);
    const plain = await rig.client();
    await plain.ask({ op: 'subscribe', topic: 'orders', group: 'billing' });
    const commit = () => plain.ask({ op: 'commit', subscription: 1, partition: 0, offset: 1 });
    expect(await commit()).toMatchObject({ op: 'committed' });
    const [a] = (await members(rig, 'a')) as [GroupClient];
    expect(await commit()).toMatchObject({ op: 'error', code: 'NOT_ASSIGNED' });
    await a.leave();
    expect(await commit()).toMatchObject({ op: 'committed' });
    await rig.stop();
  });

  it('gives what a member had to others in the turn in which it leaves', async () => {
    const rig = await rigWith(4);
    const [a, b] = (await members(rig, 'a', 'b')) as [GroupClient, GroupClient];
    await a.commit('orders/0', 2);
    expect(await a.leave()).toMatchObject({ op: 'left' });
    expect(b.partitions).toHaveLength(4);
    expect(b.delivered().get('orders/0')).toEqual([2]);
    expect(await a.commit('orders/0', 3, 1)).toMatchObject({ code: 'UNKNOWN_SUBSCRIPTION' });
    await rig.stop();
  });

  it('waits for a member whose connection was lost, and gives it back what it had with nothing moved', async () => {
    const rig = await rigWith(4);
    const [a, b] = (await members(rig, 'a', 'b')) as [GroupClient, GroupClient];
    a.cut();
    await rig.pass(GRACE_MS - 500);
    expect(b.partitions).toHaveLength(2);
    const again = await GroupClient.join(rig, 'a', {
      positions: [{ topic: 'orders', partition: 0, generation: 1, offset: 3 }],
    });
    expect(again.partitions).toEqual(['orders/0', 'orders/2']);
    expect([...again.owned.values()]).toEqual([1, 1]);
    // One resumes where it stands, of the other it said nothing.
    expect([...again.delivered()]).toEqual([['orders/2', [0, 1, 2]]]);
    await rig.pass(GRACE_MS);
    expect(b.partitions).toHaveLength(2);
    again.cut();
    await rig.pass(GRACE_MS + 200);
    expect(b.partitions).toHaveLength(4);
    await rig.stop();
  });

  it('gives a member up that is silent, without another grace, and cuts it with 4101', async () => {
    const rig = await rigWith(2);
    const [a, b] = (await members(rig, 'a', 'b')) as [GroupClient, GroupClient];
    a.wire.socket.answersPings = false;
    await rig.pass(13_000, 100);
    expect(b.partitions).toHaveLength(2);
    expect(a.wire.socket.closed).toMatchObject({ code: 4101 });
    expect(b.wire.socket.closed).toBeNull();
    await rig.stop();
  });

  it('knows one connection per member: the newest, and tells the other', async () => {
    const rig = await rigWith(2);
    const [a] = (await members(rig, 'a')) as [GroupClient];
    const taker = await GroupClient.join(rig, 'a');
    expect(taker.partitions).toHaveLength(2);
    expect(a.wire.of('error')).toMatchObject([{ code: 'MEMBER_TAKEN', subscription: a.subscription }]);
    expect(await a.commit('orders/0', 1, 1)).toMatchObject({ code: 'UNKNOWN_SUBSCRIPTION' });
    expect(await taker.commit('orders/0', 1)).toMatchObject({ op: 'committed' });
    await rig.stop();
  });

  it.each(['a clean restart', 'a kill'])('is known behind %s: members get what they had at once', async (end) => {
    const rig = await rigWith(4);
    const [a, b] = (await members(rig, 'a', 'b')) as [GroupClient, GroupClient];
    await a.commit('orders/0', 1);
    const before = [a.partitions, b.partitions];
    if (end === 'a kill') await rig.crash();
    else await rig.restart();
    const b2 = await GroupClient.join(rig, 'b');
    expect(b2.partitions).toEqual(before[1]);
    const c = await GroupClient.join(rig, 'c');
    await rig.pass(1000);
    expect(c.partitions).toEqual([]);
    const a2 = await GroupClient.join(rig, 'a');
    // All are back, so the newcomer is dealt to: one of what nobody had begun with, and no more.
    expect([a2.partitions.length, b2.partitions.length, c.partitions.length]).toEqual([1, 2, 1]);
    expect([...a2.owned]).toEqual([['orders/0', 1]]);
    expect([...c.owned.values()]).toEqual([2]);
    expect(b2.asked.size).toBe(0);
    expect(a2.delivered().get('orders/0')).toEqual([1, 2]);
    await rig.stop();
  });

  it('shares what those had who do not come back behind a restart, once they had their time', async () => {
    const rig = await rigWith(4);
    await members(rig, 'a', 'b');
    await rig.crash();
    const b = await GroupClient.join(rig, 'b');
    await rig.pass(29_000);
    expect(b.partitions).toHaveLength(2);
    await rig.pass(1500);
    expect(b.partitions).toHaveLength(4);
    await rig.stop();
  });

  it('stands still while the broker drains: nobody is given up, a cancelled drain gives all time anew', async () => {
    const rig = await rigWith(2);
    const [a, b] = (await members(rig, 'a', 'b')) as [GroupClient, GroupClient];
    rig.broker.drain();
    await rig.pass(200);
    a.cut();
    await rig.pass(2 * GRACE_MS);
    expect(b.partitions).toHaveLength(1);
    expect(await (await rig.client()).ask({ op: 'ping' })).toBeUndefined();
    rig.broker.cancelDrain();
    await rig.pass(GRACE_MS - 1500);
    expect(b.partitions).toHaveLength(1);
    const again = await GroupClient.join(rig, 'a');
    expect(again.partitions).toHaveLength(1);
    await rig.stop();
  });

  it('shares several topics, takes in one that is made later, and lets go of one that is deleted', async () => {
    const rig = await rigWith(2);
    const client = await rig.client();
    const a = await GroupClient.join(rig, 'a', { topics: ['orders', 'refunds'] });
    const b = await GroupClient.join(rig, 'b', { topics: ['orders', 'refunds'] });
    await rig.pass(SETTLE_MS);
    expect([a.partitions.length, b.partitions.length]).toEqual([2, 2]);
    await client.ask({ op: 'delete', topic: 'orders' });
    await turns();
    await Promise.all([a.release(), b.release()]);
    expect([...a.partitions, ...b.partitions].sort()).toEqual(['refunds/0', 'refunds/1']);
    await client.create('orders', { partitions: 3 });
    await turns();
    await Promise.all([a.release(), b.release()]);
    expect([a.partitions.length, b.partitions.length].sort()).toEqual([2, 3]);
    await rig.stop();
  });

  it('begins at the end when it is asked to, and skips nothing that comes later', async () => {
    const rig = await rigWith(1);
    const a = await GroupClient.join(rig, 'a', { from: 'latest' });
    await rig.pass(SETTLE_MS);
    expect(a.delivered().size).toBe(0);
    a.cut();
    await rig.pass(GRACE_MS + 200);
    await (await rig.client()).publishAll('orders', 0, [7]);
    const b = await GroupClient.join(rig, 'b', { from: 'latest' });
    await rig.pass(SETTLE_MS);
    expect(b.delivered().get('orders/0')).toEqual([3]);
    await rig.stop();
  });

  it('delivers within the credit of the member, over all its partitions', async () => {
    const rig = await rigWith(2);
    const a = await GroupClient.join(rig, 'a', { credit: 4 });
    await rig.pass(SETTLE_MS);
    const count = () => [...a.delivered().values()].flat().length;
    expect(count()).toBe(4);
    a.wire.send({ op: 'credit', subscription: a.subscription, records: 10 });
    await turns();
    expect(count()).toBe(6);
    await rig.stop();
  });

  it('refuses another version, too many members, too many groups, each by its code', async () => {
    const rig = await rigWith(1, { groupsMax: 2, groupMembersMax: 1 });
    const wire = await rig.client();
    const join = (group: string, member: string, more = {}) =>
      wire.ask({ op: 'join', group, member, topics: ['orders'], ...more });
    const other = await join('g1', 'm', { version: 2 });
    expect(other).toMatchObject({ op: 'error', code: 'UNSUPPORTED_VERSION' });
    expect(other.message).toContain('this broker knows 1');
    expect(await join('g1', 'm')).toMatchObject({ op: 'joined' });
    expect(await join('g1', 'n')).toMatchObject({ op: 'error', code: 'LIMIT_EXCEEDED' });
    expect(await join('g2', 'm')).toMatchObject({ op: 'joined' });
    expect(await join('g3', 'm')).toMatchObject({ op: 'error', code: 'LIMIT_EXCEEDED' });
    expect(await wire.ask({ op: 'release', subscription: 1, partitions: [{ topic: 'orders', partition: 0 }] })).toEqual(
      {
        op: 'released',
        id: expect.anything(),
        subscription: 1,
      },
    );
    await wire.ask({ op: 'subscribe', topic: 'orders' });
    expect(
      await wire.ask({ op: 'release', subscription: 3, partitions: [{ topic: 'orders', partition: 0 }] }),
    ).toMatchObject({ code: 'BAD_REQUEST' });
    await rig.stop();
  });

  it('takes 10,000 groups, refuses one more by its code, and knows all of them behind a kill', {
    timeout: 120_000,
  }, async () => {
    const rig = await rigWith(1);
    const wires = await Promise.all(Array.from({ length: 41 }, () => rig.client()));
    for (let at = 0; at <= 10_000; at += 1) {
      wires[at % 41]?.send({ op: 'join', id: at, group: `g${at}`, member: 'm', topics: ['orders'] });
      if (at % 500 === 0) await turns();
    }
    await rig.pass(200);
    const refused = wires.flatMap((wire) => wire.of('error'));
    expect(refused).toMatchObject([{ id: 10_000, code: 'LIMIT_EXCEEDED' }]);
    expect(refused[0].message).toContain('there are 10000 groups; at most 10000 are allowed');
    expect(wires.flatMap((wire) => wire.of('assigned'))).toHaveLength(10_000);
    expect(await rig.broker.metrics()).toContain('sluice_group_members{state="present"} 10000');
    await rig.crash();
    const { groups } = await (await rig.client()).ask({ op: 'groups' });
    expect(groups).toHaveLength(10_000);
    expect(groups[7]).toMatchObject({
      state: 'preparing',
      generation: 1,
      members: [{ present: false, partitions: 1 }],
    });
    const back = await GroupClient.join(rig, 'm', { group: 'g77' });
    expect(back.partitions).toEqual(['orders/0']);
    await rig.stop();
  });

  it('begins behind every generation of a group that was forgotten for it', async () => {
    const rig = await rigWith(1, { groupsMax: 1, shards: 1 });
    for (let round = 0; round < 3; round += 1) {
      const [a] = (await members(rig, 'a')) as [GroupClient];
      await a.leave();
    }
    const b = await GroupClient.join(rig, 'b', { group: 'other' });
    await rig.pass(SETTLE_MS);
    expect(b.partitions).toEqual(['orders/0']);
    expect([...b.owned.values()][0]).toBe(4);
    await rig.crash();
    const again = await GroupClient.join(rig, 'b', { group: 'other' });
    expect(again.partitions).toEqual(['orders/0']);
    expect([...again.owned.values()]).toEqual([...b.owned.values()]);
    await rig.stop();
  });

  it('tells of itself: state, members, lag in records, bytes and time', async () => {
    const rig = await rigWith(2);
    const [a] = (await members(rig, 'a')) as [GroupClient];
    await a.commit('orders/0', 3);
    await a.commit('orders/1', 1);
    await rig.pass(5000);
    const { groups } = await a.wire.ask({ op: 'groups' });
    expect(groups).toEqual([
      {
        group: 'billing',
        state: 'stable',
        generation: 1,
        members: [{ member: 'a', present: true, topics: ['orders'], partitions: 2 }],
        rebalances: 1,
      },
    ]);
    const { partitions } = await a.wire.ask({ op: 'lag', group: 'billing' });
    expect(partitions).toMatchObject([
      { topic: 'orders', partition: 0, member: 'a', committed: 3, highWatermark: 3, records: 0, bytes: 0, ms: 0 },
      { topic: 'orders', partition: 1, member: 'a', committed: 1, highWatermark: 3, records: 2 },
    ]);
    expect(partitions[1].bytes).toBeGreaterThan(20);
    expect(partitions[1].ms).toBeGreaterThanOrEqual(5000);
    expect((await a.wire.ask({ op: 'lag', group: 'nobody' })).partitions).toEqual([]);
    await rig.stop();
  });

  it('leaves nothing behind when the broker stops', async () => {
    const rig = await rigWith(2);
    const [a] = (await members(rig, 'a', 'b')) as [GroupClient];
    a.cut();
    await rig.stop();
    await expectNothingLeft(rig);
  });

  it('ends for its members when its shard fails, and they are told to come again', async () => {
    const rig = await rigWith(2, { shards: 1 });
    const [a] = (await members(rig, 'a')) as [GroupClient];
    for (let tries = 0; tries < 3; tries += 1) rig.failWrites('shards/00/log', 'EIO');
    await (await rig.client()).ask({ op: 'publish', topic: 'orders', partition: 0, value: 1 });
    await rig.pass(200);
    expect(a.wire.of('error').at(-1)).toMatchObject({ code: 'SHARD_FAILED', retryable: true });
    await rig.stop();
  });
});
