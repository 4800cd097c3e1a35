/** The WebSocket listener on real sockets: who may come in, plain HTTP, and its own life. */
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { bench, frame, http, readAll, until, upgradeText } from './websocket-bench.ts';

describe('an upgrade', () => {
  test('chooses the subprotocol where it is offered, and takes none where none is', async () => {
    const b = bench();
    await b.listen();
    const client = b.client({}, '/v1', ['other', 'sluice.v1']);
    await once(client, 'open');
    expect(client.protocol).toBe('sluice.v1');
    expect((await b.connection()).request.subprotocol).toBe('sluice.v1');
    const { client: plain, served } = await b.open({ headers: { 'user-agent': 'test/1' } });
    expect(plain.protocol).toBe('');
    expect(served.request).toEqual({ origin: undefined, userAgent: 'test/1', subprotocol: undefined });
    expect(served.connection.remote).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test('is refused with 400 where only other subprotocols are offered', async () => {
    const b = bench();
    await b.listen();
    expect(await b.refused({}, '/v1', ['mqtt', 'stomp'])).toMatchObject({
      status: 400,
      body: expect.stringContaining('"sluice.v1"'),
    });
  });

  test('is refused with 404 anywhere but at its path', async () => {
    const b = bench();
    await b.listen();
    for (const path of ['/', '/v2', '/v1/', '/%00']) {
      expect(await b.refused({}, path)).toMatchObject({ status: 404, body: expect.stringContaining('connect to /v1') });
    }
    await once(b.client({}, '/v1?name=x'), 'open');
  });

  test('is refused with 403 from a page of another origin, naming the setting', async () => {
    const b = bench();
    await b.listen({ origins: ['https://app.example'] });
    for (const origin of ['http://evil.example', 'null', 'file://', 'http://127.0.0.2', 'https://app.example.evil']) {
      expect(await b.refused({ origin })).toMatchObject({ status: 403, body: expect.stringContaining('--origins') });
    }
  });

  test('is taken from the same host, from a listed origin, and from any where any may come', async () => {
    const b = bench();
    await b.listen({ origins: ['https://App.Example/'] });
    for (const origin of [`http://127.0.0.1:${b.port}`, 'http://127.0.0.1:3000', 'https://app.example']) {
      expect((await b.open({ origin })).served.request.origin).toBe(origin);
    }
    const local = `localhost:${b.port}`;
    await b.open({ origin: `http://${local}`, headers: { host: local } });
    const any = bench();
    await any.listen({ origins: ['*'] });
    await any.open({ origin: 'http://evil.example' });
  });

  test('is refused from a name that a page bound to the loopback address by itself', async () => {
    const b = bench();
    await b.listen();
    const host = `evil.example:${b.port}`;
    expect((await b.refused({ origin: `http://${host}`, headers: { host } })).status).toBe(403);
  });

  test('is refused with 503 beyond the connections that may be, until one ends', async () => {
    const b = bench();
    await b.listen({ connectionsMax: 2 });
    const { client, served } = await b.open();
    await b.open();
    expect(await b.refused()).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
      body: expect.stringContaining('TOO_MANY_CONNECTIONS'),
    });
    expect(b.logger.messages('warn')).toEqual(['connections are refused']);
    client.close();
    await served.next('closed');
    await b.open();
  });

  test('is refused with 503 and a time while the broker refuses, and taken again after', async () => {
    const b = bench();
    const listener = await b.listen();
    const { client, served } = await b.open();
    listener.refuse(6.2);
    expect(await b.refused()).toMatchObject({ status: 503, headers: { 'retry-after': '7' } });
    expect(await http(b.port)).toMatchObject({ status: 503, headers: { 'retry-after': '7' } });
    client.send('still served');
    await served.next('text');
    listener.accept();
    await b.open();
  });

  test('without its key or version is refused, and the listener goes on', async () => {
    const b = bench();
    await b.listen();
    for (const text of [
      upgradeText().replace(/Sec-WebSocket-Key.*\r\n/, ''),
      upgradeText().replace('Version: 13', 'Version: 7'),
      upgradeText().replace('GET', 'POST'),
    ]) {
      const socket = await b.tcp();
      const answer = readAll(socket);
      socket.write(text);
      expect(await answer).toMatch(/^HTTP\/1\.1 40[05] /);
    }
    await b.open();
  });

  test('may carry its first frame with it', async () => {
    const b = bench();
    await b.listen();
    const socket = await b.tcp();
    socket.write(Buffer.concat([Buffer.from(upgradeText()), frame(0x81, 'at once')]));
    expect((await (await b.connection()).next('text')).text).toBe('at once');
  });

  test('that fails within the broker is closed with 1011 and logged', async () => {
    const b = bench();
    await b.listen(
      {},
      {
        onConnection: () => {
          throw new Error('no session');
        },
      },
    );
    const client = b.client();
    expect((await once(client, 'close'))[0]).toBe(1011);
    expect(b.logger.messages('error')).toEqual(['a connection could not be taken in']);
  });
});

describe('plain HTTP', () => {
  test('is answered 426 with a line that says what this is', async () => {
    const b = bench();
    await b.listen();
    for (const method of ['GET', 'POST', 'DELETE']) {
      expect(await http(b.port, { method, body: method === 'POST' ? 'x'.repeat(100_000) : '' })).toMatchObject({
        status: 426,
        headers: { upgrade: 'websocket' },
        body: `This is Sluice, a message broker. Connect with a WebSocket: ws://127.0.0.1:${b.port}/v1 (sluice.v1)\n`,
      });
    }
  });

  test('is answered 426 when it offers an upgrade to something else', async () => {
    const b = bench();
    await b.listen();
    const socket = await b.tcp();
    const answer = readAll(socket);
    socket.write(upgradeText().replace('Upgrade: websocket', 'Upgrade: h2c'));
    expect(await answer).toMatch(/^HTTP\/1\.1 426 /);
  });

  test('does not put into its answer what could not be a host', async () => {
    const b = bench();
    await b.listen();
    const { body } = await http(b.port, { headers: { host: '<script>' } });
    expect(body).not.toContain('<');
  });

  test('that is garbage is answered 400, and headers without end 431', async () => {
    const b = bench();
    await b.listen();
    const garbage = await b.tcp();
    const garbageAnswer = readAll(garbage);
    garbage.write('\x16\x03\x01 not http\r\n\r\n');
    expect(await garbageAnswer).toMatch(/^HTTP\/1\.1 400 /);
    const endless = await b.tcp();
    const endlessAnswer = readAll(endless);
    endless.write(`GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`);
    expect(await endlessAnswer).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('that never ends, or never begins, is cut off after the time for an upgrade', async () => {
    const b = bench();
    await b.listen({ helloTimeoutMs: 200 });
    const silent = await b.tcp();
    const half = await b.tcp();
    const dripping = await b.tcp();
    half.write('GET /v1 HTTP/1.1\r\nHost: x\r\n');
    dripping.write('GET /v1 HTTP/1.1\r\n');
    const drip = setInterval(() => dripping.write('X: y\r\n'), 50);
    await Promise.all([readAll(silent), readAll(half), readAll(dripping)]);
    clearInterval(drip);
    // A connection is not counted among them: it may be quiet for as long as it likes.
    const { client } = await b.open();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(client.readyState).toBe(WebSocket.OPEN);
  });
});

describe('the listener', () => {
  test('tells its address as bound', async () => {
    const b = bench();
    const listener = await b.listen();
    expect(listener.port).toBeGreaterThan(0);
    expect(listener.address).toBe(`127.0.0.1:${listener.port}`);
  });

  test('says LISTEN_FAILED with what is wrong and which flag changes it', async () => {
    const b = bench();
    const { port } = await b.listen();
    const again = bench();
    await expect(again.listen({}, { port })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: `port ${port} on 127.0.0.1 is in use; choose another with --port`,
    });
    await expect(again.listen({}, { host: '192.0.2.1' })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: '192.0.2.1 is not an address of this machine; choose one that is with --host',
      cause: { code: 'EADDRNOTAVAIL' },
    });
  });

  test('frees its port on close, ends upgrades under way, and leaves its connections alone', async () => {
    const b = bench();
    const listener = await b.listen();
    const { client, served } = await b.open();
    const half = await b.tcp();
    half.write('GET /v1 HTTP/1.1\r\n');
    const halfClosed = new Promise((resolve) => half.once('close', resolve));
    await Promise.all([listener.close(), listener.close()]);
    await halfClosed;
    client.send('still here');
    await served.next('text');
    const next = bench();
    await next.listen({}, { port: listener.port });
    await next.open();
  });

  test('leaves nothing open behind it', async () => {
    const sockets = () => process.getActiveResourcesInfo().filter((one) => /TCP/.test(one)).length;
    // Those of the tests before this one may still be closing.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = sockets();
    for (let round = 0; round < 5; round += 1) {
      const b = bench();
      const listener = await b.listen();
      const { client, served } = await b.open();
      await http(b.port);
      await b.refused({}, '/nowhere');
      client.close();
      await served.next('closed');
      await listener.close();
    }
    await until(() => sockets() <= before);
  });
});
