/** The same client over real sockets, with the WebSocket of the `ws` package on both sides. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { type Client, connect } from '../../src/client/index.ts';
import { FakeBroker, type Session } from './fake-broker.ts';
import { FakeClock } from './fake-clock.ts';
import type { FakeSocket } from './fake-socket.ts';

let server: WebSocketServer | null = null;
let client: Client | null = null;
afterEach(async () => {
  await client?.close();
  for (const socket of server?.clients ?? []) socket.terminate();
  await new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve)));
  server = client = null;
});

async function serve(broker: FakeBroker, port = 0): Promise<number> {
  const listening = new WebSocketServer({ host: '127.0.0.1', port, handleProtocols: () => 'sluice.v1' });
  server = listening;
  listening.on('connection', (socket) => {
    // The part of a `FakeSocket` that the broker uses, over a real one.
    const deliver = (data: string | Uint8Array): void => socket.send(data);
    const cut = (code: number, reason: string): void =>
      code === 1006 ? socket.terminate() : socket.close(code, reason);
    const session: Session = broker.opened({ deliver, cut, close: cut } as unknown as FakeSocket);
    socket.on('message', (data: Buffer, binary: boolean) =>
      broker.receive(session, binary ? new Uint8Array(data) : data.toString('utf8')),
    );
    socket.on('close', () => broker.gone(session));
  });
  await once(listening, 'listening');
  return (listening.address() as AddressInfo).port;
}

test('publishes, reads back, survives a lost connection and a broker that was away, and leaves nothing open', async () => {
  const broker = new FakeBroker(new FakeClock());
  broker.partitions = 1;
  const port = await serve(broker);
  client = await connect(`ws://127.0.0.1:${port}/v1`, { WebSocket, backoff: { minMs: 1, maxMs: 20 } });
  const first = await client.publish('t', { key: 'ключ', value: new Uint8Array(100_000).fill(7) });
  expect(first).toMatchObject({ topic: 't', partition: 0, offset: 0 });
  const subscription = client.subscribe('t', { from: 'earliest' });
  const { value: record } = await subscription.next();
  expect(record?.key).toBe('ключ');
  expect(record?.bytes()).toEqual(new Uint8Array(100_000).fill(7));

  broker.cut(1006);
  expect(await client.publish('t', { value: { n: 2 } })).toMatchObject({ offset: 1 });
  expect((await subscription.next()).value?.json()).toEqual({ n: 2 });

  const failures: string[] = [];
  client.on('error', ({ message }) => failures.push(message));
  for (const socket of server?.clients ?? []) socket.terminate();
  await new Promise((resolve) => server?.close(resolve));
  const waiting = client.publish('t', { value: 'three' });
  while (!failures.some((failure) => failure.includes('ECONNREFUSED'))) {
    await new Promise((resolve) => client?.on('error', resolve));
  }
  await serve(broker, port);
  expect(await waiting).toMatchObject({ offset: 2, duplicate: false });
  expect((await subscription.next()).value?.value).toBe('three');
  expect(broker.complaints).toEqual([]);
  await client.close();
  expect(client.state).toBe('closed');
  expect(await subscription.next()).toEqual({ done: true, value: undefined });
});

test('a wrong token ends it with the code of the broker, over the wire', async () => {
  const broker = new FakeBroker(new FakeClock());
  broker.token = 'right';
  const port = await serve(broker);
  const refused = connect(`ws://127.0.0.1:${port}/v1`, { WebSocket, token: async () => 'wrong' });
  await expect(refused).rejects.toMatchObject({ code: 'UNAUTHENTICATED', retryable: false });
});
