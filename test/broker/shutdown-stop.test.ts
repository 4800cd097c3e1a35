/** Asking for the shutdown: often, early, at any moment of a start, ever harder; and what the admin endpoint says of it. */
import { describe, expect, it } from 'vitest';
import { expectNothingLeft, Rig, topicOn, turns } from './rig.ts';

const zero = topicOn(0);

describe('stop', () => {
  it('asked for fifty times is one stop, whose requests are counted', async () => {
    const rig = await Rig.start();
    const stops = Array.from({ length: 50 }, () => rig.broker.stop({ reason: 'deploy' }));
    const reports = await rig.until(Promise.all(stops));
    expect(new Set(reports).size).toBe(1);
    expect(reports[0]).toMatchObject({ outcome: 'clean', reason: 'deploy' });
    expect(await rig.broker.stop()).toBe(reports[0]);
  });

  it('before a start has got anywhere ends it with nothing open', async () => {
    const rig = new Rig();
    const starting = rig.broker.start();
    const report = await rig.stop();
    await starting;
    expect(report).toMatchObject({ outcome: 'clean', exitCode: 0 });
    await expectNothingLeft(rig);
    await rig.again();
    await rig.stop();
  });

  it.each(['a first start', 'a start after a crash'])(
    'at any moment of %s ends it clean and loses nothing',
    async (which) => {
      for (let at = 1; ; at += 1) {
        const rig = new Rig();
        if (which !== 'a first start') {
          await rig.broker.start();
          const client = await rig.client();
          await client.create(zero);
          await client.ask({ op: 'publish', topic: zero, value: 'kept' });
          rig.crashed();
        }
        let calls = 0;
        const begun = rig.broker.start();
        rig.disk.onCall = async () => {
          calls += 1;
          if (calls === at) void rig.broker.stop();
        };
        await turns(20);
        const report = await rig.stop();
        await begun;
        rig.disk.onCall = null;
        expect(report).toMatchObject({ outcome: 'clean', exitCode: 0 });
        await expectNothingLeft(rig);
        await rig.again();
        if (which !== 'a first start') {
          const client = await rig.client();
          await client.ask({ op: 'subscribe', topic: zero, from: 'earliest' });
          await turns();
          expect(client.delivered().get(0)).toEqual(['kept']);
        }
        await rig.stop();
        if (at > calls) break;
        expect(at).toBeLessThan(500);
      }
    },
  );

  it('by an abort signal is a stop with its reason', async () => {
    const controller = new AbortController();
    const rig = new Rig({ signal: controller.signal });
    await rig.broker.start();
    controller.abort(new Error('the host is leaving'));
    const report = await rig.until(rig.broker.ended);
    expect(report.outcome).toBe('clean');
    expect(report.reason).toContain('the host is leaving');
    await expectNothingLeft(rig);
  });

  it('at once flushes nothing and says so: forced, exit code 22', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create(zero);
    rig.holdWrites('shards/00/log');
    client.send({ op: 'publish', id: 1, topic: zero, value: 1 });
    await turns();
    const report = await rig.stop({ mode: 'immediate' });
    expect(report).toMatchObject({ outcome: 'forced', exitCode: 22, mode: 'immediate', unknown: 1 });
    expect(report.durationMs).toBeLessThan(2100);
    expect(client.replyTo(1)).toMatchObject({ op: 'error', code: 'OUTCOME_UNKNOWN' });
    expect(client.socket.closed).toMatchObject({ code: 1012 });
  });

  it('escalates from graceful over fast to immediate, and never back', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create(zero);
    rig.holdWrites('shards/00/log');
    client.send({ op: 'publish', id: 1, topic: zero, value: 1 });
    await turns();
    const stopping = rig.broker.stop({ reason: 'first' });
    await rig.pass(500);
    void rig.broker.stop({ mode: 'fast' });
    await rig.pass(500);
    void rig.broker.stop({ mode: 'immediate' });
    void rig.broker.stop({ mode: 'graceful' });
    const report = await rig.until(stopping);
    expect(report).toMatchObject({ outcome: 'forced', mode: 'immediate', requests: 4, reason: 'first' });
    expect(report.durationMs).toBeLessThan(3200);
  });
});

describe('the admin endpoint', () => {
  it('says unready at once and live to the end, and ends last', async () => {
    const rig = await Rig.start({}, { admin: true });
    const ask = async (path: string): Promise<[number, unknown]> => {
      const response = await fetch(`http://127.0.0.1:${rig.broker.adminPort}${path}`, {
        headers: { connection: 'close' },
      });
      return [response.status, await response.json().catch(() => null)];
    };
    expect(await ask('/readyz')).toMatchObject([200, { ready: true }]);
    const client = await rig.client();
    await client.create(zero);
    const hold = rig.holdWrites('shards/00/log');
    client.send({ op: 'publish', id: 1, topic: zero, value: 1 });
    await turns();
    const stopping = rig.broker.stop({ reason: 'deploy' });
    expect((await ask('/readyz'))[0]).toBe(503);
    await rig.pass(1);
    expect(await ask('/readyz')).toMatchObject([503, { ready: false }]);
    expect((await ask('/livez'))[0]).toBe(200);
    expect(await ask('/shutdown')).toMatchObject([200, { stopping: true, phase: 'draining', reason: 'deploy' }]);
    hold.release();
    let ended = false;
    void stopping.then(() => {
      ended = true;
    });
    while (!ended) {
      await rig.pass(20);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect((await stopping).children[0]).toMatchObject({ id: 'admin', state: 'released' });
    await expectNothingLeft(rig);
  });

  it('stays ready with a failed shard and names it, and is unready when none is left to serve', async () => {
    const rig = await Rig.start({}, { admin: true });
    const client = await rig.client();
    for (const topic of [zero, topicOn(1)]) await client.create(topic);
    const fail = async (shard: number, topic: string) => {
      rig.failWrites(`shards/0${shard}/log`, 'EIO');
      await client.ask({ op: 'publish', topic, value: 1 });
      const headers = { connection: 'close' };
      const response = await fetch(`http://127.0.0.1:${rig.broker.adminPort}/readyz`, { headers });
      return { status: response.status, body: await response.json() };
    };
    const one = await fail(0, zero);
    expect(one).toMatchObject({ status: 200, body: { ready: true, degraded: [expect.stringContaining('shard-00')] } });
    const both = await fail(1, topicOn(1));
    expect(both).toMatchObject({ status: 503, body: { ready: false, phase: 'running' } });
    const stopping = rig.broker.stop();
    let ended = false;
    void stopping.then(() => {
      ended = true;
    });
    while (!ended) {
      await rig.pass(20);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await stopping).toMatchObject({ outcome: 'failed', exitCode: 21 });
  });
});
