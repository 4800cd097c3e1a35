/** One connection over a real socket: frames, their rules, backpressure, and its end. */
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { bench, frame, readAll, until } from './websocket-bench.ts';

describe('frames', () => {
  test('go both ways, text and binary, in order', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    client.send('héllo');
    client.send(Buffer.from([1, 2, 3]));
    expect((await served.next('text')).text).toBe('héllo');
    expect(Buffer.from((await served.next('binary')).bytes)).toEqual(Buffer.from([1, 2, 3]));
    const received: (string | Buffer)[] = [];
    client.on('message', (data: Buffer, isBinary) => received.push(isBinary ? data : data.toString()));
    served.connection.sendText('wörld');
    served.connection.sendBinary([Buffer.from('a'), Buffer.from(''), Buffer.from('b')]);
    served.connection.sendText('');
    await until(() => received.length === 3);
    expect(received).toEqual(['wörld', Buffer.from('ab'), '']);
  });

  test('of every length arrive whole, whatever their parts', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    const received: Buffer[] = [];
    client.on('message', (data: Buffer) => received.push(data));
    const shapes = [
      [],
      [0],
      [125],
      [126],
      [65_535],
      [65_536],
      [70_000, 10],
      [10, 70_000],
      [10, 20_000, 10, 20_000, 10],
      [20_000, 20_000],
      [16 * 1024 - 1, 16 * 1024],
      [3_000_000, 5, 2_000_000],
      Array.from({ length: 500 }, (_, at) => at),
    ];
    const expected = shapes.map((shape) => {
      const parts = shape.map((bytes, at) => Buffer.alloc(bytes, at + 1));
      served.connection.sendBinary(parts);
      return Buffer.concat(parts);
    });
    const texts = [125, 126, 65_535, 65_536].map((bytes) => `${'x'.repeat(bytes - 2)}é`);
    for (const text of texts) served.connection.sendText(text);
    await until(() => received.length === shapes.length + texts.length);
    for (const [at, data] of expected.entries()) expect(received[at]?.equals(data), `shape ${at}`).toBe(true);
    expect(received.slice(shapes.length).map(String)).toEqual(texts);
  });

  test('of one turn leave as one write', async () => {
    const b = bench();
    await b.listen();
    const { socket, served } = await b.rawClient();
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    served.connection.sendText('a');
    served.connection.sendBinary([Buffer.from('b')]);
    await Promise.resolve();
    served.connection.sendText('c');
    served.connection.ping();
    await until(() => Buffer.concat(chunks).length >= 11);
    expect(chunks).toHaveLength(1);
    expect(chunks[0]?.toString('latin1')).toBe('\x81\x01a\x82\x01b\x81\x01c\x89\x00');
  });

  test('long parts are not copied', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    const received: Buffer[] = [];
    client.on('message', (data: Buffer) => received.push(data));
    const part = Buffer.alloc(100_000, 1);
    served.connection.sendBinary([Buffer.from('head'), part]);
    // Against the contract, to see it: the bytes are those of the part at the time of the write.
    part.fill(2);
    await until(() => received.length === 1);
    expect(received[0]?.[5]).toBe(2);
  });

  test('that are small do not keep the chunk that they came in', async () => {
    const b = bench();
    await b.listen();
    const { socket, served } = await b.rawClient();
    socket.write(Buffer.concat([frame(0x82, 'small'), frame(0x82, 'x'.repeat(20_000)), frame(0x82, 'last')]));
    await served.next('binary', 2);
    const kept = served.happenings.flatMap((one) => (one.is === 'binary' ? [one.bytes] : []));
    expect(kept.map((bytes) => bytes.length)).toEqual([5, 20_000, 4]);
    expect(kept[0]?.buffer.byteLength).toBe(5);
    expect(kept[1]?.buffer.byteLength).toBeLessThanOrEqual(80_000);
    expect(kept[2]?.buffer.byteLength).toBe(4);
  });

  test('in fragments are put together, and control frames between them are answered', async () => {
    const b = bench();
    await b.listen();
    const { socket, served } = await b.rawClient();
    socket.write(Buffer.concat([frame(0x01, 'one '), frame(0x89, 'p'), frame(0x00, 'two '), frame(0x80, 'three')]));
    expect((await served.next('text')).text).toBe('one two three');
  });

  test('half a frame is waited for', async () => {
    const b = bench();
    await b.listen();
    const { socket, served } = await b.rawClient();
    const whole = frame(0x81, 'patience');
    for (const byte of whole) socket.write(Buffer.from([byte]));
    expect((await served.next('text')).text).toBe('patience');
  });

  test('pings are answered by pongs, both ways', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    served.connection.ping();
    await served.next('pong');
    client.ping('x');
    expect(String((await once(client, 'pong'))[0])).toBe('x');
  });
});

describe('frames that break the rules close with their code and never throw', () => {
  const cases: readonly (readonly [string, Buffer, number])[] = [
    ['a reserved bit is set', frame(0xf1, 'x'), 1002],
    ['an opcode is unknown', frame(0x83, 'x'), 1002],
    ['a frame is not masked', Buffer.from([0x81, 0x01, 0x78]), 1002],
    ['a control frame is fragmented', frame(0x09, 'x'), 1002],
    ['a control frame is too long', frame(0x89, 'x'.repeat(126)), 1002],
    ['a continuation begins nothing', frame(0x80, 'x'), 1002],
    ['a message begins within another', Buffer.concat([frame(0x01, 'x'), frame(0x01, 'y')]), 1002],
    ['a close code may not be sent', frame(0x88, Buffer.from([3, 237])), 1002],
    ['text is not UTF-8', frame(0x81, Buffer.from([0xff, 0xfe])), 1007],
    ['a frame says that it is larger than any may be', frame(0x82, 'x', 4097), 1009],
    [
      'fragments add up to more than a frame may hold',
      Buffer.concat([frame(0x02, 'x'.repeat(4000)), frame(0x80, 'x'.repeat(97))]),
      1009,
    ],
    [
      'a message has too many fragments',
      Buffer.concat([frame(0x01, ''), ...Array.from({ length: 1100 }, () => frame(0x00, ''))]),
      1008,
    ],
  ];
  test.each(cases)('%s', async (_name, bytes, code) => {
    const b = bench();
    await b.listen({ frameBytes: 4096 });
    const { socket, served } = await b.rawClient();
    const answer = readAll(socket);
    socket.write(bytes);
    expect(await served.next('closed')).toMatchObject({ code });
    expect(await answer).toContain(String.fromCharCode(0x88, 2, code >> 8, code & 255));
    expect(served.count('closed')).toBe(1);
    expect(served.count('text') + served.count('binary')).toBe(0);
  });

  test('nothing is heard behind a broken frame', async () => {
    const b = bench();
    await b.listen();
    const { socket, served } = await b.rawClient();
    socket.write(Buffer.concat([frame(0x81, 'good'), frame(0x83, 'bad'), frame(0x81, 'late')]));
    await served.next('closed');
    expect(served.happenings.filter((one) => one.is === 'text')).toEqual([{ is: 'text', text: 'good' }]);
  });
});

describe('backpressure', () => {
  test('a paused connection is not read, and its client has to wait', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    served.connection.pause();
    const payload = Buffer.alloc(1_000_000, 1);
    for (let at = 0; at < 20; at += 1) client.send(payload);
    // The kernel takes some megabytes; the rest stays with the client.
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(served.count('binary')).toBeLessThanOrEqual(1);
    expect(client.bufferedAmount).toBeGreaterThan(1_000_000);
    served.connection.resume();
    await served.next('binary', 19);
    expect(client.bufferedAmount).toBe(0);
  });

  test('a client that does not read makes the buffered bytes grow, and drained tells when they fall', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    client.pause();
    const part = Buffer.alloc(1_000_000, 1);
    for (let at = 0; at < 20; at += 1) served.connection.sendBinary([part]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(served.connection.bufferedBytes).toBeGreaterThan(1_000_000);
    const drainedBefore = served.count('drained');
    client.resume();
    await until(() => served.connection.bufferedBytes === 0 && served.count('drained') > drainedBefore);
  });

  test('drained is told once a turn, however many frames left', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    let received = 0;
    client.on('message', () => {
      received += 1;
    });
    for (let at = 0; at < 1000; at += 1) served.connection.sendText('x');
    await until(() => received === 1000 && served.count('drained') > 0);
    expect(served.count('drained')).toBeLessThan(10);
  });
});

describe('the end of a connection', () => {
  test('comes behind everything sent, with its code, and its reason cut between characters', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    const received: string[] = [];
    client.on('message', (data: Buffer) => received.push(String(data)));
    const big = 'x'.repeat(300_000);
    served.connection.sendText(big);
    served.connection.close(1012, 'é'.repeat(100));
    served.connection.sendText('too late');
    served.connection.ping();
    served.connection.close(1001, 'again');
    const [code, reason] = (await once(client, 'close')) as [number, Buffer];
    expect(code).toBe(1012);
    expect(reason.toString()).toBe('é'.repeat(61));
    expect(received).toEqual([big]);
    expect(await served.next('closed')).toMatchObject({ code: 1012 });
    expect(served.happenings.at(-1)?.is).toBe('closed');
  });

  test('takes a close code that may not be sent for a mistake', async () => {
    const b = bench();
    await b.listen();
    const { served } = await b.open();
    for (const code of [999, 1005, 1006, 1015, 2000, 5000]) {
      expect(() => served.connection.close(code, '')).toThrow(/close code/);
    }
  });

  test('by the client tells its code and reason', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    client.close(4001, 'bye');
    expect(await served.next('closed')).toEqual({ is: 'closed', code: 4001, reason: 'bye' });
  });

  test('by a cut tells 1006, once', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    client.terminate();
    expect(await served.next('closed')).toMatchObject({ code: 1006 });
    served.connection.sendText('nobody');
    served.connection.sendBinary([Buffer.from('nobody')]);
    served.connection.close(1000, '');
    served.connection.terminate();
    expect(served.count('closed')).toBe(1);
  });

  test('is bounded where the client never answers', async () => {
    const b = bench();
    await b.listen();
    const { served } = await b.rawClient();
    const startedAt = performance.now();
    served.connection.close(1012, 'shutdown');
    await served.next('closed');
    expect(performance.now() - startedAt).toBeLessThan(3000);
    expect(performance.now() - startedAt).toBeGreaterThan(900);
  });

  test('is answered while the connection is paused', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    served.connection.pause();
    const startedAt = performance.now();
    served.connection.close(1012, 'shutdown');
    expect((await once(client, 'close'))[0]).toBe(1012);
    await served.next('closed');
    expect(performance.now() - startedAt).toBeLessThan(900);
    expect(served.count('text')).toBe(0);
  });

  test('is at once where the other end has ended without a close and takes nothing more', async () => {
    const b = bench();
    await b.listen();
    const { socket, served } = await b.rawClient();
    socket.pause();
    for (let at = 0; at < 20; at += 1) served.connection.sendBinary([Buffer.alloc(1_000_000)]);
    socket.end();
    // Told by nothing: what waits keeps the socket, until TCP gives up after a quarter of an hour.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(served.count('closed')).toBe(0);
    served.connection.close(4100, 'slow');
    expect(await served.next('closed')).toMatchObject({ code: 1006 });
  });

  test('is at once by terminate, whatever is unsent', async () => {
    const b = bench();
    await b.listen();
    const { client, served } = await b.open();
    client.pause();
    for (let at = 0; at < 20; at += 1) served.connection.sendBinary([Buffer.alloc(1_000_000)]);
    served.connection.terminate();
    expect(await served.next('closed')).toMatchObject({ code: 1006 });
  });
});
