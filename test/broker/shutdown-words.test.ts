/** What a shutdown says and to whom: one notice where one will do, a cancelled drain, a broker that is gone for good. */
import { describe, expect, it } from 'vitest';
import { type Client, connect } from '../../src/client/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { memoryWebSocket } from '../../src/testing/memory-websocket.ts';
import { Rig, seededRandom, topicOn, turns } from './rig.ts';

const zero = topicOn(0);
const one = topicOn(1);

describe('notices', () => {
  it('come once when there is no time between the announcement and the drain', async () => {
    const rig = await Rig.start({ announceMs: 0 });
    const client = await rig.client();
    await rig.stop();
    expect(client.of('goaway').map(({ stage }) => stage)).toEqual(['drain']);
  });

  it('are taken back when a drain is cancelled, from those who had one', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    rig.broker.drain('maintenance');
    await turns();
    rig.broker.cancelDrain();
    const late = await rig.client();
    await rig.pass(100);
    expect(client.of('goaway')).toMatchObject([
      { stage: 'drain' },
      { stage: 'cancelled', deadlineMs: 0, reconnectAfterMs: 0 },
    ]);
    expect(late.of('goaway')).toEqual([]);
    await rig.stop();
  });

  it('that a drain was cancelled have our client publish again at once', async () => {
    const rig = await Rig.start();
    const { client, pass } = await library(rig);
    await client.createTopic(zero);
    rig.broker.drain('maintenance');
    await pass(100);
    expect(client.state).toBe('draining');
    const publish = client.publish(zero, { value: 1 });
    await pass(1000);
    rig.broker.cancelDrain();
    await pass(100);
    expect(client.state).toBe('ready');
    expect(await publish).toMatchObject({ offset: 0, duplicate: false });
    const closing = client.close();
    await pass(100);
    await closing;
    await rig.stop();
  });
});

describe('the close', () => {
  it.each([
    [true, 1012],
    [false, 1001],
  ])('of a broker that comes back (%s) has code %i', async (returning, code) => {
    const rig = await Rig.start();
    const client = await rig.client();
    await rig.stop({ returning });
    expect(client.socket.closed).toMatchObject({ code });
  });

  it('stays that of a broker gone for good once a request said so', async () => {
    const rig = await Rig.start({ announceMs: 2000 });
    const client = await rig.client();
    void rig.broker.stop({ returning: false });
    await turns();
    await rig.stop({ mode: 'fast' });
    expect(client.socket.closed).toMatchObject({ code: 1001 });
  });
});

describe('while it is announced', () => {
  it('the flush begins: what waits of async topics is written, and the state is saved', async () => {
    const rig = await Rig.start({ announceMs: 5000, flushMs: 60_000 });
    const client = await rig.client();
    await client.ask({ op: 'create', topic: zero, durability: 'async' });
    await client.ask({
      op: 'publish',
      topic: zero,
      partition: 0,
      value: 'opens the partition, which is written at once',
    });
    await client.ask({ op: 'publish', topic: zero, partition: 0, value: 'waits' });
    const pending = () => rig.broker.shutdownState.shards[0]?.pendingRecords;
    expect(pending()).toBe(1);
    const metaBefore = rig.meta.disk('/memory/data/shards/00/meta').batchCount;
    const stopping = rig.broker.stop();
    await rig.pass(100);
    expect(rig.broker.shutdownState.phase).toBe('announcing');
    expect(pending()).toBe(0);
    expect(rig.meta.disk('/memory/data/shards/00/meta').batchCount).toBeGreaterThan(metaBefore);
    expect(await rig.until(stopping)).toMatchObject({ outcome: 'clean', lost: 0 });
  });
});

describe('stop', () => {
  it('ends by an earlier deadline, and a later one than the budget changes nothing', async () => {
    const early = await Rig.start({ announceMs: 20_000 });
    const client = await early.client();
    await client.create(zero);
    const report = await early.stop({ deadline: early.clock.monotonic() + 3000 });
    expect(report).toMatchObject({ outcome: 'clean' });
    expect(report.durationMs).toBeLessThanOrEqual(3000);
    const late = await Rig.start({ announceMs: 1000 });
    expect((await late.stop({ deadline: late.clock.monotonic() + 3_600_000 })).durationMs).toBeLessThan(2000);
  });

  it('is pressed by its signal: fast, and flushed all the same', async () => {
    const rig = await Rig.start({ announceMs: 20_000 });
    const controller = new AbortController();
    const stopping = rig.broker.stop({ signal: controller.signal, reason: 'deploy' });
    await rig.pass(100);
    expect(rig.broker.shutdownState.phase).toBe('announcing');
    controller.abort(new Error('no patience'));
    const report = await rig.until(stopping);
    expect(report).toMatchObject({ outcome: 'clean', mode: 'fast', reason: 'deploy', requests: 2 });
    expect(report.durationMs).toBeLessThan(2000);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %d as a deadline, and goes on', async (deadline) => {
    const rig = await Rig.start();
    expect(() => rig.broker.stop({ deadline })).toThrow(/"deadline" must be ms/);
    expect(rig.broker.shutdownState).toMatchObject({ phase: 'running', stopping: false });
    await rig.stop();
  });
});

describe('the log of a shutdown', () => {
  it('says by name who is waited for once nothing moves, and once', async () => {
    const rig = await Rig.start({ gracePeriodMs: 20_000 });
    const client = await rig.client();
    await client.create(zero);
    await client.create(one);
    rig.holdWrites('shards/00/log');
    client.send({ op: 'publish', id: 1, topic: zero, value: 'hung' });
    await turns();
    await rig.stop();
    const stalled = rig.logger.lines.filter(({ message }) => message === 'shutdown stalled');
    expect(stalled.length).toBeGreaterThan(0);
    expect(stalled.length).toBeLessThan(4);
    expect(stalled[0]?.fields['waitingFor']).toMatchObject([{ id: 'shard-00', pendingRecords: 1 }]);
    expect(rig.clock.pending).toBe(0);
  });

  it('says nothing of that while it only announces', async () => {
    const rig = await Rig.start({ announceMs: 10_000 });
    await rig.client();
    await rig.stop();
    expect(rig.logger.lines.map(({ message }) => message)).not.toContain('shutdown stalled');
    const progress = rig.logger.lines.filter(({ message }) => message === 'shutdown progress');
    expect(progress.length).toBeGreaterThan(2);
    expect(progress[0]?.fields).toMatchObject({ phase: 'announcing', sessions: 1, pendingBytes: 0 });
  });
});

/** Our client on a clock that moves with the broker's. */
async function library(rig: Rig): Promise<{ client: Client; pass: (ms: number) => Promise<void> }> {
  const clock = new SimulatedClock();
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 50) {
      await clock.advance(50);
      await rig.clock.advance(50);
      await turns(2);
    }
  };
  const random = seededRandom(3);
  const WebSocket = memoryWebSocket(({ port: _, ...dialled }) => rig.network.dial(dialled));
  const connecting = connect('ws://memory:7070/v1', { WebSocket, clock, random: () => random.next() });
  await pass(100);
  return { client: await connecting, pass };
}
