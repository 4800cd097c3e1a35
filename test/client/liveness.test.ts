import { afterEach, describe, expect, test } from 'vitest';
import type { SluiceError } from '../../src/client/index.ts';
import { watchLiveness } from '../../src/client/liveness.ts';
import { FakeClock } from './fake-clock.ts';
import { connected, makeRig, type Rig } from './rig.ts';

let rig: Rig;
afterEach(() => expect(rig?.broker.complaints ?? []).toEqual([]));

const liveness = { quietMs: 1000, answerMs: 500 };

describe('a connection that died in silence', () => {
  test('is given up by a client that has nothing to send, and its consumer goes on by another', async () => {
    rig = makeRig({ liveness });
    const errors: SluiceError[] = [];
    const client = await connected(rig);
    client.on('error', (error) => errors.push(error));
    const subscription = client.subscribe('t', { from: 'earliest' });
    rig.broker.topic('t');
    await rig.clock.advance(100);
    rig.broker.deafen();
    await rig.clock.advance(2 * 1000 + 500 + 500);
    expect(errors).toMatchObject([{ code: 'CONNECTION_LOST', message: 'no answer to a ping' }]);
    expect(client.state).toBe('ready');
    expect(rig.broker.session.subscriptions.size).toBe(1);
    expect(subscription.topic).toBe('t');
    const closing = client.close();
    await rig.clock.advance(1000);
    await closing;
    expect(rig.clock.timers).toBe(0);
  });

  test('is given more time while a publish waits for its answer, and not for ever', async () => {
    rig = makeRig({ liveness });
    const client = await connected(rig);
    await rig.clock.advance(10);
    rig.broker.deafen();
    const publishing = client.publish('t', { value: 1, partition: 0 });
    await rig.clock.advance(1000 + 900);
    expect(rig.broker.dials).toBe(1);
    await rig.clock.advance(1000 + 1500 + 500);
    expect(await publishing).toMatchObject({ offset: 0 });
    expect(rig.broker.dials).toBe(2);
    const closing = client.close();
    await rig.clock.advance(1000);
    await closing;
  });
});

describe('a connection that lives', () => {
  test('is asked for a sign of life when it is quiet, and kept when it gives one', async () => {
    rig = makeRig({ liveness });
    const client = await connected(rig);
    await rig.clock.advance(60_000);
    expect(rig.broker.dials).toBe(1);
    const pings = rig.broker.commands('ping').length;
    expect(pings).toBeGreaterThan(20);
    expect(pings).toBeLessThanOrEqual(60);
    const closing = client.close();
    await rig.clock.advance(1000);
    await closing;
  });

  test('is not asked while frames come', async () => {
    rig = makeRig({ liveness });
    const client = await connected(rig);
    for (let second = 0; second < 20; second += 1) {
      rig.broker.goaway({ stage: 'cancelled', deadlineMs: 0, reconnectAfterMs: 0 });
      await rig.clock.advance(900);
    }
    expect(rig.broker.commands('ping')).toEqual([]);
    const closing = client.close();
    await rig.clock.advance(1000);
    await closing;
  });
});

test('a timer that was held up decides nothing: a page was frozen, a machine slept', async () => {
  const clock = new FakeClock();
  const said: string[] = [];
  // Timers fire, and no time is known to have passed but that of the sleep.
  let sleptMs = 0;
  const held = {
    monotonic: () => clock.monotonic() + sleptMs,
    setTimeout: (callback: () => void, ms: number) => clock.setTimeout(callback, ms),
    clearTimeout: (handle: object | number) => clock.clearTimeout(handle),
  };
  const watched = watchLiveness(
    liveness,
    held,
    () => said.push('ping'),
    () => false,
    () => said.push('dead'),
  );
  await clock.advance(1000);
  sleptMs = 3_600_000;
  await clock.advance(500);
  expect(said).toEqual(['ping', 'ping']);
  watched.heard();
  await clock.advance(500 + 1000);
  expect(said).toEqual(['ping', 'ping', 'ping']);
  await clock.advance(500);
  expect(said).toEqual(['ping', 'ping', 'ping', 'dead']);
  expect(clock.timers).toBe(0);
});
