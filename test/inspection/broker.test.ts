/** `/inspect` and the console page on the admin port of a running broker. */
import { setTimeout as pause } from 'node:timers/promises';
import { createWebSocketReceiver, type StatelyInspectionEvent } from '@statelyai/inspect';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { EVENTS_MAX } from '../../src/actors/session-crowd.ts';
import { type Broker, createBroker } from '../../src/broker.ts';
import type { Config } from '../../src/config.ts';
import { VIEWERS_MAX } from '../../src/inspection/inspect-socket.ts';
import { RecordingLogger } from '../../src/testing/index.ts';
import { temporaryFolder } from '../support/broker-process.ts';
import { InspectClient, type InspectOptions } from './inspect-client.ts';

const logger = new RecordingLogger();
const opened: InspectClient[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.close()));
});

async function start(config: Partial<Config> = {}): Promise<{ broker: Broker; port: number }> {
  const folder = await temporaryFolder();
  onTestFinished(() => folder.remove());
  const base = { data: folder.path, port: 0, adminPort: 0, shards: 2, reserveBytes: 0, gracePeriodMs: 8000 };
  const broker = createBroker({ ...base, ...config }, { logger });
  onTestFinished(async () => void (await broker.stop({ mode: 'fast' })));
  await broker.start();
  return { broker, port: broker.adminPort ?? 0 };
}

async function view(port: number, options: InspectOptions = {}): Promise<InspectClient> {
  const client = await InspectClient.connect(port, options);
  opened.push(client);
  return client;
}

async function session(broker: Broker, headers: Readonly<Record<string, string>> = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${broker.port}/v1`, 'sluice.v1', { headers });
  await new Promise((resolve, reject) => {
    socket.once('message', resolve);
    socket.once('error', reject);
  });
  onTestFinished(() => socket.terminate());
  return socket;
}

function fetchAdmin(port: number, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, { headers });
}

describe('the broker at /inspect', () => {
  it('shows the whole broker to a viewer that comes late, with a picture of each chart in the end', async () => {
    const { port } = await start();
    const viewer = await view(port);
    await viewer.until((seen) => seen.of('facts').length > 0);
    expect(viewer.frames[0]).toMatchObject({
      type: 'hello',
      protocol: 1,
      source: { name: 'sluice', pid: process.pid },
    });
    const names = viewer.of('actor').map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['supervisor', 'admin', 'gateway', 'shard-00', 'shard-01']));
    expect(viewer.of('actor').find(({ name }) => name === 'shard-01')).toMatchObject({
      kind: 'machine',
      value: 'running',
    });
    const ids = ['supervisor', 'admin', 'gateway', 'shard', 'session'];
    await viewer.until((seen) => {
      const drawn = seen.of('machine').filter(({ picture }) => picture !== '');
      return ids.every((id) => drawn.some((machine) => machine.id === id));
    }, 20_000);
    const shard = viewer.of('machine').find(({ id, picture }) => id === 'shard' && picture !== '');
    expect(shard?.picture).toContain('data-state="flushing.writing"');
    expect(shard?.picture).toMatch(/data-edge="\d+/);
    expect(shard?.picture).not.toMatch(/(fill|stroke)="(?!none)/);
    expect(viewer.batches.at(-1)?.dropped).toBe(0);
  });

  it('tells the status and the shutdown about once a second', async () => {
    const { port } = await start();
    const viewer = await view(port);
    await viewer.until((seen) => seen.of('facts').length >= 3);
    expect(viewer.of('facts').at(-1)).toMatchObject({
      status: { phase: 'running' },
      shutdown: { phase: 'running', stopping: false },
      sessions: { open: 0, shown: 0, events: true },
    });
  });

  it('shows a client from its coming to its going, below the gateway', async () => {
    const { broker, port } = await start();
    const before = await session(broker);
    const viewer = await view(port);
    const early = await viewer.until((seen) => seen.of('actor').find(({ id }) => id.startsWith('session:')));
    const gateway = viewer.of('actor').find(({ name }) => name === 'gateway');
    expect(early).toMatchObject({ parent: gateway?.id, kind: 'machine', value: 'ready' });
    const socket = await session(broker);
    const late = await viewer.until((seen) => seen.of('actor').filter(({ id }) => id.startsWith('session:'))[1]);
    viewer.send({ type: 'context', id: late.id });
    const shown = await viewer.until((seen) => seen.of('state').find(({ context }) => context !== undefined));
    expect(shown).toMatchObject({ id: late.id, value: 'ready', context: { unanswered: 0, subscriptions: 0 } });
    socket.close();
    await viewer.until((seen) => seen.of('gone').find(({ id }) => id === late.id));
    const steps = viewer.of('step').filter(({ id }) => id === late.id);
    const chart = viewer.of('machine').find(({ id }) => id === 'session');
    const taken = steps.flatMap(({ edges }) => edges).map((edge) => chart?.definition.edges[edge]?.event);
    expect(taken).toEqual(['hello.accepted', 'socket.closed']);
    before.close();
  });

  it('leaves out the events of sessions where there are many, says so, and shows their states all the same', async () => {
    const { broker, port } = await start();
    await Promise.all(Array.from({ length: EVENTS_MAX + 20 }, () => session(broker)));
    const viewer = await view(port);
    await viewer.until(
      (seen) => seen.of('actor').filter(({ id }) => id.startsWith('session:')).length === EVENTS_MAX + 20,
    );
    await viewer.until((seen) => seen.of('facts').at(-1)?.sessions?.events === false);
    broker.drain();
    const isSession = ({ id }: { readonly id: string }): boolean => id.startsWith('session:');
    await viewer.until((seen) => seen.of('step').filter(isSession).length >= EVENTS_MAX + 20);
    expect(viewer.of('event').filter(({ to }) => to.startsWith('session:'))).toEqual([]);
    expect(viewer.of('event').length).toBeGreaterThan(0);
  });

  it('tells a drain to sessions and shards, and that it was cancelled', async () => {
    const { broker, port } = await start();
    await session(broker);
    const viewer = await view(port);
    await viewer.until((seen) => seen.of('facts').length > 0);
    broker.drain();
    await viewer.until((seen) => seen.statesOf('shard-00').includes('draining'));
    expect(broker.cancelDrain()).toBe(true);
    await viewer.until((seen) => seen.statesOf('shard-00').at(-1) === 'running');
    expect(viewer.statesOf('supervisor')).toEqual(['running', 'draining', 'running']);
    const client = viewer.of('actor').find(({ id }) => id.startsWith('session:'));
    await viewer.until((seen) => seen.of('step').filter(({ id }) => id === client?.id).length >= 2);
    expect(viewer.statesOf(client?.name ?? '')).toEqual(['ready', 'draining', 'ready']);
  });

  it('ends with the admin port, and says so last', async () => {
    const { broker, port } = await start();
    const viewer = await view(port);
    await viewer.until((seen) => seen.of('facts').length > 0);
    const report = await broker.stop();
    expect(report.outcome).toBe('clean');
    expect(await viewer.closed).toBe(1001);
    expect(viewer.frames.at(-1)?.type).toBe('end');
    expect(viewer.statesOf('shard-00')).toEqual(['running', 'draining', 'flushing', 'released']);
    expect(viewer.statesOf('supervisor')).toEqual(
      expect.arrayContaining(['running', 'draining', 'flushing', 'releasing']),
    );
  });

  it('looks at nothing once the last viewer has gone', async () => {
    const { broker, port } = await start();
    const socket = await session(broker);
    const viewer = await view(port);
    await viewer.until((seen) => seen.of('facts').length > 0);
    await viewer.close();
    await pause(50);
    const told = viewer.batches.length;
    socket.close();
    await pause(100);
    expect(viewer.batches.length).toBe(told);
  });

  it.each([
    ['a page of another origin', { headers: { Origin: 'https://evil.example' } }, 403],
    ['a page with no origin of its own', { headers: { Origin: 'null' } }, 403],
    ['another name', { headers: { Host: 'evil.example:7071' } }, 403],
    ['another path', { path: '/other' }, 404],
  ] as const)('refuses %s', async (_, options, status) => {
    const { port } = await start();
    await expect(view(port, options)).rejects.toThrow(`refused with ${status}`);
  });

  it('takes a page of its own', async () => {
    const { port } = await start();
    const viewer = await view(port, { headers: { Origin: `http://127.0.0.1:${port}` } });
    await viewer.until((seen) => seen.of('hello').length > 0);
  });

  it('asks for the token where one is set: by the header, or as a browser can', async () => {
    const { port } = await start({ adminToken: 'tök-en' });
    await expect(view(port)).rejects.toThrow('refused with 401');
    await expect(view(port, { token: 'other' })).rejects.toThrow('refused with 401');
    const page = await view(port, { token: 'tök-en' });
    await page.until((seen) => seen.of('hello').length > 0);
    expect(page.socket.protocol).toBe('sluice.inspect.v1');
    const plain = await start({ adminToken: 'plain' });
    const program = await view(plain.port, { headers: { Authorization: 'Bearer plain' } });
    await program.until((seen) => seen.of('hello').length > 0);
  });

  it('refuses a broker that would show itself to other machines without a token, and names what to set', () => {
    const open = (config: Partial<Config>) => () => createBroker({ data: 'nowhere', ...config }, { logger });
    expect(open({ adminHost: '0.0.0.0' })).toThrow(/^adminHost: 0\.0\.0\.0 is reachable.*adminToken/);
    expect(open({ adminHost: 'example.org' })).toThrow(/adminToken/);
    expect(open({ adminHost: '0.0.0.0', adminToken: 'tok' })).not.toThrow();
    expect(open({ adminHost: '127.0.0.2' })).not.toThrow();
  });

  it('takes so many viewers and no more, and others when one has gone', async () => {
    const { port } = await start();
    const viewers = await Promise.all(Array.from({ length: VIEWERS_MAX }, () => view(port)));
    await expect(view(port)).rejects.toThrow('refused with 503');
    await viewers[0]?.close();
    await pause(50);
    const next = await view(port);
    await next.until((seen) => seen.of('hello').length > 0);
  });

  it.each(['no JSON', '[]', '{}', '{"type":"follow","ids":[1]}', '{"type":"send","id":"x","event":{}}'])(
    'closes a viewer that says %s, and serves on',
    async (message) => {
      const { port } = await start();
      const viewer = await view(port);
      viewer.send(message);
      expect(await viewer.closed).toBe(1008);
      const next = await view(port);
      await next.until((seen) => seen.of('facts').length > 0);
    },
  );

  it('closes a viewer that says too much', async () => {
    const { port } = await start();
    const viewer = await view(port);
    viewer.send(`"${'x'.repeat(70_000)}"`);
    expect(await viewer.closed).toBe(1009);
  });

  it('sends no event to a machine unless its setting allows it', async () => {
    const { broker, port } = await start();
    const viewer = await view(port);
    const root = await viewer.until((seen) => seen.of('actor').find(({ name }) => name === 'supervisor'));
    expect(viewer.of('hello')[0]?.may).toEqual({ send: false, act: true });
    viewer.send({ type: 'send', id: root.id, event: { type: 'drain', reason: 'by hand' } });
    await viewer.until((seen) => seen.of('error')[0]);
    expect(broker.status['phase']).toBe('running');
    const open = await start({ inspectSend: true });
    const other = await view(open.port);
    const supervisor = await other.until((seen) => seen.of('actor').find(({ name }) => name === 'supervisor'));
    other.send({ type: 'send', id: supervisor.id, event: { type: 'drain', reason: 'by hand' } });
    await other.until((seen) => seen.statesOf('supervisor').includes('draining'));
  });

  it('is read by the receiver of @statelyai/inspect with ?format=stately', async () => {
    const { broker, port } = await start();
    const events: StatelyInspectionEvent[] = [];
    const receiver = createWebSocketReceiver({ server: `ws://127.0.0.1:${port}/inspect?format=stately` });
    const subscription = receiver.subscribe((event) => events.push(event));
    const saw = async (found: () => boolean): Promise<void> => {
      for (let n = 0; n < 200 && !found(); n += 1) await pause(25);
      expect(found()).toBe(true);
    };
    await saw(() => events.some((event) => event.type === '@xstate.actor' && event.name === 'shard-01'));
    const shard = events.find((event) => event.type === '@xstate.actor' && event.name === 'shard-01');
    if (shard?.type !== '@xstate.actor') throw new Error('no shard');
    const supervisor = events.find((event) => event.type === '@xstate.actor' && event.name === 'supervisor');
    expect(JSON.parse(shard.definition ?? '')).toMatchObject({
      id: 'shard',
      initial: 'opening',
      states: { running: {} },
    });
    expect(shard).toMatchObject({
      parentId: supervisor?.sessionId,
      rootId: supervisor?.sessionId,
      snapshot: { value: 'running' },
    });
    broker.drain('to see it');
    await saw(() =>
      events.some(
        (event) =>
          event.type === '@xstate.event' && event.sessionId === shard.sessionId && event.event.type === 'shard.drain',
      ),
    );
    await saw(() =>
      events.some(
        (event) =>
          event.type === '@xstate.snapshot' &&
          event.sessionId === shard.sessionId &&
          JSON.stringify(event.snapshot).includes('draining'),
      ),
    );
    subscription.unsubscribe();
  });
});

describe('the console page on the admin port', () => {
  it('is served to browsers, and the plain index to everything else', async () => {
    const { port } = await start();
    const plain = await fetchAdmin(port, '/', { accept: '*/*' });
    expect(plain.headers.get('content-type')).toMatch(/^text\/plain/);
    const page = await fetchAdmin(port, '/', { accept: 'text/html,application/xhtml+xml' });
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('has a policy under which it loads and reaches nothing but its broker', async () => {
    const { broker, port } = await start();
    const page = await fetchAdmin(port, '/', { accept: 'text/html' });
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self';");
    expect(policy).toContain(`connect-src 'self' ws://127.0.0.1:${broker.port};`);
    expect(policy).not.toMatch(/unsafe|\*/);
  });

  it.each([
    '/../package.json',
    '/%2e%2e/package.json',
    '/assets/..%2f..%2fpackage.json',
    '/.hidden.js',
    '/assets//x.js',
    '/nothing.js',
  ])('has nothing at %s', async (path) => {
    const { port } = await start();
    expect((await fetchAdmin(port, path)).status).toBe(404);
  });

  it('needs no token, which guards what it shows', async () => {
    const { port } = await start({ adminToken: 'secret' });
    const page = await fetchAdmin(port, '/', { accept: 'text/html' });
    expect([200, 503]).toContain(page.status);
    expect((await fetchAdmin(port, '/status')).status).toBe(401);
    expect((await fetchAdmin(port, '/', { accept: '*/*' })).status).toBe(401);
  });

  it('refuses a POST from a page with no origin of its own', async () => {
    const { broker, port } = await start();
    const answer = await fetch(`http://127.0.0.1:${port}/drain`, { method: 'POST', headers: { origin: 'null' } });
    expect(answer.status).toBe(403);
    expect(broker.status['phase']).toBe('running');
  });
});
