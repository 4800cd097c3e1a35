/** A client in the broker's own process: what holds over a socket holds without one. */
import { describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/index.ts';
import { expectNothingLeft, Rig, turns } from '../broker/rig.ts';

/** A broker that no socket leads to. */
async function embedded(config: ConstructorParameters<typeof Rig>[0] = {}): Promise<Rig> {
  const rig = new Rig({ listen: false, ...config });
  await rig.broker.start();
  return rig;
}

async function clientOf(rig: Rig, options: Parameters<Rig['broker']['client']>[0] = {}): Promise<Client> {
  return rig.until(rig.broker.client(options));
}

describe('a client in the same process', () => {
  it('publishes, reads, commits and manages topics without a socket', async () => {
    const rig = await embedded();
    const client = await clientOf(rig);
    expect(rig.broker.port).toBeNull();
    await rig.until(client.createTopic('orders', { partitions: 1 }));
    const acks = await rig.until(Promise.all([1, 2, 3].map((value) => client.publish('orders', { value }))));
    expect(acks.map(({ offset }) => offset)).toEqual([0, 1, 2]);
    const subscription = client.subscribe('orders', { from: 'earliest', group: 'g' });
    const read: unknown[] = [];
    for (let n = 0; n < 3; n += 1) {
      const { value: record } = await rig.until(subscription.next());
      read.push(record?.value);
      if (record !== undefined) expect(await rig.until(record.commit())).toBe(n + 1);
    }
    expect(read).toEqual([1, 2, 3]);
    expect((await rig.until(client.topics())).map(({ topic }) => topic)).toEqual(['orders']);
    await rig.stop();
    await expectNothingLeft(rig);
  });

  it('is told to go, answered what it waits for, and closed for good by the shutdown', async () => {
    const rig = await embedded();
    const client = await clientOf(rig);
    await rig.until(client.createTopic('orders', { partitions: 1 }));
    const told: string[] = [];
    client.on('goaway', ({ stage }) => told.push(stage));
    client.on('state', (state) => told.push(state));
    const hold = rig.holdWrites('/log/');
    const admitted = client.publish('orders', { value: 'before the barrier' });
    await rig.pass(20);
    const stopped = rig.broker.stop({ reason: 'deploy' });
    await rig.pass(20);
    const refused = client.publish('orders', { value: 'behind it' }).catch((error: unknown) => error);
    await rig.pass(20);
    hold.release();
    const report = await rig.until(stopped);
    expect(await admitted).toMatchObject({ offset: 0 });
    expect(await refused).toMatchObject({ code: 'CLOSED' });
    expect(report).toMatchObject({ outcome: 'clean', closedGraceful: 1, closedForced: 0, lost: 0, unknown: 0 });
    expect(told).toContain('drain');
    expect(told.at(-1)).toBe('closed');
    expect(client.state).toBe('closed');
    await expectNothingLeft(rig);
    await rig.again();
    const next = await clientOf(rig);
    expect((await rig.until(next.describe('orders'))).state).toMatchObject([{ highWatermark: 1 }]);
    await rig.stop();
  });

  it('is turned away while the broker drains, and let in when the drain is cancelled', async () => {
    const rig = await embedded();
    rig.broker.drain('maintenance');
    await turns();
    let welcomed = false;
    const errors: string[] = [];
    const waiting = rig.broker.client({ on: { error: ({ message }) => errors.push(message) } }).then((client) => {
      welcomed = true;
      return client;
    });
    await rig.pass(1000);
    expect(welcomed).toBe(false);
    expect(errors[0]).toContain('DRAINING');
    rig.broker.cancelDrain();
    await rig.until(waiting);
    await rig.stop();
    await expectNothingLeft(rig);
  });

  it('counts toward the connections that the broker serves', async () => {
    const rig = await embedded({ config: { connectionsMax: 1 } });
    await clientOf(rig);
    const errors: string[] = [];
    const late = rig.broker.client({
      signal: AbortSignal.abort(),
      on: { error: ({ message }) => errors.push(message) },
    });
    await expect(late).rejects.toMatchObject({ code: 'ABORTED' });
    const stop = new AbortController();
    const second = rig.broker
      .client({ signal: stop.signal, on: { error: ({ message }) => errors.push(message) } })
      .catch((error: unknown) => error);
    await rig.pass(500);
    expect(errors[0]).toContain('TOO_MANY_CONNECTIONS');
    stop.abort();
    expect(await rig.until(second)).toMatchObject({ code: 'ABORTED' });
    await rig.stop();
    await expectNothingLeft(rig);
  });

  it('needs the token that every client needs', async () => {
    const rig = await embedded({ config: { token: 'secret-secret-secret' } });
    await expect(rig.until(rig.broker.client())).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await clientOf(rig, { token: 'secret-secret-secret' });
    await rig.stop();
  });

  it('gets no more than its credit, and is held to the size of a frame', async () => {
    const rig = await embedded({ config: { frameBytes: 65_536 } });
    const client = await clientOf(rig);
    await rig.until(client.createTopic('orders', { partitions: 1 }));
    await rig.until(Promise.all(Array.from({ length: 100 }, (_, value) => client.publish('orders', { value }))));
    const subscription = client.subscribe('orders', { from: 'earliest', credit: 10 });
    for (let n = 0; n < 100; n += 1) expect((await rig.until(subscription.next())).value?.value).toBe(n);
    await expect(rig.until(client.publish('orders', { value: 'x'.repeat(100_000) }))).rejects.toMatchObject({
      code: 'RECORD_TOO_LARGE',
    });
    await rig.stop();
  });

  it('closes by itself, and the broker goes on', async () => {
    const rig = await embedded();
    const client = await clientOf(rig);
    await rig.until(client.close());
    await rig.pass(50);
    expect(rig.broker.status).toMatchObject({ phase: 'running', sessions: 0 });
    const other = await clientOf(rig);
    await rig.until(other.publish('orders', { value: 1 }));
    await rig.stop();
    await expectNothingLeft(rig);
  });

  it('is refused before the start and behind the end, and waits for a start that is under way', async () => {
    const rig = new Rig({ listen: false });
    await expect(rig.broker.client()).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    const starting = rig.broker.start();
    const client = await clientOf(rig);
    await starting;
    expect(client.state).toBe('ready');
    await rig.stop();
    await expect(rig.broker.client()).rejects.toMatchObject({ code: 'DRAINING' });
  });

  it('serves clients of sockets and of its process from one log', async () => {
    const rig = await Rig.start();
    const inside = await clientOf(rig);
    const outside = await rig.client();
    await outside.create('orders');
    await outside.ask({ op: 'publish', topic: 'orders', partition: 0, value: 'from outside' });
    const subscription = inside.subscribe('orders', { from: 'earliest', partitions: [0] });
    expect((await rig.until(subscription.next())).value?.value).toBe('from outside');
    await rig.stop();
    await expectNothingLeft(rig);
  });
});
