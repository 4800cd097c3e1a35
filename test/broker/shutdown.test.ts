/** The cooperative shutdown as clients and operators see it, over a whole broker on a told clock. */
import { describe, expect, it } from 'vitest';
import { homeShardOf } from '../../src/domain/partition.ts';
import { Rig, turns } from './rig.ts';
import { batchOf, type WireClient } from './wire-client.ts';

function topicOn(shard: number): string {
  for (let n = 0; ; n += 1) if (homeShardOf(`t${n}`, 2) === shard) return `t${n}`;
}

const [zero, one] = [topicOn(0), topicOn(1)];

/** Nothing of the broker is left but what it wrote. */
async function expectNothingLeft(rig: Rig): Promise<void> {
  expect(rig.disk.openFiles).toBe(0);
  expect(rig.clock.pending).toBe(0);
  const client = rig.network.dial();
  await turns();
  expect(client.refusal).toMatchObject({ status: 0 });
}

const opsOf = (client: WireClient): string[] => client.all.map(({ reply }) => reply.op);

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
        await rig.makeDirectory();
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

  it('stays ready with a failed shard, and names it', async () => {
    const rig = await Rig.start({}, { admin: true });
    const client = await rig.client();
    await client.create(zero);
    rig.failWrites('shards/00/log', 'EIO');
    await client.ask({ op: 'publish', topic: zero, value: 1 });
    const response = await fetch(`http://127.0.0.1:${rig.broker.adminPort}/readyz`, {
      headers: { connection: 'close' },
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ ready: true, degraded: [expect.stringContaining('shard-00')] });
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
  expect(opsOf(client).slice(-2)).toEqual(['goaway', 'published']);
});
