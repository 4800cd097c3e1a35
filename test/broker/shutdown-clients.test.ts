/** The shutdown as clients see it: notices, the pace of closing, commits, a drain that is cancelled. */
import { describe, expect, it } from 'vitest';
import { expectNothingLeft, Rig, topicOn, turns } from './rig.ts';
import type { WireClient } from './wire-client.ts';

const zero = topicOn(0);

describe('clients', () => {
  it('are told to go with a time to come back that is drawn for each, and what was stored last', async () => {
    const rig = await Rig.start();
    const clients = await Promise.all(Array.from({ length: 8 }, () => rig.client()));
    const [first] = clients as [WireClient];
    await first.create(zero);
    await first.hello('p-1');
    await first.ask({ op: 'publish', topic: zero, partition: 0, sequence: 7, value: 1 });
    await first.ask({ op: 'publish', topic: zero, partition: 0, sequence: 9, value: 1 });
    await rig.stop({ reason: 'deploy' });
    const notices = clients.map((client) => client.of('goaway').at(-1));
    expect(notices[0]).toMatchObject({
      stage: 'drain',
      reason: 'deploy',
      lastAccepted: [{ topic: zero, partition: 0, sequence: 9 }],
    });
    expect(notices[1].lastAccepted).toBeUndefined();
    for (const { deadlineMs, reconnectAfterMs } of notices) {
      expect(deadlineMs).toBeGreaterThan(0);
      expect(deadlineMs).toBeLessThanOrEqual(30_000);
      expect(reconnectAfterMs).toBeGreaterThan(0);
    }
    expect(new Set(notices.map(({ reconnectAfterMs }) => reconnectAfterMs)).size).toBeGreaterThan(4);
    for (const { socket } of clients) expect(socket.closed).toMatchObject({ code: 1012 });
  });

  it('are announced the end first where there is time for it, and served meanwhile, new ones too', async () => {
    const rig = await Rig.start({ announceMs: 5000 });
    const client = await rig.client();
    await client.create(zero);
    const stopping = rig.broker.stop();
    await rig.pass(2000);
    expect(client.of('goaway')).toMatchObject([{ stage: 'announce' }]);
    expect(await client.ask({ op: 'publish', topic: zero, value: 1 })).toMatchObject({ op: 'published' });
    const late = await rig.client();
    expect(late.of('goaway')).toMatchObject([{ stage: 'announce' }]);
    expect(await late.ask({ op: 'publish', topic: zero, value: 2 })).toMatchObject({ op: 'published' });
    await late.ask({ op: 'subscribe', topic: zero, from: 'earliest' });
    await turns();
    expect(late.delivered().get(0)).toEqual([1, 2]);
    const report = await rig.until(stopping);
    expect(client.of('goaway').map(({ stage }) => stage)).toEqual(['announce', 'drain']);
    expect(report.phases.map(({ phase }) => phase)).toEqual(
      expect.arrayContaining(['announcing', 'draining', 'flushing', 'releasing']),
    );
    expect(report.durationMs).toBeGreaterThanOrEqual(5000);
    expect(report.durationMs).toBeLessThan(6500);
  });

  it('with nothing under way are closed first', async () => {
    const rig = await Rig.start();
    const closed: string[] = [];
    rig.onConnection = (connection) => {
      const { close } = connection;
      connection.close = (code, reason) => {
        closed.push(connection.remote);
        close.call(connection, code, reason);
      };
    };
    for (let n = 0; n < 6; n += 1) {
      const client = await rig.client({ remote: `${n % 2 === 0 ? 'consumer' : 'quiet'}-${n}` });
      if (n % 2 === 0) await client.ask({ op: 'subscribe', topic: zero });
    }
    await rig.stop();
    expect(closed.map((remote) => remote.split('-')[0])).toEqual([
      ...['quiet', 'quiet', 'quiet'],
      ...['consumer', 'consumer', 'consumer'],
    ]);
  });

  it('are closed at an even pace when they are many', async () => {
    const rig = await Rig.start();
    const times: number[] = [];
    rig.onConnection = (connection) => {
      const { close } = connection;
      connection.close = (code, reason) => {
        times.push(rig.clock.monotonic());
        close.call(connection, code, reason);
      };
    };
    for (let n = 0; n < 400; n += 1) rig.network.dial();
    await turns(20);
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'clean' });
    expect(times).toHaveLength(400);
    const perTime = new Map<number, number>();
    for (const time of times) perTime.set(time, (perTime.get(time) ?? 0) + 1);
    expect(perTime.size).toBeGreaterThanOrEqual(9);
    expect(Math.max(...perTime.values())).toBeLessThanOrEqual(80);
  });

  it('that never read are cut a second after the close, and that is no degradation', async () => {
    const rig = await Rig.start();
    const [mute, good] = [await rig.client(), await rig.client()];
    mute.socket.pauseReading();
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'clean', exitCode: 0 });
    expect(report.durationMs).toBeLessThan(1500);
    expect(good.socket.closed).toMatchObject({ code: 1012 });
    await expectNothingLeft(rig);
  });

  it('that are half open hold nothing up', async () => {
    const rig = await Rig.start();
    (await rig.client()).socket.stall();
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'clean' });
    expect(report.durationMs).toBeLessThan(1500);
    await expectNothingLeft(rig);
  });

  it('that come while the broker drains are turned away with a time to come back', async () => {
    const rig = await Rig.start();
    rig.broker.drain();
    await turns();
    const late = await rig.client();
    expect(late.socket.refusal).toMatchObject({ status: 503 });
    expect(late.socket.refusal?.retryAfterSeconds).toBeGreaterThan(0);
    await rig.stop();
  });

  it('that have not said hello get no deliveries when they say it during the drain', async () => {
    const rig = await Rig.start({ token: 'secret' });
    const filler = await rig.client();
    await filler.ask({ op: 'hello', token: 'secret' });
    await filler.ask({ op: 'publish', topic: zero, partition: 0, value: 1 });
    const client = await rig.client();
    rig.broker.drain();
    await turns();
    expect(await client.ask({ op: 'hello', token: 'secret' })).toMatchObject({ op: 'welcome', draining: true });
    await client.ask({ op: 'subscribe', topic: zero, from: 'earliest' });
    expect(client.of('records')).toEqual([]);
    expect(rig.broker.cancelDrain()).toBe(true);
    await turns();
    expect(client.delivered().get(0)).toEqual([1]);
    await rig.stop();
  });
});

describe('commits', () => {
  async function consumer(rig: Rig): Promise<WireClient> {
    const client = await rig.client();
    await client.create(zero);
    for (let n = 0; n < 3; n += 1) await client.ask({ op: 'publish', topic: zero, value: n });
    await client.ask({ op: 'subscribe', topic: zero, from: 'earliest', group: 'billing' });
    await client.ask({ op: 'commit', subscription: 1, partition: 0, offset: 1 });
    return client;
  }

  it('of what was delivered are waited for, taken and confirmed while draining', async () => {
    const rig = await Rig.start();
    const client = await consumer(rig);
    const stopping = rig.broker.stop();
    await rig.pass(1000);
    expect(client.socket.closed).toBeNull();
    expect(await client.ask({ op: 'commit', subscription: 1, partition: 0, offset: 3 })).toMatchObject({
      op: 'committed',
      offset: 3,
    });
    const report = await rig.until(stopping);
    expect(report).toMatchObject({ outcome: 'clean' });
    expect(report.durationMs).toBeLessThan(1500);
    await rig.again();
    const again = await rig.client();
    const reply = await again.ask({ op: 'subscribe', topic: zero, from: 'committed', group: 'billing' });
    expect(reply.partitions).toMatchObject([{ offset: 3 }]);
    await rig.stop();
  });

  it('that never come are not waited for beyond five seconds', async () => {
    const rig = await Rig.start();
    await consumer(rig);
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'clean' });
    expect(report.durationMs).toBeLessThan(5500);
  });

  it('are not waited for by a fast stop', async () => {
    const rig = await Rig.start();
    await consumer(rig);
    const report = await rig.stop({ mode: 'fast' });
    expect(report).toMatchObject({ outcome: 'clean', mode: 'fast' });
    expect(report.durationMs).toBeLessThan(250);
  });

  it('that are under way when clients are closed are answered before the close', async () => {
    const rig = await Rig.start();
    const client = await consumer(rig);
    const hold = rig.holdWrites('shards/00/log');
    client.send({ op: 'commit', id: 'c', subscription: 1, partition: 0, offset: 3 });
    await turns();
    const stopping = rig.broker.stop();
    await rig.pass(500);
    hold.release();
    await rig.until(stopping);
    expect(client.replyTo('c')).toMatchObject({ op: 'committed', offset: 3 });
    expect(client.socket.closed).toMatchObject({ code: 1012 });
  });
});

describe('a drain that is cancelled', () => {
  it('refuses publishes and stops deliveries meanwhile, and takes both up again', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create(zero);
    await client.ask({ op: 'publish', topic: zero, value: 0 });
    await client.ask({ op: 'subscribe', topic: zero, from: 'earliest', credit: 1 });
    await client.ask({ op: 'publish', topic: zero, value: 1 });
    rig.broker.drain('maintenance');
    await turns();
    expect(client.of('goaway')).toMatchObject([{ stage: 'drain' }]);
    expect(await client.ask({ op: 'publish', topic: zero, value: 'no' })).toMatchObject({ code: 'DRAINING' });
    client.send({ op: 'credit', subscription: 1, records: 10 });
    await rig.pass(60_000);
    expect(client.delivered().get(0)).toEqual([0]);
    expect(client.socket.closed).toBeNull();
    expect(rig.broker.cancelDrain()).toBe(true);
    await turns();
    expect(client.delivered().get(0)).toEqual([0, 1]);
    expect(await client.ask({ op: 'publish', topic: zero, value: 2 })).toMatchObject({ op: 'published', offset: 2 });
    expect(client.delivered().get(0)).toEqual([0, 1, 2]);
    expect((await rig.client()).socket.state).toBe('open');
    expect(rig.broker.cancelDrain()).toBe(false);
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'clean', requests: 1 });
  });

  it.each(['before', 'while'])('may be asked for %s it starts, and cancelled then too', async (when) => {
    const drained = new Rig();
    if (when === 'before') drained.broker.drain('maintenance');
    const starting = drained.broker.start();
    await turns(1);
    if (when === 'while') drained.broker.drain('maintenance');
    await drained.until(starting);
    expect(drained.broker.shutdownState).toMatchObject({ phase: 'draining', stopping: false });
    expect((await drained.client()).socket.closed).not.toBeNull();
    expect(drained.broker.cancelDrain()).toBe(true);
    expect(drained.broker.shutdownState.phase).toBe('running');
    await drained.stop();
    const called = new Rig();
    if (when === 'before') called.broker.drain('maintenance');
    const before = when === 'before' && called.broker.cancelDrain();
    const calling = called.broker.start();
    await turns(1);
    if (when === 'while') called.broker.drain('maintenance');
    const cancelled = before || called.broker.cancelDrain();
    await called.until(calling);
    expect([cancelled, called.broker.shutdownState.phase]).toEqual([true, 'running']);
    await called.stop();
  });

  it('becomes a stop when one comes, and can be cancelled no more', async () => {
    const rig = await Rig.start();
    rig.broker.drain();
    await turns();
    const stopping = rig.broker.stop({ reason: 'deploy' });
    expect(rig.broker.cancelDrain()).toBe(false);
    expect(await rig.until(stopping)).toMatchObject({ outcome: 'clean', reason: 'deploy' });
    await expectNothingLeft(rig);
  });
});
