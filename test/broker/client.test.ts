/** The client library against the real broker, over the network in memory: through restarts, kills and lost connections. */
import { describe, expect, it } from 'vitest';
import type { SluiceRecord, Subscription } from '../../src/client/index.ts';
import { Rig, seededRandom, turns } from './rig.ts';
import { Site } from './site.ts';
import { upTo } from './wire-client.ts';

/** What a loop over the subscription has seen so far. */
function collect(subscription: Subscription, each: (record: SluiceRecord) => void = () => {}): SluiceRecord[] {
  const seen: SluiceRecord[] = [];
  void (async () => {
    for await (const record of subscription) {
      seen.push(record);
      each(record);
    }
  })();
  return seen;
}

const valuesOf = (records: readonly SluiceRecord[]): unknown[] => records.map((record) => record.value);

describe('the client on a real broker', () => {
  it('publishes by key and reads back what it gave, of every encoding', async () => {
    const rig = await Rig.start();
    const site = new Site(rig);
    const client = await site.connect();
    const seen = collect(client.subscribe('orders', { from: 'earliest' }));
    await turns(20);
    const publishing = Promise.all([
      client.publish('orders', { key: 'a', value: { n: 1 }, headers: { h: 'v' } }),
      client.publish('orders', { key: 'a', value: 'text' }),
      client.publish('orders', { key: 'a', value: Uint8Array.of(0, 255) }),
      client.publish('orders', { key: 'a' }),
    ]);
    await site.pass(200);
    const acks = await publishing;
    expect(acks.map(({ offset }) => offset)).toEqual([0, 1, 2, 3]);
    expect(seen.map(({ key, encoding, tombstone }) => [key, encoding, tombstone])).toEqual([
      ['a', 'json', false],
      ['a', 'utf8', false],
      ['a', 'bytes', false],
      ['a', 'bytes', true],
    ]);
    expect(seen[0]?.value).toEqual({ n: 1 });
    expect(seen[0]?.headers).toEqual({ h: 'v' });
    expect(seen[1]?.value).toBe('text');
    await site.end();
  });

  it('goes on by itself across a deploy: nothing lost, nothing twice, in order', async () => {
    const rig = await Rig.start();
    const site = new Site(rig);
    const [producer, consumer] = [await site.connect(), await site.connect()];
    await Promise.all([producer.createTopic('orders', { partitions: 1 }), site.pass(50)]);
    const states: string[] = [];
    producer.on('state', (state) => states.push(state));
    const seen = collect(consumer.subscribe('orders', { from: 'earliest' }));
    const acks: Promise<{ offset: number }>[] = [];
    for (const value of upTo(40)) {
      acks.push(producer.publish('orders', { value }));
      if (value === 20) {
        const stopping = rig.broker.stop({ reason: 'deploy' });
        await site.pass(200, 20);
        expect((await rig.until(stopping)).outcome).toBe('clean');
        await rig.again();
      }
      if (value % 4 === 0) await site.pass(20, 20);
    }
    await site.pass(20_000, 250);
    expect((await Promise.all(acks)).map(({ offset }) => offset)).toEqual(upTo(40));
    expect(valuesOf(seen)).toEqual(upTo(40));
    expect(states).toContain('draining');
    expect(states.at(-1)).toBe('ready');
    await site.end();
  });

  it('comes back no sooner than the broker said in its goaway', async () => {
    const rig = await Rig.start();
    const site = new Site(rig);
    const client = await site.connect();
    let wait = 0;
    client.on('goaway', ({ reconnectAfterMs }) => {
      wait = reconnectAfterMs;
    });
    const told = site.clock.monotonic();
    const stopping = rig.broker.stop();
    await site.pass(100, 20);
    await rig.until(stopping);
    await rig.again();
    expect(wait).toBeGreaterThan(1000);
    await site.pass(told + wait - site.clock.monotonic() - 60, 20);
    expect(site.sockets).toHaveLength(1);
    await site.pass(400, 20);
    expect(site.sockets).toHaveLength(2);
    expect(client.state).toBe('ready');
    await site.end();
  });

  it('resends what was under way when the broker was killed, once stored each', async () => {
    const rig = await Rig.start();
    const site = new Site(rig);
    const client = await site.connect();
    await Promise.all([client.createTopic('orders', { partitions: 1 }), site.pass(50)]);
    const first = client.publish('orders', { value: 'first' });
    await site.pass(100);
    await first;
    // One write reaches the disk, and its acknowledgement is lost with the broker; others never got there.
    const hold = rig.holdWrites('/log/');
    const second = client.publish('orders', { value: 'second' });
    await site.pass(100);
    expect(hold.waiting).toBe(1);
    for (const socket of site.sockets) socket.stall();
    hold.release();
    await turns();
    const third = client.publish('orders', { value: 'third' });
    await site.kill();
    await site.pass(20_000, 250);
    for (const socket of site.sockets.slice(0, 1)) expect(socket.state).toBe('open');
    // A stalled connection is told nothing: the client finds out by itself, or the network tells it in the end.
    site.sockets[0]?.terminate();
    await site.pass(20_000, 250);
    expect([(await second).duplicate, (await third).duplicate]).toEqual([true, false]);
    const seen = collect(client.subscribe('orders', { from: 'earliest' }));
    await site.pass(500);
    expect(valuesOf(seen)).toEqual(['first', 'second', 'third']);
    await site.end();
  });

  it('loses no ack and stores nothing twice over ten kills and ten broken connections', async () => {
    const rig = await Rig.start();
    const site = new Site(rig);
    const [producer, consumer] = [await site.connect(), await site.connect()];
    await Promise.all([producer.createTopic('orders', { partitions: 2 }), site.pass(50)]);
    const seen = collect(consumer.subscribe('orders', { from: 'earliest' }));
    const acks: Promise<unknown>[] = [];
    rig.powerCut = { keep: 'torn', random: seededRandom(3) };
    let value = 0;
    for (let round = 0; round < 20; round += 1) {
      for (let n = 0; n < 15; n += 1) {
        acks.push(producer.publish('orders', { partition: value % 2, value }));
        value += 1;
        if (n % 5 === round % 5) await turns(1 + (round % 3));
      }
      if (round % 2 === 0) await site.kill();
      else for (const socket of site.sockets) socket.cut();
      await site.pass(round * 100, 100);
    }
    await site.pass(60_000, 500);
    await Promise.all(acks);
    for (const partition of [0, 1]) {
      const values = valuesOf(seen.filter((record) => record.partition === partition));
      expect(values).toEqual(upTo(value).filter((n) => n % 2 === partition));
    }
    await site.end();
  });

  it('is told of a gap where a kill cost records of an async topic that it had seen', async () => {
    const rig = await Rig.start({ flushMs: 10_000 });
    const site = new Site(rig);
    const client = await site.connect();
    await Promise.all([client.createTopic('fast', { partitions: 1, durability: 'async' }), site.pass(50)]);
    const gaps: object[] = [];
    client.on('gap', ({ reason, from, to, epoch, offset }) => gaps.push({ reason, from, to, epoch, offset }));
    const seen = collect(client.subscribe('fast', { from: 'earliest' }));
    for (const value of upTo(4)) {
      const publishing = client.publish('fast', { value });
      await site.pass(50);
      await publishing;
    }
    await site.kill();
    await site.pass(5000, 250);
    const publishing = client.publish('fast', { value: 'new' });
    await site.pass(500);
    await publishing;
    expect(gaps).toEqual([{ reason: 'lost', from: 1, to: 4, epoch: 2, offset: 1 }]);
    expect(valuesOf(seen)).toEqual([0, 1, 2, 3, 'new']);
    await site.end();
  });

  it('goes on from its commits in another life', async () => {
    const rig = await Rig.start();
    const site = new Site(rig);
    const first = await site.connect();
    await Promise.all([first.createTopic('orders', { partitions: 1 }), site.pass(50)]);
    const publishing = Promise.all(upTo(10).map((value) => first.publish('orders', { value })));
    await site.pass(200);
    await publishing;
    const seen = collect(first.subscribe('orders', { group: 'billing' }), (record) => {
      if ((record.value as number) < 6) void record.commit();
    });
    await site.pass(500);
    expect(valuesOf(seen)).toEqual(upTo(10));
    await Promise.all([first.close(), site.pass(1000, 250)]);
    const restarting = rig.broker.stop();
    await rig.until(restarting);
    await rig.again();
    const second = await site.connect();
    const again = collect(second.subscribe('orders', { group: 'billing' }));
    await site.pass(500);
    expect(valuesOf(again)).toEqual([6, 7, 8, 9]);
    await site.end();
  });

  it('holds back when the broker does, and loses nothing', async () => {
    const rig = await Rig.start({ shardQueueBytes: 65_536, inFlightBytes: 65_536 });
    const site = new Site(rig);
    const client = await site.connect();
    await Promise.all([client.createTopic('orders', { partitions: 1 }), site.pass(50)]);
    const hold = rig.holdWrites('/log/');
    const value = 'x'.repeat(10_000);
    const acks = upTo(200).map((n) => client.publish('orders', { key: String(n), value }));
    await site.pass(500);
    // The mark, and the frames that had come before the socket was paused.
    expect(rig.broker.status['inFlightBytes']).toBeLessThan(700_000);
    hold.release();
    await site.pass(2000);
    expect((await Promise.all(acks)).map(({ offset }) => offset)).toEqual(upTo(200));
    await site.end();
  });
});
