/** The connection without a socket, frame by frame. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { TransportConnection } from '../../src/client/index.ts';
import { type LocalGate, localTransport } from '../../src/embedding/local-link.ts';
import { createBroker } from '../../src/index.ts';
import type { Connection } from '../../src/ports/connection.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { turns } from '../broker/rig.ts';

interface Ends {
  readonly client: TransportConnection;
  readonly clock: SimulatedClock;
  /** What each side saw, in order. */
  readonly seen: string[];
  server: Connection | null;
}

function open(gate: Partial<LocalGate> = {}): Ends {
  const clock = new SimulatedClock();
  const seen: string[] = [];
  const ends: { server: Connection | null } = { server: null };
  const transport = localTransport({
    gate: {
      frameBytesMax: 100,
      admit: (connection) => {
        ends.server = connection;
        connection.events = {
          text: (text) => seen.push(`server: ${text}`),
          binary: (bytes) => seen.push(`server: ${bytes.length} bytes`),
          pong: () => seen.push('server: pong'),
          drained: () => {},
          closed: (code, reason) => seen.push(`server closed: ${code} ${reason}`),
        };
        return null;
      },
      ...gate,
    },
    clock,
    defer: (callback) => clock.defer(callback),
    remote: 'in-process:1',
  });
  const client = transport.open({
    opened: () => seen.push('opened'),
    frame: (data) => seen.push(`client: ${typeof data === 'string' ? data : `${data.length} bytes`}`),
    closed: (code, reason) => seen.push(`client closed: ${code} ${reason}`),
  });
  return Object.assign(ends, { client, clock, seen });
}

it('opens a turn later, carries text and bytes in order both ways, and answers pings', async () => {
  const ends = open();
  const { client, seen } = ends;
  expect(seen).toEqual([]);
  await turns();
  const { server } = ends;
  expect(seen).toEqual(['opened']);
  client.send('a');
  client.send(new Uint8Array(3));
  server?.sendText('b');
  server?.ping();
  await turns();
  expect(seen.slice(1).sort()).toEqual(['client: b', 'server: 3 bytes', 'server: a', 'server: pong']);
  expect(seen.indexOf('server: a')).toBeLessThan(seen.indexOf('server: 3 bytes'));
});

it('closes with 1009 on a frame that is larger than the broker takes', async () => {
  const ends = open();
  await turns();
  ends.client.send('x'.repeat(101));
  await turns();
  expect(ends.seen).toEqual(['opened', 'server closed: 1009 Max payload size exceeded', 'client closed: 1009 ']);
});

it('ends as it was told to, by either side, once', async () => {
  const byClient = open();
  await turns();
  byClient.client.close(1000, 'bye');
  byClient.client.close(1000, 'again');
  byClient.client.send('too late');
  await turns();
  expect(byClient.seen).toEqual(['opened', 'server closed: 1000 bye', 'client closed: 1000 bye']);
  const byServer = open();
  await turns();
  byServer.server?.close(1012, 'deploy');
  await turns();
  expect(byServer.seen.sort()).toEqual(['client closed: 1012 deploy', 'opened', 'server closed: 1012 deploy']);
  expect(byServer.clock.pending).toBe(0);
  const cut = open();
  await turns();
  cut.server?.terminate();
  await turns();
  expect(cut.seen).toEqual(['opened', 'client closed: 1006 ', 'server closed: 1006 ']);
});

it('tells nothing more to a client that abandoned it, and the broker that it is gone', async () => {
  const early = open();
  early.client.abandon();
  await turns();
  expect([early.seen, early.server]).toEqual([[], null]);
  const late = open();
  await turns();
  late.server?.sendText('unheard');
  late.client.abandon();
  await turns();
  expect(late.seen).toEqual(['opened', 'server closed: 1006 ']);
});

it('is refused with the code that the gate gives', async () => {
  const { seen } = open({ admit: () => 'TOO_MANY_CONNECTIONS' });
  await turns();
  expect(seen).toEqual(['client closed: 1006 TOO_MANY_CONNECTIONS']);
});

it('leaves the event loop its turns, however fast a client asks', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-turns-'));
  const data = join(folder, 'data');
  const broker = createBroker({ data, listen: false, admin: false, shards: 1, reserveBytes: 0, logLevel: 'silent' });
  await broker.start();
  const client = await broker.client();
  let fired = false;
  setTimeout(() => {
    fired = true;
  }, 10);
  let asked = 0;
  while (!fired && asked < 1_000_000) {
    await client.topics();
    asked += 1;
  }
  expect(fired).toBe(true);
  await broker.stop();
  await rm(folder, { recursive: true });
});
