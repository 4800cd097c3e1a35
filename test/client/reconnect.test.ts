import { afterEach, describe, expect, test } from 'vitest';
import { type ClientState, connect } from '../../src/client/index.ts';
import { connected, makeRig, outcome, type Rig, seen, URL } from './rig.ts';

let rig: Rig;
afterEach(() => expect(rig.broker.complaints).toEqual([]));

/** Times between dials while the broker cannot be reached, ms. */
async function waits(random: number, forMs: number): Promise<number[]> {
  rig = makeRig({}, random);
  rig.broker.latencyMs = 0;
  const client = await connected(rig);
  const dials: number[] = [];
  client.on('state', (state) => {
    if (state === 'connecting') dials.push(rig.clock.monotonic());
  });
  rig.broker.reachable = false;
  const start = rig.clock.monotonic();
  rig.broker.cut();
  await rig.clock.advance(forMs);
  await client.close();
  return dials.map((at, index) => Math.round(at - (dials[index - 1] ?? start)));
}

describe('connect', () => {
  test('resolves at the welcome that answers hello, with name, producer and subprotocol told', async () => {
    rig = makeRig({ name: 'shop/1.2', producer: 'p-1' });
    const client = await connected(rig);
    expect(client.state).toBe('ready');
    expect(rig.broker.commands('hello')).toMatchObject([{ client: 'shop/1.2', producer: 'p-1' }]);
    expect(rig.broker.session.socket.protocol).toBe('sluice.v1');
    expect(client.welcome?.limits.inFlightPublishes).toBe(1024);
  });

  test('tries until the broker is there', async () => {
    rig = makeRig();
    rig.broker.reachable = false;
    const states: ClientState[] = [];
    const connecting = seen(connect(URL, { ...rig.options, on: { state: (state) => states.push(state) } }));
    await rig.clock.advance(60_000);
    expect(await outcome(connecting)).toBe('pending');
    rig.broker.reachable = true;
    await rig.clock.advance(15_000);
    expect((await connecting).state).toBe('ready');
    expect(states.slice(0, 4)).toEqual(['connecting', 'waiting', 'connecting', 'waiting']);
    expect(states.at(-1)).toBe('ready');
  });

  test('stops trying when its signal fires, and says what failed last', async () => {
    rig = makeRig();
    rig.broker.reachable = false;
    const controller = new AbortController();
    const connecting = seen(connect(URL, { ...rig.options, signal: controller.signal }));
    await rig.clock.advance(5_000);
    controller.abort();
    await expect(connecting).rejects.toMatchObject({
      code: 'ABORTED',
      message: expect.stringContaining('ECONNREFUSED'),
      cause: { code: 'CONNECTION_LOST' },
    });
    const { dials } = rig.broker;
    await rig.clock.advance(60_000);
    expect(rig.broker.dials).toBe(dials);
    expect(rig.clock.timers).toBe(0);
  });

  test('a timeout signal is told as a timeout', async () => {
    rig = makeRig();
    rig.broker.reachable = false;
    const controller = new AbortController();
    const connecting = seen(connect(URL, { ...rig.options, signal: controller.signal }));
    controller.abort(new DOMException('late', 'TimeoutError'));
    expect(await outcome(connecting)).toBe('TIMEOUT');
  });

  test('says what to pass where there is no WebSocket, and what a url is like', async () => {
    rig = makeRig();
    const { WebSocket: _, ...rest } = rig.options;
    const had = Reflect.get(globalThis, 'WebSocket');
    Reflect.deleteProperty(globalThis, 'WebSocket');
    try {
      await expect(connect(URL, rest)).rejects.toMatchObject({
        code: 'NO_WEBSOCKET',
        message: expect.stringContaining('"ws"'),
      });
    } finally {
      if (had !== undefined) Reflect.set(globalThis, 'WebSocket', had);
    }
    class Picky {
      constructor(url: string) {
        throw new SyntaxError(`Invalid URL: ${url}`);
      }
    }
    await expect(connect('nonsense', { ...rest, WebSocket: Picky })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining('Invalid URL: nonsense'),
    });
  });

  test('gives up an attempt without a welcome after 10 s, and goes on', async () => {
    rig = makeRig();
    rig.broker.latencyMs = 20_000;
    const errors: string[] = [];
    const connecting = seen(connect(URL, { ...rig.options, on: { error: ({ code }) => errors.push(code) } }));
    await rig.clock.advance(9_999);
    expect(errors).toEqual([]);
    await rig.clock.advance(1);
    expect(errors).toEqual(['TIMEOUT']);
    rig.broker.latencyMs = 1;
    await rig.clock.advance(1_000);
    expect((await connecting).state).toBe('ready');
  });
});

describe('the token', () => {
  test('is asked for on every connection', async () => {
    let asked = 0;
    rig = makeRig({
      token: async () => {
        asked += 1;
        return `token-${asked}`;
      },
    });
    rig.broker.token = 'token-1';
    const client = await connected(rig);
    rig.broker.token = 'token-2';
    rig.broker.cut();
    await rig.clock.advance(1_000);
    expect(client.state).toBe('ready');
    expect(asked).toBe(2);
  });

  test('a wrong one is final, and everything pending is told why', async () => {
    rig = makeRig({ token: 'wrong' });
    rig.broker.token = 'right';
    const connecting = seen(connect(URL, rig.options));
    await rig.clock.advance(100);
    expect(await outcome(connecting)).toBe('UNAUTHENTICATED');
    await rig.clock.advance(60_000);
    expect(rig.broker.dials).toBe(1);
    expect(rig.clock.timers).toBe(0);
  });

  test('a callback that fails is a failed attempt, tried again', async () => {
    let fail = true;
    rig = makeRig({
      token: () => {
        if (fail) throw new Error('no session');
        return 't';
      },
    });
    const errors: string[] = [];
    const connecting = seen(connect(URL, { ...rig.options, on: { error: (error) => errors.push(error.message) } }));
    await rig.clock.advance(10);
    expect(errors).toEqual(['the token failed: no session']);
    fail = false;
    await rig.clock.advance(1_000);
    expect((await connecting).state).toBe('ready');
  });
});

describe('the back-off', () => {
  test('is drawn evenly from windows that double from 250 ms to 15 s, without end', async () => {
    const longest = await waits(0.999_999_999, 120_000);
    expect(longest.slice(0, 9)).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
    const middle = await waits(0.5, 60_000);
    expect(middle.slice(0, 8)).toEqual([125, 250, 500, 1000, 2000, 4000, 7500, 7500]);
  });

  test('begins anew after a connection that lasted, and not after one that did not', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const waited: number[] = [];
    let since = 0;
    client.on('state', (state) => {
      if (state === 'waiting') since = rig.clock.monotonic();
      if (state === 'connecting') waited.push(rig.clock.monotonic() - since);
    });
    for (let round = 0; round < 4; round += 1) {
      rig.broker.cut();
      await rig.clock.advance(1_100);
      expect(client.state).toBe('ready');
    }
    await rig.clock.advance(6_000);
    rig.broker.cut();
    await rig.clock.advance(1_100);
    expect(waited).toEqual([125, 250, 500, 1000, 125]);
  });
});

describe('goaway', () => {
  test('the time that the broker gave decides when the client returns, once', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const told: number[] = [];
    client.on('goaway', ({ reconnectAfterMs }) => told.push(reconnectAfterMs));
    const errors: string[] = [];
    client.on('error', ({ code }) => errors.push(code));
    rig.broker.goaway({ stage: 'announce', deadlineMs: 30_000, reconnectAfterMs: 9_999 });
    rig.broker.goaway({ stage: 'drain', deadlineMs: 20_000, reconnectAfterMs: 4_321 });
    await rig.clock.advance(10);
    expect(client.state).toBe('draining');
    rig.broker.cut(1012, 'shutdown');
    rig.broker.reachable = false;
    const dials = rig.broker.dials;
    await rig.clock.advance(4_320);
    expect(rig.broker.dials).toBe(dials);
    await rig.clock.advance(2);
    expect(rig.broker.dials).toBe(dials + 1);
    expect(told).toEqual([9_999, 4_321]);
    expect(errors).toEqual(['CONNECTION_LOST']);
    await rig.clock.advance(126);
    expect(rig.broker.dials).toBe(dials + 2);
  });

  test('publishes go on through the announcement and wait from the drain on; commits still go', async () => {
    rig = makeRig();
    rig.broker.topic('t', 1);
    const client = await connected(rig);
    const subscription = client.subscribe('t', { group: 'g' });
    rig.broker.goaway({ stage: 'announce', deadlineMs: 30_000, reconnectAfterMs: 100 });
    await rig.clock.advance(10);
    const before = client.publish('t', { value: 1 });
    await rig.clock.advance(10);
    await before;
    rig.broker.goaway({ stage: 'drain', deadlineMs: 20_000, reconnectAfterMs: 100 });
    await rig.clock.advance(10);
    const behind = client.publish('t', { value: 2 });
    const committed = subscription.commit({ partition: 0, offset: 1 });
    await rig.clock.advance(1_000);
    expect(await outcome(committed)).toBe(1);
    expect(await outcome(behind)).toBe('pending');
    expect(rig.broker.commands('publish')).toHaveLength(1);
    rig.broker.cut(1012);
    await rig.clock.advance(1_000);
    expect(await behind).toMatchObject({ offset: 1, duplicate: false });
  });

  test('a drain that was called off: past its deadline the client goes on', async () => {
    rig = makeRig();
    const client = await connected(rig);
    rig.broker.goaway({ stage: 'drain', deadlineMs: 5_000, reconnectAfterMs: 100 });
    await rig.clock.advance(10);
    const ack = client.publish('t', { value: 1 });
    await rig.clock.advance(4_900);
    expect(await outcome(ack)).toBe('pending');
    await rig.clock.advance(200);
    expect(client.state).toBe('ready');
    expect(await outcome(ack)).toMatchObject({ offset: 0 });
  });

  test('a broker that drains when it welcomes is told as draining', async () => {
    rig = makeRig();
    rig.broker.draining = true;
    expect((await connected(rig)).state).toBe('draining');
  });
});

describe('the end of a connection', () => {
  test.each([1000, 1001, 1002, 1006, 1011, 1012, 1013, 4100, 4199])('%i: the client comes back', async (code) => {
    rig = makeRig();
    const client = await connected(rig);
    rig.broker.cut(code);
    expect(client.state).toBe('waiting');
    await rig.clock.advance(1_000);
    expect(client.state).toBe('ready');
  });

  test.each([1008, 4000, 4001, 4099])('%i: the client stays away, and what is pending is rejected', async (code) => {
    rig = makeRig();
    rig.broker.topic('t', 1);
    rig.broker.refuse = (command) =>
      command['op'] === 'describe' ? { code: 'OVERLOADED', retryable: true, retryAfterMs: 60_000 } : null;
    const client = await connected(rig);
    const ack = client.publish('t', { value: 1 });
    const drained = client.drain();
    const next = seen(client.subscribe('t').next());
    await rig.clock.advance(10);
    rig.broker.cut(code, 'not you');
    expect(client.state).toBe('closed');
    const pending: Promise<unknown>[] = [ack, drained, next];
    expect(await Promise.all(pending.map((each) => outcome(each)))).toEqual(Array(3).fill('CONNECTION_REFUSED'));
    await expect(client.topics()).rejects.toThrow(`closed with ${code}: not you`);
    expect(() => client.subscribe('t')).toThrow('not you');
    await rig.clock.advance(60_000);
    expect(rig.broker.dials).toBe(1);
    expect(rig.clock.timers).toBe(0);
  });

  test('the complaint that came before a final close is the reason', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const ack = client.publish('t', { value: 1 });
    const error = { op: 'error', code: 'PRODUCER_TAKEN', retryable: false, message: 'another came' };
    rig.broker.session.socket.deliver(JSON.stringify(error));
    await rig.clock.advance(1);
    rig.broker.cut(4001);
    expect(['PRODUCER_TAKEN', 'OUTCOME_UNKNOWN']).toContain(await outcome(ack));
    await expect(client.topics()).rejects.toMatchObject({ code: 'PRODUCER_TAKEN' });
  });

  test('a frame that cannot be read ends the connection, not the client', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const errors: string[] = [];
    client.on('error', ({ code }) => errors.push(code));
    for (const frame of ['{', 'null', new Uint8Array([0, 0, 1, 0]), new Uint8Array(2)]) {
      rig.broker.session.socket.deliver(frame);
      await rig.clock.advance(10_000);
      expect(client.state).toBe('ready');
    }
    expect(errors).toEqual(Array(4).fill('BAD_REPLY'));
  });

  test('a listener that throws is reported, and breaks nothing', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const uncaught: unknown[] = [];
    const handlers = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => uncaught.push(error));
    const off = client.on('state', () => {
      off();
      throw new Error('mine');
    });
    rig.broker.cut();
    await rig.clock.advance(10);
    for (const handler of handlers) process.on('uncaughtException', handler);
    expect(uncaught).toMatchObject([{ message: 'mine' }]);
    await rig.clock.advance(1_000);
    expect(client.state).toBe('ready');
  });
});

describe('commands', () => {
  test('those that may be repeated are answered over a lost connection, a deletion is not repeated', async () => {
    rig = makeRig();
    const client = await connected(rig);
    rig.broker.latencyMs = 50;
    const listed = client.topics();
    const created = client.createTopic('made', { partitions: 2 });
    const deleted = seen(client.deleteTopic('made'));
    await rig.clock.advance(10);
    rig.broker.cut();
    expect(await outcome(deleted)).toBe('OUTCOME_UNKNOWN');
    await rig.clock.advance(2_000);
    expect(await outcome(listed)).toEqual([]);
    expect(await created).toMatchObject({ topic: 'made', partitions: 2 });
    expect(rig.broker.commands('delete')).toEqual([]);
  });

  test('a refusal rejects with its code, and says whether and when to try again', async () => {
    rig = makeRig();
    rig.broker.refuse = (command) =>
      command['op'] === 'create' ? { code: 'DRAINING', retryable: true, retryAfterMs: 1_200 } : null;
    const client = await connected(rig);
    const created = seen(client.createTopic('t'));
    const described = seen(client.describe('none'));
    await rig.clock.advance(10);
    await expect(created).rejects.toMatchObject({ code: 'DRAINING', retryable: true, retryAfterMs: 1_200 });
    await expect(described).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC', retryable: false });
  });

  test('a signal gives up on one', async () => {
    rig = makeRig();
    const client = await connected(rig);
    rig.broker.cut();
    const controller = new AbortController();
    const listed = seen(client.topics({ signal: controller.signal }));
    controller.abort();
    expect(await outcome(listed)).toBe('ABORTED');
    await rig.clock.advance(1_000);
    expect(rig.broker.commands('topics')).toEqual([]);
  });

  test('no more than 1,024 wait for an answer', async () => {
    rig = makeRig();
    const client = await connected(rig);
    rig.broker.cut();
    const calls = Array.from({ length: 1_024 }, () => client.topics());
    await expect(client.topics()).rejects.toMatchObject({ code: 'OUTBOX_FULL' });
    await rig.clock.advance(1_000);
    await Promise.all(calls);
  });
});
