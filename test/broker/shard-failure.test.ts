/** One shard that cannot go on: its siblings serve, and everyone who needs it is told. */
import { describe, expect, it } from 'vitest';
import { DATA, Rig, topicOn, turns } from './rig.ts';

const [zero, one] = [topicOn(0), topicOn(1)];

interface ShownShard {
  readonly id: string;
  readonly state: string;
  readonly detail: string | null;
}

async function serving(): Promise<Rig> {
  const rig = await Rig.start();
  const client = await rig.client();
  for (const topic of [zero, one]) {
    await client.create(topic);
    await client.ask({ op: 'publish', topic, value: topic });
  }
  client.socket.close();
  await turns();
  return rig;
}

const shownShards = (rig: Rig): ShownShard[] => rig.broker.status['shards'] as ShownShard[];

describe('a log that is corrupt at the start', () => {
  async function corrupted(): Promise<Rig> {
    const rig = await serving();
    const client = await rig.client();
    await client.ask({ op: 'publish', topic: zero, value: 'behind the damage' });
    await rig.stop();
    const path = rig.disk.paths.find((name) => name.includes('shards/00/log'));
    if (path === undefined) throw new Error('shard 0 has no log');
    // Both meta and tail are good; the damage lies in the middle, where nothing may be cut.
    rig.meta.disk(`${DATA}/shards/00/meta`).clear();
    rig.damage(path, 80);
    await rig.again();
    return rig;
  }

  it('fails its shard alone: the other serves', async () => {
    const rig = await corrupted();
    const client = await rig.client();
    expect(await client.ask({ op: 'publish', topic: one, value: 2 })).toMatchObject({ op: 'published', offset: 1 });
    const reply = await client.ask({ op: 'subscribe', topic: one, from: 'earliest' });
    expect(reply).toMatchObject({ op: 'subscribed' });
    await turns();
    expect(client.delivered().get(0)).toEqual([one, 2]);
    await rig.stop();
  });

  it('answers for its topics with SHARD_FAILED, to be retried, and makes none anew in their place', async () => {
    const rig = await corrupted();
    const client = await rig.client();
    for (const command of [
      { op: 'publish', topic: zero, value: 1 },
      { op: 'create', topic: zero },
      { op: 'subscribe', topic: zero },
    ]) {
      const reply = await client.ask(command);
      expect(reply).toMatchObject({ op: 'error', code: 'SHARD_FAILED', retryable: true });
      expect(reply.retryAfterMs).toBeGreaterThan(0);
    }
    await rig.stop();
  });

  it('is shown by the status, and the end is told as failed with exit code 21', async () => {
    const rig = await corrupted();
    const [failed, good] = shownShards(rig);
    expect(failed).toMatchObject({ id: 'shard-00', state: 'failed' });
    expect(failed?.detail).toMatch(/shards\/00\/log/);
    expect(good).toMatchObject({ id: 'shard-01', state: 'ready' });
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'failed', exitCode: 21, lost: 0 });
    expect(report.children.find(({ id }) => id === 'shard-01')).toMatchObject({ state: 'released' });
    expect(rig.disk.openFiles).toBe(0);
  });

  it('is not changed by it: the damaged file stays as it was', async () => {
    const rig = await corrupted();
    const path = rig.disk.paths.find((name) => name.includes('shards/00/log')) as string;
    const before = Buffer.from(rig.disk.bytesOf(path));
    await rig.stop();
    expect(Buffer.from(rig.disk.bytesOf(path)).equals(before)).toBe(true);
  });

  it('on every shard keeps the broker from starting, with everything let go', async () => {
    const rig = await serving();
    await rig.stop();
    for (const path of rig.disk.paths.filter((name) => name.includes('/log/'))) rig.damage(path, 2);
    await expect(rig.again()).rejects.toThrow(/shard-00.*shard-01/);
    expect(rig.disk.openFiles).toBe(0);
    expect(rig.clock.pending).toBe(0);
    expect(await rig.broker.ended).toMatchObject({ outcome: 'start-failed', exitCode: 1 });
  });
});

describe('writes that fail while it runs', () => {
  it('fail the shard after some tries: what was under way is unknown, what comes is refused', async () => {
    const rig = await serving();
    const client = await rig.client();
    rig.failWrites('shards/00/log', 'EIO');
    const first = await client.ask({ op: 'publish', topic: zero, value: 1 });
    expect(first).toMatchObject({ op: 'error', code: 'OUTCOME_UNKNOWN', retryable: true });
    const next = await client.ask({ op: 'publish', topic: zero, value: 2 });
    expect(next).toMatchObject({ op: 'error', code: 'SHARD_FAILED', retryable: true });
    expect(next.retryAfterMs).toBeGreaterThan(0);
    expect(await client.ask({ op: 'publish', topic: one, value: 1 })).toMatchObject({ op: 'published' });
    expect(shownShards(rig)[0]).toMatchObject({ state: 'failed' });
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'failed', exitCode: 21 });
    expect(rig.disk.openFiles).toBe(0);
  });

  it('once are repeated in a fresh segment, and nobody hears of it', async () => {
    const rig = await serving();
    const client = await rig.client();
    let failures = 0;
    rig.disk.onCall = (op, path) => {
      if (op !== 'write' || !path.includes('shards/00/log') || failures > 0) return;
      failures += 1;
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    };
    expect(await client.ask({ op: 'publish', topic: zero, value: 1 })).toMatchObject({ op: 'published', offset: 1 });
    expect(failures).toBe(1);
    expect((await rig.stop()).outcome).toBe('clean');
  });

  it('are told to consumers at the tail of that shard, and to those behind', async () => {
    const rig = await serving();
    const [tail, behind, other] = [await rig.client(), await rig.client(), await rig.client()];
    await tail.ask({ op: 'subscribe', topic: zero });
    await behind.ask({ op: 'subscribe', topic: zero, from: 'earliest', credit: 1 });
    await other.ask({ op: 'subscribe', topic: one });
    rig.failWrites('shards/00/log', 'EIO');
    await other.ask({ op: 'publish', topic: zero, value: 1 });
    await turns();
    expect(tail.of('error')).toMatchObject([{ code: 'SHARD_FAILED', subscription: 1, partition: 0, retryable: true }]);
    expect(behind.of('error')).toMatchObject([{ code: 'SHARD_FAILED', subscription: 1, partition: 0 }]);
    await other.ask({ op: 'publish', topic: one, value: 2 });
    expect(other.delivered().get(0)).toEqual([2]);
    await rig.stop();
  });

  it('wake publishers that the shard had paused', async () => {
    const rig = await Rig.start({ shardQueueBytes: 65_536 });
    const client = await rig.client();
    await client.create(zero);
    const hold = rig.holdWrites('shards/00/log');
    const value = 'x'.repeat(20_000);
    for (let id = 0; id < 10; id += 1) client.send({ op: 'publish', id, topic: zero, value });
    await turns(20);
    expect(client.socket.bufferedBytes).toBeGreaterThan(0);
    hold.release();
    rig.failWrites('shards/00/log', 'EIO');
    await turns(50);
    const answered = client.all.filter(({ reply }) => typeof reply.id === 'number').map(({ reply }) => reply.id);
    expect(answered).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(client.socket.bufferedBytes).toBe(0);
    await rig.stop();
  });

  it('that hang are answered as unknown after a while, and not again when they come back', async () => {
    const rig = await serving();
    const client = await rig.client();
    const hold = rig.holdWrites('shards/00/log');
    client.send({ op: 'publish', id: 1, topic: zero, value: 'late' });
    await rig.pass(4000);
    expect(client.replyTo(1)).toBeUndefined();
    await rig.pass(3000);
    expect(client.replyTo(1)).toMatchObject({ op: 'error', code: 'OUTCOME_UNKNOWN' });
    expect(client.replyTo(1).message).not.toContain('full');
    hold.release();
    await turns();
    expect(client.all.filter(({ reply }) => reply.id === 1)).toHaveLength(1);
    await client.ask({ op: 'subscribe', topic: zero, from: 'earliest' });
    await turns();
    expect(client.delivered().get(0)).toEqual([zero, 'late']);
    await rig.stop();
  });

  it('lose nothing that was acknowledged: the next start has it', async () => {
    const rig = await serving();
    const client = await rig.client();
    await client.ask({ op: 'publish', topic: zero, value: 'kept' });
    rig.failWrites('shards/00/log', 'EIO');
    await client.ask({ op: 'publish', topic: zero, value: 'unknown' });
    await rig.stop();
    rig.disk.onCall = null;
    await rig.again();
    const again = await rig.client();
    await again.ask({ op: 'subscribe', topic: zero, from: 'earliest' });
    await turns();
    expect(again.delivered().get(0)?.slice(0, 2)).toEqual([zero, 'kept']);
    expect((await rig.stop()).outcome).toBe('clean');
  });
});

describe('a full disk', () => {
  it('refuses publishes while reads and commits go on, and takes them again when there is space', async () => {
    const rig = await serving();
    const client = await rig.client();
    await client.ask({ op: 'subscribe', topic: zero, group: 'billing' });
    // Under the mark, and with room for what must go on.
    rig.disk.capacityBytes = rig.disk.usedBytes + 1024 ** 2;
    await rig.pass(1100);
    const refused = await client.ask({ op: 'publish', topic: zero, value: 1 });
    expect(refused).toMatchObject({ op: 'error', code: 'DISK_FULL', retryable: true });
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    expect(client.delivered().get(0)).toEqual([zero]);
    expect(await client.ask({ op: 'commit', subscription: 1, partition: 0, offset: 1 })).toMatchObject({ offset: 1 });
    rig.disk.capacityBytes = 1024 ** 3;
    await rig.pass(1100);
    expect(await client.ask({ op: 'publish', topic: zero, value: 1 })).toMatchObject({ op: 'published' });
    expect((await rig.stop()).outcome).toBe('clean');
  });

  it('met by a write is waited out: the write is repeated and answered once', async () => {
    const rig = await serving();
    const client = await rig.client();
    rig.failWrites('shards/00/log', 'ENOSPC');
    rig.disk.capacityBytes = 0;
    client.send({ op: 'publish', id: 1, topic: zero, value: 'waits' });
    await rig.pass(2000);
    expect(client.replyTo(1)).toBeUndefined();
    expect(await client.ask({ op: 'publish', topic: zero, value: 'refused' })).toMatchObject({ code: 'DISK_FULL' });
    rig.disk.onCall = null;
    rig.disk.capacityBytes = 1024 ** 3;
    await rig.pass(2000);
    expect(client.replyTo(1)).toMatchObject({ op: 'published', offset: 1 });
    expect((await rig.stop()).outcome).toBe('clean');
  });
});
