/** The broker as a value: started, stopped, aborted and disposed at every step, and never in the way of its process. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BrokerOptions, createBroker } from '../../src/index.ts';
import { expectNothingLeft, Rig, turns } from '../broker/rig.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-embedded-'));
});
afterAll(() => rm(folder, { recursive: true }));

const quiet: BrokerOptions = { listen: false, admin: false, shards: 1, reserveBytes: 0, logLevel: 'silent' };

describe('createBroker', () => {
  it('takes settings beside its options, and says which it does not know', () => {
    expect(createBroker({ data: '/elsewhere', listen: false }).config.data).toBe('/elsewhere');
    const wrong = (options: object) => () => createBroker(options as BrokerOptions);
    expect(wrong({ config: { data: 'x' } })).toThrow('config: unknown; settings stand beside the options');
    expect(wrong({ lisen: false })).toThrow('lisen: unknown; did you mean listen?');
    expect(wrong({ shards: 0 })).toThrow(/^shards: /);
    expect(wrong({ gracePeriodMs: 1 })).toThrow('gracePeriodMs');
  });

  it('opens nothing and takes no signal before it is started, nor while it runs', async () => {
    const before = process.eventNames().map((name) => [name, process.listenerCount(name)]);
    const broker = createBroker({ ...quiet, data: join(folder, 'no-signals') });
    await broker.start();
    expect(process.eventNames().map((name) => [name, process.listenerCount(name)])).toEqual(before);
    expect(broker.port).toBeNull();
    expect(broker.adminPort).toBeNull();
    await broker.stop();
  });
});

describe('stop', () => {
  it('of a broker that was never started resolves, and it never starts', async () => {
    const rig = new Rig();
    const report = await rig.broker.stop({ reason: 'changed my mind' });
    expect(report).toMatchObject({ outcome: 'clean', exitCode: 0, reason: 'changed my mind', requests: 1 });
    await rig.broker.start();
    expect(rig.broker.port).toBeNull();
    expect(rig.disk.calls).toBe(0);
    await expectNothingLeft(rig);
  });

  it('behind a start that failed early resolves with the failure, and so does leaving its block', async () => {
    await writeFile(join(folder, 'file'), '');
    const data = join(folder, 'file', 'data');
    const broker = createBroker({ ...quiet, data });
    await expect(broker.start()).rejects.toMatchObject({ code: 'DATA_DIR_INVALID' });
    expect(await broker.stop()).toMatchObject({ outcome: 'start-failed', exitCode: 1 });
    const block = async (): Promise<void> => {
      await using inside = createBroker({ ...quiet, data });
      await inside.start();
    };
    await expect(block()).rejects.toMatchObject({ code: 'DATA_DIR_INVALID' });
  });
});

describe('an AbortSignal', () => {
  it('aborted at any call to the disk during the start ends the broker, and leaves nothing', async () => {
    const whole = new Rig();
    await whole.broker.start();
    const calls = whole.disk.calls;
    await whole.stop();
    expect(calls).toBeGreaterThan(20);
    for (let at = 0; at <= calls; at += 1) {
      const leave = new AbortController();
      const rig = new Rig({ signal: leave.signal });
      let seen = 0;
      rig.disk.onCall = () => {
        if (seen === at) leave.abort(new Error('no more'));
        seen += 1;
      };
      await rig.until(rig.broker.start());
      if (at >= calls) leave.abort(new Error('no more'));
      const report = await rig.until(rig.broker.ended);
      expect(report, `aborted at call ${at}`).toMatchObject({ outcome: 'clean', reason: 'aborted: no more' });
      await expectNothingLeft(rig);
    }
  });

  it('that was aborted before the start lets nothing be served', async () => {
    const rig = new Rig({ signal: AbortSignal.abort(new Error('too late')) });
    await rig.until(rig.broker.start());
    expect(await rig.until(rig.broker.ended)).toMatchObject({ outcome: 'clean', reason: 'aborted: too late' });
    await expectNothingLeft(rig);
  });

  it.each(['announcing', 'draining', 'flushing'])(
    'given to stop, aborted while %s, presses and loses nothing',
    async (phase) => {
      const rig = await Rig.start({ announceMs: 2000 });
      const client = await rig.client();
      await client.create('orders');
      const hold = rig.holdWrites('/log/');
      client.send({ op: 'publish', id: 1, topic: 'orders', partition: 0, value: 1 });
      await turns();
      const press = new AbortController();
      const stopped = rig.broker.stop({ signal: press.signal });
      for (let waited = 0; rig.broker.shutdownState.phase !== phase && waited < 25_000; waited += 50)
        await rig.pass(50);
      expect(rig.broker.shutdownState.phase).toBe(phase);
      press.abort(new Error('hurry'));
      await rig.pass(50);
      hold.release();
      expect(await rig.until(stopped)).toMatchObject({ outcome: 'clean', mode: 'fast', lost: 0, unknown: 0 });
      // Held up for longer than a publisher is kept waiting, it is answered before it is known.
      const answer = phase === 'flushing' ? { code: 'OUTCOME_UNKNOWN' } : { op: 'published', offset: 0 };
      expect(client.replyTo(1)).toMatchObject(answer);
      await expectNothingLeft(rig);
    },
  );

  it('keeps no broker that has ended', async () => {
    const leave = new AbortController();
    let listening = 0;
    const { signal } = leave;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listening += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listening -= 1;
      remove(...args);
    };
    for (let n = 0; n < 10; n += 1) {
      const rig = await Rig.start({}, { signal });
      await rig.stop({ signal });
      await turns();
    }
    expect(listening).toBe(0);
  });
});

describe('brokers of one process', () => {
  it('two live side by side, each with its own data, port, clients and end', async () => {
    const make = (name: string) =>
      createBroker({ data: join(folder, name), admin: false, port: 0, shards: 1, reserveBytes: 0, logLevel: 'silent' });
    const [first, second] = [make('first'), make('second')];
    await Promise.all([first.start(), second.start()]);
    expect(first.port).not.toBe(second.port);
    const [one, two] = await Promise.all([first.client(), second.client()]);
    await Promise.all([one.publish('orders', { value: 'one' }), two.publish('invoices', { value: 'two' })]);
    expect((await one.topics()).map(({ topic }) => topic)).toEqual(['orders']);
    expect((await two.topics()).map(({ topic }) => topic)).toEqual(['invoices']);
    expect(await first.stop()).toMatchObject({ outcome: 'clean' });
    expect(one.state).toBe('closed');
    expect(await two.publish('invoices', { value: 'still here' })).toMatchObject({ topic: 'invoices' });
    expect(await second.stop()).toMatchObject({ outcome: 'clean' });
  });

  it('two on one data directory are refused, and the first goes on', async () => {
    const data = join(folder, 'shared');
    const first = createBroker({ ...quiet, data });
    await first.start();
    const second = createBroker({ ...quiet, data });
    await expect(second.start()).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    expect(await second.stop()).toMatchObject({ outcome: 'start-failed' });
    const client = await first.client();
    await client.publish('orders', { value: 1 });
    expect(await first.stop()).toMatchObject({ outcome: 'clean' });
  });

  it('a hundred, started, used from within and stopped, leave nothing', async () => {
    const rig = new Rig({ listen: false });
    for (let n = 0; n < 100; n += 1) {
      await (n === 0 ? rig.broker.start() : rig.again());
      const client = await rig.until(rig.broker.client());
      expect(await rig.until(client.publish('orders', { value: n, partition: 0 }))).toMatchObject({ offset: n });
      expect(await rig.stop()).toMatchObject({ outcome: 'clean' });
      expect(client.state).toBe('closed');
      await expectNothingLeft(rig);
    }
  }, 90_000);

  it('on real disks leave no handle behind either', async () => {
    const data = join(folder, 'handles');
    // The runner has immediates of its own, which come and go.
    const handles = (): number => process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate').length;
    let before = 0;
    for (let n = 0; n < 8; n += 1) {
      const broker = createBroker({ ...quiet, data });
      await broker.start();
      const client = await broker.client();
      expect(await client.publish('orders', { value: n, partition: 0 })).toMatchObject({ offset: n });
      expect(await broker.stop()).toMatchObject({ outcome: 'clean' });
      expect(client.state).toBe('closed');
      await turns(2);
      if (n === 0) before = handles();
    }
    expect(handles()).toBeLessThanOrEqual(before);
  });
});
