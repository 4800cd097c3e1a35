/** The cooperative shutdown over a whole broker on a told clock: what is kept, and what is left. */
import { describe, expect, it } from 'vitest';
import { expectNothingLeft, Rig, topicOn, turns } from './rig.ts';
import { batchOf } from './wire-client.ts';

const zero = topicOn(0);

describe('an idle broker', () => {
  it('stops at once, clean, and leaves nothing', async () => {
    const rig = await Rig.start();
    const report = await rig.stop({ reason: 'deploy' });
    expect(report).toMatchObject({ outcome: 'clean', exitCode: 0, reason: 'deploy', requests: 1, lost: 0, unknown: 0 });
    expect(report.durationMs).toBeLessThan(250);
    expect(report.children.map(({ id, state }) => [id, state])).toEqual([
      ['shard-00', 'released'],
      ['shard-01', 'released'],
      ['gateway', 'released'],
    ]);
    await expectNothingLeft(rig);
  });

  it('writes its report to the data directory, and the next start tells it once', async () => {
    const rig = await Rig.start();
    await rig.stop({ reason: 'deploy' });
    const written = JSON.parse(Buffer.from(rig.disk.bytesOf('/memory/data/last-shutdown.json')).toString());
    expect(written).toMatchObject({ outcome: 'clean', exitCode: 0, reason: 'deploy' });
    await rig.again();
    const told = rig.logger.lines.filter(({ message }) => message === 'last shutdown');
    expect(told.map(({ fields }) => fields['reason'])).toEqual(['deploy']);
    await rig.crash();
    expect(rig.logger.lines.filter(({ message }) => message === 'last shutdown')).toHaveLength(1);
    expect(rig.logger.messages('warn').filter((message) => message.includes('was killed'))).toHaveLength(1);
    await rig.stop();
  });

  it('stops and starts twenty times over on the same data, and leaves nothing', async () => {
    const rig = await Rig.start();
    for (let n = 0; n < 20; n += 1) {
      const client = await rig.client();
      expect(await client.ask({ op: 'publish', topic: 'orders', partition: 0, value: n })).toMatchObject({ offset: n });
      expect((await rig.stop()).outcome).toBe('clean');
      await expectNothingLeft(rig);
      await rig.again();
    }
    await rig.stop();
  });

  it('replays nothing after a clean stop', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    for (let n = 0; n < 10; n += 1) await client.ask({ op: 'publish', topic: 'orders', value: n });
    rig.logger.lines.length = 0;
    await rig.restart();
    const recovered = rig.logger.lines
      .filter(({ message }) => message === 'shard recovered')
      .map(({ fields }) => fields);
    expect(recovered).toHaveLength(2);
    // The clean mark itself is the one entry behind the checkpoint.
    for (const { replayed, clean } of recovered) expect([replayed, clean]).toEqual([1, true]);
    await rig.stop();
  });
});

describe('publishes across the barrier', () => {
  it('are acknowledged up to it and refused behind it, in order, each once, all before the close', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create(zero);
    await client.hello('p-1');
    const hold = rig.holdWrites('shards/00/log');
    for (let n = 0; n < 5; n += 1)
      client.send({ op: 'publish', id: n, topic: zero, partition: 0, value: n, sequence: n });
    await turns();
    const stopping = rig.broker.stop();
    await rig.pass(1);
    for (let n = 5; n < 10; n += 1)
      client.send({ op: 'publish', id: n, topic: zero, partition: 0, value: n, sequence: n });
    await turns();
    expect(client.replyTo(0)).toBeUndefined();
    expect(client.replyTo(9)).toMatchObject({ op: 'error', code: 'DRAINING', retryable: true });
    expect(client.replyTo(9).retryAfterMs).toBeGreaterThan(0);
    hold.release();
    const report = await rig.until(stopping);
    expect(report).toMatchObject({ outcome: 'clean', flushedRecords: 5 });
    const answers = Array.from({ length: 10 }, (_, id) => client.replyTo(id));
    expect(answers.map(({ op, code, offset }) => code ?? `${op} ${offset}`)).toEqual([
      ...[0, 1, 2, 3, 4].map((offset) => `published ${offset}`),
      ...Array.from({ length: 5 }, () => 'DRAINING'),
    ]);
    expect(client.all.filter(({ reply }) => typeof reply.id === 'number')).toHaveLength(10);
    expect(client.socket.closed).toMatchObject({ code: 1012 });
    await rig.again();
    const again = await rig.client();
    await again.ask({ op: 'subscribe', topic: zero, from: 'earliest' });
    await turns();
    expect(again.delivered().get(0)).toEqual([0, 1, 2, 3, 4]);
    await rig.stop();
  });

  it('of an async topic that were acknowledged are on disk when the outcome is clean', async () => {
    const rig = await Rig.start({ flushMs: 10_000 });
    const client = await rig.client();
    await client.create('fast', { durability: 'async' });
    // The first is written at once, in company with the partition that it opens.
    for (let n = 0; n <= 20; n += 1) await client.ask({ op: 'publish', topic: 'fast', partition: 0, value: n });
    const report = await rig.stop();
    expect(report).toMatchObject({ outcome: 'clean', lost: 0 });
    expect(report.flushedRecords).toBe(20);
    await rig.again();
    const again = await rig.client();
    const reply = await again.ask({ op: 'subscribe', topic: 'fast', from: 'earliest' });
    expect(reply.partitions).toMatchObject([{ epoch: 1, highWatermark: 21 }]);
    await rig.stop();
  });

  it('as binary frames have their rows before the close, too', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create(zero);
    const hold = rig.holdWrites('shards/00/log');
    for (let id = 0; id < 3; id += 1) client.sendBinary({ op: 'publish', id, topic: zero, partition: 0 }, batchOf(id));
    await turns();
    const stopping = rig.broker.stop();
    await turns();
    hold.release();
    await rig.until(stopping);
    expect(
      client
        .of('published')
        .flatMap(({ acks }) => acks as number[][])
        .map(([id]) => id),
    ).toEqual([0, 1, 2]);
    expect(client.socket.closed).toMatchObject({ code: 1012 });
    await rig.stop();
  });
});

it('acks come before the close on the wire', async () => {
  const rig = await Rig.start();
  const order: string[] = [];
  rig.onConnection = (connection) => {
    const { close, sendText } = connection;
    connection.sendText = (text) => {
      order.push(JSON.parse(text).op);
      sendText.call(connection, text);
    };
    connection.close = (code, reason) => {
      order.push(`close ${code}`);
      close.call(connection, code, reason);
    };
  };
  const client = await rig.client();
  await client.create(zero);
  const hold = rig.holdWrites('shards/00/log');
  client.send({ op: 'publish', id: 1, topic: zero, value: 1 });
  await turns();
  const stopping = rig.broker.stop();
  await rig.pass(100);
  hold.release();
  await rig.until(stopping);
  expect(order.slice(-3)).toEqual(['goaway', 'published', 'close 1012']);
  expect(client.all.map(({ reply }) => reply.op).slice(-2)).toEqual(['goaway', 'published']);
});
