import { describe, expect, test } from 'vitest';
import { defaults } from '../../src/config.ts';
import type { Clock, TimerHandle } from '../../src/ports/clock.ts';
import type { Connection, ConnectionRequest, ListenOptions } from '../../src/ports/connection.ts';
import { type DialOptions, memoryNetwork } from '../../src/testing/memory-sockets.ts';
import { RecordingLogger } from '../../src/testing/recording-logger.ts';

/** A clock that is told to go on: deferred calls first, timers when their time is reached. */
class ManualClock implements Clock {
  #now = 0;
  #deferred: (() => void)[] = [];
  readonly #timers = new Map<object, { readonly at: number; readonly callback: () => void }>();

  now = () => this.#now;
  monotonic = () => this.#now;
  defer = (callback: () => void) => void this.#deferred.push(callback);
  setTimeout = (callback: () => void, ms: number): TimerHandle => {
    const handle = {};
    this.#timers.set(handle, { at: this.#now + ms, callback });
    return handle;
  };
  clearTimeout = (handle: TimerHandle) => void this.#timers.delete(handle as object);

  get timers(): number {
    return this.#timers.size;
  }

  /** One turn: what was deferred before it. */
  turn(): void {
    for (const callback of this.#deferred.splice(0)) callback();
  }

  settle(): void {
    while (this.#deferred.length > 0) this.turn();
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const [handle, { at, callback }] of this.#timers) {
      if (at > this.#now || !this.#timers.delete(handle)) continue;
      callback();
    }
    this.settle();
  }
}

interface Server {
  readonly connection: Connection;
  readonly request: ConnectionRequest;
  readonly happenings: unknown[];
}

async function stage(config: Partial<ListenOptions['config']> = {}, over: Partial<ListenOptions> = {}) {
  const clock = new ManualClock();
  const network = memoryNetwork({ clock });
  const logger = new RecordingLogger();
  const servers: Server[] = [];
  const listener = await network.listen({
    host: '127.0.0.1',
    port: 7070,
    config: { ...defaults, ...config },
    clock,
    logger,
    onConnection: (connection, request) => {
      const happenings: unknown[] = [];
      connection.events = {
        text: (text) => happenings.push(text),
        binary: (bytes) => happenings.push([...bytes]),
        pong: () => happenings.push('<pong>'),
        drained: () => happenings.push('<drained>'),
        closed: (code, reason) => happenings.push({ code, reason }),
      };
      servers.push({ connection, request, happenings });
    },
    ...over,
  });
  const dial = (options?: DialOptions) => {
    const client = network.dial(options);
    clock.settle();
    return client;
  };
  /** A client and its server's end, open. */
  const pair = () => {
    const client = dial();
    const server = servers.at(-1);
    if (server === undefined) throw new Error('nothing was accepted');
    return { client, ...server };
  };
  return { clock, network, listener, logger, servers, dial, pair };
}

describe('the network in memory', () => {
  test('opens a connection a turn after it was dialled', async () => {
    const { clock, network, servers } = await stage();
    const client = network.dial({ remote: 'here:1', userAgent: 'test/1', subprotocols: ['sluice.v1'] });
    expect(client.state).toBe('connecting');
    expect(() => client.sendText('early')).toThrow(/before the connection was open/);
    clock.turn();
    expect(client).toMatchObject({ state: 'open', subprotocol: 'sluice.v1' });
    expect(servers[0]?.connection.remote).toBe('here:1');
    expect(servers[0]?.request).toEqual({ origin: undefined, userAgent: 'test/1', subprotocol: 'sluice.v1' });
  });

  test('carries frames both ways, in order, a turn after they were sent', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    client.sendJson({ op: 'ping' });
    client.sendBinary(Uint8Array.of(1, 2));
    connection.sendText('{"a":1}');
    connection.sendBinary([Uint8Array.of(1), Uint8Array.of(), Uint8Array.of(2, 3)]);
    expect(happenings).toEqual([]);
    expect(connection.bufferedBytes).toBe(10);
    expect(client.bufferedBytes).toBe(15);
    clock.turn();
    expect(happenings).toEqual(['{"op":"ping"}', [1, 2], '<drained>']);
    expect(client.frames).toEqual(['{"a":1}', Uint8Array.of(1, 2, 3)]);
    expect(client.replies).toEqual([{ a: 1 }]);
    expect(connection.bufferedBytes + client.bufferedBytes).toBe(0);
  });

  test('leaves to the next turn what is sent while frames are handed over', async () => {
    const { clock, pair } = await stage();
    const { client, connection } = pair();
    client.events = {
      open: () => undefined,
      frame: (frame) => frame === 'one' && connection.sendText('two'),
      close: () => undefined,
    };
    connection.sendText('one');
    clock.turn();
    expect(client.frames).toEqual(['one']);
    clock.turn();
    expect(client.frames).toEqual(['one', 'two']);
  });

  test('gives the receiver bytes of its own', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    const up = Uint8Array.of(1);
    const down = Uint8Array.of(2);
    client.sendBinary(up);
    connection.sendBinary([down]);
    up[0] = 9;
    down[0] = 9;
    clock.settle();
    expect(happenings[0]).toEqual([1]);
    expect(client.frames).toEqual([Uint8Array.of(2)]);
  });

  test('keeps what a client does not read in the sender, and tells drained once it does', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    client.pauseReading();
    for (let at = 0; at < 3; at += 1) connection.sendText('12345');
    clock.settle();
    expect(connection.bufferedBytes).toBe(15);
    expect(happenings).toEqual([]);
    client.resumeReading();
    clock.settle();
    expect(connection.bufferedBytes).toBe(0);
    expect(happenings).toEqual(['<drained>']);
    expect(client.frames).toHaveLength(3);
  });

  test('does not hand frames to a paused connection, and does in order once it reads on', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    connection.pause();
    client.sendText('a');
    client.sendText('b');
    clock.settle();
    expect(happenings).toEqual([]);
    expect(client.bufferedBytes).toBe(2);
    connection.resume();
    clock.settle();
    expect(happenings).toEqual(['a', 'b']);
  });

  test('stops in the middle of a turn when the connection is paused by a frame', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    connection.events = {
      ...connection.events,
      text: (text) => {
        happenings.push(text);
        connection.pause();
      },
    };
    client.sendText('a');
    client.sendText('b');
    clock.settle();
    expect(happenings).toEqual(['a']);
    connection.resume();
    clock.settle();
    expect(happenings).toEqual(['a', 'b']);
  });

  test('answers pings by itself, unless the client plays dead', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    connection.ping();
    clock.settle();
    expect(client.pingsReceived).toBe(1);
    expect(happenings).toContain('<pong>');
    client.answersPings = false;
    connection.ping();
    clock.settle();
    expect(happenings.filter((one) => one === '<pong>')).toHaveLength(1);
  });

  test('closes behind everything sent, and both sides learn code and reason, once', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    connection.sendText('last');
    connection.close(1012, 'é'.repeat(100));
    connection.sendText('too late');
    connection.close(1001, 'again');
    clock.settle();
    expect(client.frames).toEqual(['last']);
    expect(client.closed).toEqual({ code: 1012, reason: 'é'.repeat(61) });
    expect(happenings.at(-1)).toEqual({ code: 1012, reason: 'é'.repeat(61) });
    expect(happenings.filter((one) => typeof one === 'object')).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });

  test('closes from the client behind everything it sent', async () => {
    const { clock, pair } = await stage();
    const { client, happenings } = pair();
    client.sendText('last');
    client.close(4000, 'bye');
    client.sendText('too late');
    clock.settle();
    expect(happenings).toEqual(['last', { code: 4000, reason: 'bye' }]);
    expect(client).toMatchObject({ state: 'closed', closed: { code: 4000, reason: 'bye' } });
  });

  test('cuts a client that does not answer a close after a second', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    client.pauseReading();
    connection.close(1012, 'shutdown');
    clock.settle();
    clock.advance(999);
    expect(happenings).toEqual([]);
    clock.advance(1);
    expect(happenings).toEqual([{ code: 1006, reason: '' }]);
    expect(client.closed).toEqual({ code: 1006, reason: '' });
  });

  test('loses what is under way when it is cut, and tells both sides', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    client.sendText('lost');
    connection.sendText('lost');
    client.cut();
    clock.settle();
    expect(client.frames).toEqual([]);
    expect(happenings).toEqual([{ code: 1006, reason: '' }]);
    expect(client.closed?.code).toBe(1006);
    client.cut();
    connection.terminate();
    clock.settle();
    expect(happenings).toHaveLength(1);
  });

  test('delivers what a client sent before it died', async () => {
    const { clock, pair } = await stage();
    const { client, happenings } = pair();
    client.sendText('said');
    client.terminate();
    expect(client.state).toBe('closed');
    clock.settle();
    expect(happenings).toEqual(['said', { code: 1006, reason: '' }]);
  });

  test('tells nobody when it falls silent, and lets the server end it', async () => {
    const { clock, pair } = await stage();
    const { client, connection, happenings } = pair();
    client.stall();
    client.sendText('lost');
    connection.ping();
    clock.settle();
    expect(happenings).toEqual([]);
    connection.close(4101, 'no pong');
    clock.advance(1000);
    expect(happenings).toEqual([{ code: 1006, reason: '' }]);
    expect(client.state).toBe('open');
  });

  test('closes with 1009 behind a frame that is too large', async () => {
    const { clock, pair } = await stage({ frameBytes: 1024 });
    const { client, happenings } = pair();
    client.sendText('x'.repeat(1024));
    client.sendText('x'.repeat(1025));
    clock.settle();
    expect(happenings).toEqual(['x'.repeat(1024), { code: 1009, reason: 'Max payload size exceeded' }]);
    expect(client.closed?.code).toBe(1009);
  });
});

describe('a listener in memory', () => {
  test('refuses as the one on a socket does', async () => {
    const { dial, listener } = await stage({ connectionsMax: 1, origins: ['https://app.example'] });
    expect(dial({ path: '/v2' }).refusal).toMatchObject({ status: 404 });
    expect(dial({ origin: 'https://evil.example' }).refusal).toMatchObject({ status: 403 });
    expect(dial({ subprotocols: ['mqtt'] }).refusal).toMatchObject({ status: 400 });
    const first = dial({ origin: 'https://app.example' });
    expect(first.state).toBe('open');
    expect(dial()).toMatchObject({ state: 'closed', refusal: { status: 503, retryAfterSeconds: 1 } });
    listener.refuse(2.5);
    expect(dial().refusal).toEqual({ status: 503, line: 'DRAINING', retryAfterSeconds: 3 });
  });

  test('counts connections down as they end', async () => {
    const { clock, dial } = await stage({ connectionsMax: 1 });
    for (let round = 0; round < 3; round += 1) {
      const client = dial();
      expect(client.state).toBe('open');
      if (round === 0) client.close();
      else if (round === 1) client.cut();
      else client.terminate();
      clock.settle();
    }
    expect(dial().state).toBe('open');
  });

  test('holds its port until it is closed', async () => {
    const { network, listener, clock, logger, dial, pair } = await stage();
    const options = { host: '127.0.0.1', config: defaults, clock, logger, onConnection: () => undefined };
    await expect(network.listen({ ...options, port: 7070 })).rejects.toMatchObject({ code: 'LISTEN_FAILED' });
    const free = await network.listen({ ...options, port: 0 });
    expect(free.port).not.toBe(7070);
    expect(free.address).toBe(`127.0.0.1:${free.port}`);
    await free.close();
    const { client, connection } = pair();
    await listener.close();
    expect(dial()).toMatchObject({ state: 'closed', refusal: { status: 0 } });
    connection.sendText('still served');
    clock.settle();
    expect(client.frames).toEqual(['still served']);
    await network.listen({ ...options, port: 7070 });
  });

  test('closes with 1011 a connection that could not be taken in, and logs why', async () => {
    const { dial, logger, clock } = await stage(
      {},
      {
        onConnection: () => {
          throw new Error('no session');
        },
      },
    );
    const client = dial();
    clock.settle();
    expect(client.closed?.code).toBe(1011);
    expect(logger.messages('error')).toEqual(['a connection could not be taken in']);
  });
});

describe('the WebSocket class in memory', () => {
  test('behaves as a page expects', async () => {
    const { clock, network, servers } = await stage();
    const socket = new network.WebSocket('ws://memory:7070/v1?x=1', 'sluice.v1');
    const seen: unknown[] = [];
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => seen.push('open');
    socket.addEventListener('open', () => seen.push('open heard'));
    socket.onmessage = ({ data }) => seen.push(data);
    socket.onclose = ({ code, reason, wasClean }) => seen.push({ code, reason, wasClean });
    expect(socket).toMatchObject({ readyState: network.WebSocket.CONNECTING, url: 'ws://memory:7070/v1?x=1' });
    expect(() => socket.send('early')).toThrow(/before the connection was open/);
    clock.settle();
    expect(socket).toMatchObject({ readyState: network.WebSocket.OPEN, protocol: 'sluice.v1' });
    socket.send('text');
    socket.send(Uint8Array.of(0, 1, 2).subarray(1));
    socket.send(Uint8Array.of(3).buffer);
    expect(socket.bufferedAmount).toBe(7);
    clock.settle();
    expect(socket.bufferedAmount).toBe(0);
    expect(servers[0]?.happenings).toEqual(['text', [1, 2], [3]]);
    servers[0]?.connection.sendText('hello');
    servers[0]?.connection.sendBinary([Uint8Array.of(4)]);
    servers[0]?.connection.close(1012, 'restart');
    clock.settle();
    expect(seen).toEqual([
      'open',
      'open heard',
      'hello',
      Uint8Array.of(4).buffer,
      { code: 1012, reason: 'restart', wasClean: true },
    ]);
    expect(socket.readyState).toBe(network.WebSocket.CLOSED);
  });

  test('fires error, then close with 1006, where it is refused or nobody listens', async () => {
    const { clock, network } = await stage();
    for (const url of ['ws://memory:1/v1', 'ws://memory:7070/other']) {
      const socket = new network.WebSocket(url);
      const seen: unknown[] = [];
      socket.onerror = () => seen.push('error');
      socket.onclose = ({ code, wasClean }) => seen.push({ code, wasClean });
      clock.settle();
      expect(seen).toEqual(['error', { code: 1006, wasClean: false }]);
    }
    expect(() => new network.WebSocket('http://memory:7070/v1')).toThrow(SyntaxError);
  });

  test('closes with what a page may close with, also before it is open', async () => {
    const { clock, network, servers } = await stage();
    const socket = new network.WebSocket('ws://memory:7070/v1');
    clock.settle();
    expect(() => socket.close(1012)).toThrow(/1000 or 3000/);
    socket.close();
    expect(socket.readyState).toBe(2);
    clock.settle();
    expect(servers[0]?.happenings).toEqual([{ code: 1005, reason: '' }]);
    const early = new network.WebSocket('ws://memory:7070/v1');
    const codes: number[] = [];
    early.onclose = ({ code }) => codes.push(code);
    early.close();
    clock.settle();
    expect(codes).toEqual([1006]);
    expect(servers).toHaveLength(1);
  });
});
