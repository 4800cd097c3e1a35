/** Shutdowns in which something hangs or fails: each is named, bounded in time, and never called clean. */
import { describe, expect, it } from 'vitest';
import { Rig, topicOn, turns } from './rig.ts';

const zero = topicOn(0);
const one = topicOn(1);

describe('a write that hangs', () => {
  async function hung(config: object = {}) {
    const rig = await Rig.start({ gracePeriodMs: 8000, ...config });
    const [client, other] = [await rig.client(), await rig.client()];
    await client.create(zero);
    await other.create(one);
    const hold = rig.holdWrites('shards/00/log');
    client.send({ op: 'publish', id: 1, topic: zero, value: 'hung' });
    await turns();
    return { rig, client, other, hold };
  }

  it('has its shard abandoned in time and named; its siblings are released', async () => {
    const { rig, client } = await hung();
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'abandoned', exitCode: 20, unknown: 1, lost: 0, unaccounted: [] });
    expect(report.durationMs).toBeLessThanOrEqual(6000);
    const [failed, good] = report.children;
    expect(failed).toMatchObject({ id: 'shard-00', state: 'abandoned' });
    expect(failed?.detail).toMatch(/finish publishes|write/);
    expect(good).toMatchObject({ id: 'shard-01', state: 'released' });
    expect(client.replyTo(1)).toMatchObject({ op: 'error', code: 'OUTCOME_UNKNOWN', retryable: true });
    // Told before it was closed.
    expect(client.socket.closed).toMatchObject({ code: 1012 });
    expect(rig.clock.pending).toBe(0);
  });

  it('that comes back late changes nothing, and what it held is let go then', async () => {
    const { rig, client, hold } = await hung();
    await rig.stop();
    const lines = rig.logger.lines.length;
    const answers = client.all.length;
    hold.release();
    await turns(20);
    expect(client.all.length).toBe(answers);
    expect(
      rig.logger
        .messages()
        .slice(lines)
        .filter((message) => message.includes('released')),
    ).toEqual([]);
    expect(rig.disk.openFiles).toBe(0);
    rig.disk.onCall = null;
    await rig.again();
    const again = await rig.client();
    await again.ask({ op: 'subscribe', topic: zero, from: 'earliest' });
    await turns();
    expect(again.delivered().get(0)).toEqual(['hung']);
    await rig.stop();
  });

  it('does not keep what came behind the barrier from its answer', async () => {
    const { rig, client } = await hung();
    const stopping = rig.broker.stop();
    await rig.pass(1);
    expect(await client.ask({ op: 'publish', topic: zero, value: 2 })).toMatchObject({ code: 'DRAINING' });
    await rig.until(stopping);
  });

  it('of the checkpoint has its shard abandoned with that named', async () => {
    const rig = await Rig.start({ gracePeriodMs: 8000 });
    const client = await rig.client();
    await client.create(zero);
    await client.ask({ op: 'publish', topic: zero, value: 1 });
    rig.meta.disk('/memory/data/shards/00/meta').onCall = (call) => {
      return call === 'batch' ? new Promise(() => {}) : undefined;
    };
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'abandoned', exitCode: 20, lost: 0, unknown: 0 });
    expect(report.children[0]).toMatchObject({ id: 'shard-00', state: 'abandoned' });
    expect(report.children[0]?.detail).toContain('checkpoint');
    expect(report.durationMs).toBeLessThanOrEqual(6000);
    expect(rig.clock.pending).toBe(0);
  });

  it('in all shards at once is told for each', async () => {
    const { rig, client, other } = await hung();
    rig.holdWrites('/log/');
    other.send({ op: 'publish', id: 1, topic: one, value: 1 });
    await turns();
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'abandoned', unknown: 2 });
    expect(report.children.filter(({ state }) => state === 'abandoned').map(({ id }) => id)).toEqual([
      'shard-00',
      'shard-01',
    ]);
    for (const waiting of [client, other]) expect(waiting.replyTo(1)).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });
});

describe('an open that hangs', () => {
  it('is given up at the deadline, and its files are let go when it comes back', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create(zero);
    await client.ask({ op: 'publish', topic: zero, value: 'kept' });
    rig.crashed({ gracePeriodMs: 8000 });
    const late: (() => void)[] = [];
    rig.disk.onCall = (op, path) => {
      if (op !== 'read' || !path.includes('shards/00/log')) return;
      return new Promise<void>((resolve) => late.push(resolve));
    };
    const starting = rig.broker.start();
    await turns();
    expect(late).toHaveLength(1);
    const report = await rig.stop();
    await starting;
    expect(report).toMatchObject({ outcome: 'abandoned', exitCode: 20, lost: 0 });
    expect(report.children[0]).toMatchObject({ id: 'shard-00', state: 'abandoned' });
    expect(report.children[0]?.detail).toContain('open');
    expect(report.durationMs).toBeLessThanOrEqual(6000);
    rig.disk.onCall = null;
    for (const resolve of late) resolve();
    await turns(20);
    expect(rig.disk.openFiles).toBe(0);
    expect(rig.clock.pending).toBe(0);
    await rig.again();
    await rig.stop();
  });

  it('in any of its writes serves nobody when it comes back', async () => {
    for (let at = 1; ; at += 1) {
      const rig = await Rig.start();
      rig.crashed({ gracePeriodMs: 8000 });
      let writes = 0;
      let late: (() => void) | null = null;
      rig.disk.onCall = (op, path) => {
        if (op !== 'write' || !path.includes('shards/00/log')) return;
        writes += 1;
        if (writes !== at) return;
        return new Promise<void>((resolve) => {
          late = resolve;
        });
      };
      const starting = rig.broker.start();
      await turns();
      if (late === null) {
        expect(at).toBeGreaterThan(1);
        await starting;
        await rig.stop();
        break;
      }
      const report = await rig.stop();
      await starting;
      expect(report).toMatchObject({ outcome: 'abandoned' });
      const before = rig.logger.lines.length;
      (late as () => void)();
      await turns(20);
      expect(rig.logger.messages().slice(before)).toEqual([]);
      expect(rig.disk.openFiles).toBe(0);
      expect(rig.clock.pending).toBe(0);
    }
  });
});

describe('a flush that fails', () => {
  it('is never called clean: what it lost is counted, exit code 21', async () => {
    const rig = await Rig.start({ flushMs: 10_000 });
    const client = await rig.client();
    await client.create(zero, { durability: 'async' });
    for (let n = 0; n <= 7; n += 1) await client.ask({ op: 'publish', topic: zero, partition: 0, value: n });
    rig.failWrites('shards/00/log', 'EIO');
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'failed', exitCode: 21, lost: 7 });
    expect(report.children[0]).toMatchObject({ id: 'shard-00', state: 'failed' });
    expect(rig.clock.pending).toBe(0);
    expect(rig.disk.openFiles).toBe(0);
  });

  it('of the meta store is failed, and the records are on disk all the same', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create(zero);
    await client.ask({ op: 'publish', topic: zero, value: 'kept' });
    rig.meta.disk('/memory/data/shards/00/meta').onCall = (call) => {
      if (call === 'batch') throw Object.assign(new Error('EIO'), { code: 'EIO' });
    };
    expect(await rig.stop()).toMatchObject({ outcome: 'failed', exitCode: 21, lost: 0, unknown: 0 });
    rig.meta.disk('/memory/data/shards/00/meta').onCall = null;
    await rig.again();
    const again = await rig.client();
    await again.ask({ op: 'subscribe', topic: zero, from: 'earliest' });
    await turns();
    expect(again.delivered().get(0)).toEqual(['kept']);
    await rig.stop();
  });

  it('for want of space is clean when space comes back in time', async () => {
    const rig = await Rig.start({ flushMs: 10_000 });
    const client = await rig.client();
    await client.create(zero, { durability: 'async' });
    for (const value of [0, 1]) await client.ask({ op: 'publish', topic: zero, partition: 0, value });
    rig.failWrites('shards/00/log', 'ENOSPC');
    const stopping = rig.broker.stop();
    await rig.pass(3000);
    rig.disk.onCall = null;
    expect(await rig.until(stopping)).toMatchObject({ outcome: 'clean', lost: 0, flushedRecords: 1 });
  });

  it('for want of space to the end is abandoned in time, with what it lost', async () => {
    const rig = await Rig.start({ flushMs: 10_000, gracePeriodMs: 8000 });
    const client = await rig.client();
    await client.create(zero, { durability: 'async' });
    for (const value of [0, 1]) await client.ask({ op: 'publish', topic: zero, partition: 0, value });
    rig.failWrites('shards/00/log', 'ENOSPC');
    const report = await rig.stop();
    expect(report).toMatchObject({ exitCode: 20, outcome: 'abandoned', lost: 1 });
    expect(report.durationMs).toBeLessThanOrEqual(6000);
    await turns(20);
    expect(rig.disk.openFiles).toBe(0);
    expect(rig.clock.pending).toBe(0);
  });
});
