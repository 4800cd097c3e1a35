/** A client on a fake broker with a told clock. */
import { type Client, type ConnectOptions, connect } from '../../src/client/index.ts';
import { FakeBroker } from './fake-broker.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { socketOf } from './fake-socket.ts';

export const URL = 'ws://broker.test/v1';

export interface Rig {
  readonly clock: FakeClock;
  readonly broker: FakeBroker;
  readonly options: ConnectOptions;
}

/** `random` is what every draw gives, so that waits are known. */
export function makeRig(options: ConnectOptions = {}, random = 0.5): Rig {
  const clock = new FakeClock();
  const broker = new FakeBroker(clock);
  return { clock, broker, options: { WebSocket: socketOf(broker), clock, random: () => random, ...options } };
}

export async function connected(rig: Rig): Promise<Client> {
  const connecting = connect(URL, rig.options);
  await rig.clock.advance(10);
  const client = await connecting;
  // Tests look at rejections when they come to it, which may be turns later: none counts as unhandled before.
  const publish = client.publish.bind(client);
  client.publish = (...args) => seen(publish(...args));
  const drain = client.drain.bind(client);
  client.drain = (...args) => seen(drain(...args));
  return client;
}

export function seen<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** How a promise stands: what it gave, what it was rejected with, or `pending`. */
export async function outcome<T>(promise: Promise<T>): Promise<T | string> {
  let result: T | string = 'pending';
  promise.then(
    (value) => {
      result = value;
    },
    (error: { code?: string }) => {
      result = error.code ?? String(error);
    },
  );
  await settle();
  return result;
}
