/** Many sessions, and what holds them back: slow consumers, pings, pressure on writes, the pace of closing. */
import { describe, expect, it } from 'vitest';
import { Rig, topicOn, turns } from '../broker/rig.ts';
import { batchOf } from '../broker/wire-client.ts';

const KIB = 1024;
const filler = 'x'.repeat(8 * KIB);

describe('a consumer that does not read', () => {
  const config = { socketBufferBytes: 64 * KIB, slowConsumerMs: 5000 };

  async function slow(rig: Rig, records = 200) {
    const publisher = await rig.client();
    await publisher.create('orders');
    for (let value = 0; value < records; value += 1) {
      publisher.send({ op: 'publish', topic: 'orders', value: { value, filler } });
    }
    await turns(20);
    const consumer = await rig.client();
    consumer.socket.pauseReading();
    consumer.send({ op: 'subscribe', topic: 'orders', from: 'earliest', credit: 100_000 });
    await turns(20);
    return { publisher, consumer };
  }

  it('is sent no more than its buffer and one fetch, however much there is', async () => {
    const rig = await Rig.start(config);
    let buffered = (): number => 0;
    rig.onConnection = (connection) => {
      buffered = () => connection.bufferedBytes;
    };
    await slow(rig);
    const held = buffered();
    expect(held).toBeGreaterThanOrEqual(64 * KIB);
    expect(held).toBeLessThan(64 * KIB + 256 * KIB + 16 * KIB);
    await rig.pass(3000);
    expect(buffered()).toBe(held);
    await rig.stop();
  });

  it('is cut with 4100 when nothing moved for slowConsumerMs', async () => {
    const rig = await Rig.start(config);
    const { publisher, consumer } = await slow(rig);
    await rig.pass(4500);
    expect(rig.broker.status['sessions']).toBe(2);
    await rig.pass(3000);
    expect(rig.broker.status['sessions']).toBe(1);
    expect(publisher.socket.closed).toBeNull();
    expect(rig.logger.lines.find(({ message }) => message === 'connection cut')?.fields).toMatchObject({
      code: 'SLOW_CONSUMER',
    });
    consumer.socket.resumeReading();
    await rig.stop();
  });

  it('that closes in time is told 4100 in the close', async () => {
    const rig = await Rig.start(config);
    const { consumer } = await slow(rig);
    await rig.pass(5900);
    // The close stands behind what it has not read.
    consumer.socket.resumeReading();
    await rig.pass(900);
    expect(consumer.socket.closed === null || consumer.socket.closed.code === 4100).toBe(true);
    await rig.stop();
  });

  it('recovers when it reads again in time: it gets everything, once and in order', async () => {
    const rig = await Rig.start(config);
    const { consumer } = await slow(rig);
    await rig.pass(4000);
    consumer.socket.resumeReading();
    await turns(300);
    await rig.pass(10_000);
    expect(consumer.socket.closed).toBeNull();
    const values = (consumer.delivered().get(0) ?? []).map((record) => (record as { value: number }).value);
    expect(values).toEqual(Array.from({ length: 200 }, (_, value) => value));
    await rig.stop();
  });

  it('is not cut while it makes progress, however slowly', async () => {
    const rig = await Rig.start(config);
    const { consumer } = await slow(rig, 400);
    for (let n = 0; n < 6; n += 1) {
      await rig.pass(3000);
      consumer.socket.resumeReading();
      await turns(1);
      consumer.socket.pauseReading();
    }
    expect(rig.broker.status['sessions']).toBe(2);
    consumer.socket.resumeReading();
    await rig.stop();
  });

  it('and only asks is not answered without end: its socket is paused, and it is cut with 4100', async () => {
    const rig = await Rig.start(config);
    let buffered = (): number => 0;
    rig.onConnection = (connection) => {
      buffered = () => connection.bufferedBytes;
    };
    const client = await rig.client();
    for (let n = 0; n < 50; n += 1) await client.create(`topic-${n}`);
    client.socket.pauseReading();
    for (let n = 0; n < 500; n += 1) client.send({ op: 'topics', id: n });
    await turns(50);
    expect(buffered()).toBeLessThan(64 * KIB + 16 * KIB);
    expect(client.socket.bufferedBytes).toBeGreaterThan(0);
    await rig.pass(8000);
    expect(rig.broker.status['sessions']).toBe(0);
    await rig.stop();
  });

  it('and asks without reading for a while gets every answer when it reads', async () => {
    const rig = await Rig.start(config);
    const client = await rig.client();
    for (let n = 0; n < 50; n += 1) await client.create(`topic-${n}`);
    client.socket.pauseReading();
    for (let n = 0; n < 200; n += 1) client.send({ op: 'topics', id: n });
    await turns(50);
    client.socket.resumeReading();
    await turns(400);
    expect(client.of('topics').map(({ id }) => id)).toEqual(Array.from({ length: 200 }, (_, id) => id));
    await rig.stop();
  });
});

describe('liveness', () => {
  const config = { pingMs: 5000, pingTimeoutMs: 5000 };

  it('a quiet connection is pinged, and stays while it answers', async () => {
    const rig = await Rig.start(config);
    const client = await rig.client();
    await rig.pass(30_000);
    expect(client.socket.pingsReceived).toBeGreaterThanOrEqual(4);
    expect(client.socket.closed).toBeNull();
    await rig.stop();
  });

  it('a busy one is not pinged', async () => {
    const rig = await Rig.start(config);
    const client = await rig.client();
    for (let n = 0; n < 10; n += 1) {
      await rig.pass(2000);
      await client.ask({ op: 'ping' });
    }
    expect(client.socket.pingsReceived).toBe(0);
    await rig.stop();
  });

  it('one that does not answer is closed with 4101', async () => {
    const rig = await Rig.start(config);
    const client = await rig.client();
    client.socket.answersPings = false;
    await rig.pass(13_000);
    expect(client.socket.closed).toMatchObject({ code: 4101 });
    await rig.stop();
  });

  it('one that is half open is gone in the end, and its producer free', async () => {
    const rig = await Rig.start(config);
    const client = await rig.client();
    await client.hello('p-1');
    client.socket.stall();
    await rig.pass(15_000);
    expect(rig.broker.status['sessions']).toBe(0);
    await rig.stop();
  });

  it('one whose socket the broker itself has paused is not taken for dead', async () => {
    const rig = await Rig.start({ pingMs: 500, pingTimeoutMs: 500, inFlightPublishes: 4 });
    const client = await rig.client();
    await client.create('orders');
    const hold = rig.holdWrites('/log/');
    for (let id = 0; id < 10; id += 1) client.send({ op: 'publish', id, topic: 'orders', value: id });
    await rig.pass(4500);
    expect(client.socket.closed).toBeNull();
    hold.release();
    await turns(30);
    expect(client.of('published').map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await rig.pass(10_000);
    expect(client.socket.closed).toBeNull();
    await rig.stop();
  });
});

describe('pressure', () => {
  it('of unanswered publishes pauses the socket that sends them, and loses nothing', async () => {
    const rig = await Rig.start({ inFlightPublishes: 8 });
    const client = await rig.client();
    await client.create('orders');
    const hold = rig.holdWrites('/log/');
    for (let id = 0; id < 100; id += 1) client.send({ op: 'publish', id, topic: 'orders', value: id });
    await turns(20);
    expect(rig.broker.status['inFlightBytes']).toBeLessThan(8 * 100);
    expect(client.of('published')).toEqual([]);
    hold.release();
    await turns(200);
    expect(client.of('published').map(({ id, offset }) => [id, offset])).toEqual(
      Array.from({ length: 100 }, (_, id) => [id, id]),
    );
    expect(rig.broker.status['inFlightBytes']).toBe(0);
    await rig.stop();
  });

  it('of unanswered bytes does too', async () => {
    const rig = await Rig.start({ inFlightBytes: 64 * KIB });
    const client = await rig.client();
    await client.create('orders');
    const hold = rig.holdWrites('/log/');
    for (let id = 0; id < 40; id += 1) client.sendBinary({ op: 'publish', id, topic: 'orders' }, batchOf(filler));
    await turns(20);
    const inFlight = rig.broker.status['inFlightBytes'] as number;
    expect(inFlight).toBeGreaterThan(64 * KIB);
    expect(inFlight).toBeLessThan(96 * KIB);
    hold.release();
    await turns(100);
    const rows = client.of('published').flatMap(({ acks }) => acks as number[][]);
    expect(rows.map(([id]) => id)).toEqual(Array.from({ length: 40 }, (_, id) => id));
    await rig.stop();
  });

  it('on one shard pauses its publishers, and those of another go on', async () => {
    const rig = await Rig.start({ shardQueueBytes: 64 * KIB });
    const [zero, one] = [topicOn(0), topicOn(1)];
    const [held, free] = [await rig.client(), await rig.client()];
    await held.create(zero);
    await free.create(one);
    const hold = rig.holdWrites('shards/00/log');
    for (let id = 0; id < 60; id += 1) held.sendBinary({ op: 'publish', id, topic: zero }, batchOf(filler));
    await turns(20);
    const [shard] = rig.broker.status['shards'] as { queueBytes: number }[];
    expect(shard?.queueBytes).toBeGreaterThan(64 * KIB);
    expect(shard?.queueBytes).toBeLessThan(128 * KIB);
    expect(held.socket.bufferedBytes).toBeGreaterThan(0);
    for (let id = 0; id < 20; id += 1) {
      expect(await free.ask({ op: 'publish', topic: one, value: id })).toMatchObject({ offset: id });
    }
    hold.release();
    await turns(100);
    const rows = held.of('published').flatMap(({ acks }) => acks as number[][]);
    expect(rows.map(([id]) => id)).toEqual(Array.from({ length: 60 }, (_, id) => id));
    expect(held.of('error')).toEqual([]);
    await rig.stop();
  });

  it('over all connections pauses those that publish until it is half gone', async () => {
    const rig = await Rig.start({ inFlightBytesTotal: 1024 * KIB, frameBytes: 1024 * KIB });
    const clients = await Promise.all([rig.client(), rig.client(), rig.client()]);
    await clients[0]?.create('orders');
    const hold = rig.holdWrites('/log/');
    const big = batchOf('x'.repeat(200 * KIB));
    for (const client of clients) {
      for (let id = 0; id < 5; id += 1) client.sendBinary({ op: 'publish', id, topic: 'orders' }, big);
    }
    await turns(20);
    expect(rig.broker.status['inFlightBytes']).toBeLessThan(1024 * KIB + 4 * 200 * KIB);
    hold.release();
    await turns(100);
    for (const client of clients) {
      expect(
        client
          .of('published')
          .flatMap(({ acks }) => acks as number[][])
          .map(([id]) => id),
      ).toEqual([0, 1, 2, 3, 4]);
    }
    await rig.stop();
  });

  it('a client that goes on sending while it is paused is closed with 1008, and the broker lives', async () => {
    const rig = await Rig.start({ inFlightPublishes: 2, frameBytes: 64 * KIB });
    rig.onConnection = (connection) => {
      connection.pause = () => {};
    };
    const client = await rig.client();
    await client.create('orders');
    const hold = rig.holdWrites('/log/');
    for (let id = 0; id < 40; id += 1)
      client.sendBinary({ op: 'publish', id, topic: 'orders' }, batchOf('x'.repeat(60 * KIB)));
    await turns(20);
    expect(client.socket.closed).toMatchObject({ code: 1008 });
    hold.release();
    expect((await rig.stop()).outcome).toBe('clean');
  });
});

describe('connections', () => {
  it('are no more than connectionsMax: others are turned away and may come back', async () => {
    const rig = await Rig.start({ connectionsMax: 2 });
    const [first] = [await rig.client(), await rig.client()];
    expect((await rig.client()).socket.refusal).toMatchObject({ status: 503 });
    first.socket.close();
    await turns();
    expect((await rig.client()).socket.state).toBe('open');
    await rig.stop();
  });

  it('leave no timer behind when the last of them ends', async () => {
    const rig = await Rig.start();
    const before = rig.clock.pending;
    const client = await rig.client();
    expect(rig.clock.pending).toBe(before + 1);
    client.socket.close();
    await turns();
    expect(rig.clock.pending).toBe(before);
    await rig.stop();
  });
});
