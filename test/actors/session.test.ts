/** A session as a client sees it: greeting, hello, frames, errors. */
import { describe, expect, it } from 'vitest';
import { Rig, turns } from '../broker/rig.ts';
import { batchOf } from '../broker/wire-client.ts';

describe('the greeting', () => {
  it('welcomes on connect with the limits that hold, and asks for no token where none is set', async () => {
    const rig = await Rig.start({ frameBytes: 4096, subscriptionsMax: 7 });
    const client = await rig.client();
    const [welcome] = await client.heard();
    expect(welcome).toMatchObject({ op: 'welcome', protocol: 1, draining: false });
    expect(welcome.limits).toMatchObject({ frameBytes: 4096, subscriptions: 7, inFlightPublishes: 1024 });
    expect(welcome.authenticate).toBeUndefined();
    expect(welcome.session).toBeTruthy();
    await rig.stop();
  });

  it('answers hello with another welcome that carries its id', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    expect(await client.ask({ op: 'hello', client: 'test/1' })).toMatchObject({ op: 'welcome', protocol: 1 });
    await rig.stop();
  });
});

describe('a token', () => {
  it('is asked for, and lets in who has it', async () => {
    const rig = await Rig.start({ token: 'secret' });
    const client = await rig.client();
    expect((await client.heard())[0]).toMatchObject({ op: 'welcome', authenticate: true });
    expect((await client.ask({ op: 'hello', token: 'secret' })).authenticate).toBeUndefined();
    expect(await client.ask({ op: 'ping' })).toMatchObject({ op: 'pong' });
    await rig.stop();
  });

  it.each([
    ['wrong', { token: 'Secret' }],
    ['missing', {}],
    ['a prefix of it', { token: 'secre' }],
  ])('that is %s ends the connection with 4000, behind an error that carries the id', async (_, given) => {
    const rig = await Rig.start({ token: 'secret' });
    const client = await rig.client();
    client.send({ op: 'hello', id: 1, ...given });
    client.send({ op: 'ping', id: 2 });
    await turns();
    expect(client.replyTo(1)).toMatchObject({ op: 'error', code: 'UNAUTHENTICATED', retryable: false });
    expect(client.replyTo(2)).toBeUndefined();
    expect(client.socket.closed).toMatchObject({ code: 4000 });
    await rig.stop();
  });

  it('is needed before anything else: another command first ends the connection with 1008', async () => {
    const rig = await Rig.start({ token: 'secret' });
    const client = await rig.client();
    client.send({ op: 'publish', id: 1, topic: 'orders', value: 1 });
    await turns();
    expect(client.replyTo(1)).toMatchObject({ op: 'error', code: 'HELLO_REQUIRED' });
    expect(client.socket.closed).toMatchObject({ code: 1008 });
    expect(rig.broker.status['topics']).toBe(0);
    await rig.stop();
  });

  it('is waited for as long as helloTimeoutMs, and not for ever', async () => {
    const rig = await Rig.start({ token: 'secret', helloTimeoutMs: 5000 });
    const client = await rig.client();
    const inTime = await rig.client();
    await rig.pass(4000);
    expect(client.socket.closed).toBeNull();
    await inTime.ask({ op: 'hello', token: 'secret' });
    await rig.pass(3000);
    expect(client.of('error')).toMatchObject([{ code: 'HELLO_REQUIRED' }]);
    expect(client.socket.closed).toMatchObject({ code: 1008 });
    expect(inTime.socket.closed).toBeNull();
    await rig.stop();
  });
});

describe('a producer id', () => {
  it('is taken over by the newest hello: the older connection is told and closed with 4001', async () => {
    const rig = await Rig.start();
    const [older, newer] = [await rig.client(), await rig.client()];
    await older.hello('p-1');
    await older.create('orders');
    await newer.hello('p-1');
    expect(older.of('error')).toMatchObject([{ code: 'PRODUCER_TAKEN' }]);
    expect(older.socket.closed).toMatchObject({ code: 4001 });
    const reply = await newer.ask({ op: 'publish', topic: 'orders', partition: 0, value: 1, sequence: 0 });
    expect(reply).toMatchObject({ op: 'published', offset: 0 });
    await rig.stop();
  });

  it('is let go when its connection ends, so that the next one takes it without a word', async () => {
    const rig = await Rig.start();
    const older = await rig.client();
    await older.hello('p-1');
    older.socket.close();
    await turns();
    const newer = await rig.client();
    await newer.hello('p-1');
    expect(rig.logger.messages()).not.toContain('producer taken over by another connection');
    await rig.stop();
  });

  it('that a connection gave up for another is not taken from who uses it', async () => {
    const rig = await Rig.start();
    const [first, second] = [await rig.client(), await rig.client()];
    await first.hello('p-1');
    await first.hello('p-2');
    await second.hello('p-1');
    expect(first.socket.closed).toBeNull();
    expect(second.socket.closed).toBeNull();
    await rig.stop();
  });

  it('may not change while publishes are unanswered', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    await client.hello('p-1');
    const hold = rig.holdWrites('/log/');
    client.send({ op: 'publish', id: 1, topic: 'orders', partition: 0, value: 1, sequence: 0 });
    expect(await client.hello('p-2')).toMatchObject({ op: 'error', code: 'BAD_REQUEST' });
    hold.release();
    await turns();
    expect(await client.hello('p-2')).toMatchObject({ op: 'welcome' });
    await rig.stop();
  });

  it('is needed for a sequence', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    const reply = await client.ask({ op: 'publish', topic: 'orders', partition: 0, value: 1, sequence: 0 });
    expect(reply).toMatchObject({ op: 'error', code: 'PRODUCER_REQUIRED' });
    await rig.stop();
  });
});

describe('frames', () => {
  it('answers an unknown op with its id, and goes on', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    expect(await client.ask({ op: 'dance' })).toMatchObject({ op: 'error', code: 'UNKNOWN_OP' });
    expect(await client.ask({ op: 'ping' })).toMatchObject({ op: 'pong' });
    await rig.stop();
  });

  it('answers a wrong field with its id, and goes on', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    const reply = await client.ask({ op: 'subscribe', topic: 17 });
    expect(reply).toMatchObject({ op: 'error', code: 'BAD_REQUEST' });
    expect(reply.message).toContain('topic');
    expect(await client.ask({ op: 'ping' })).toMatchObject({ op: 'pong' });
    await rig.stop();
  });

  it.each(['{', 'null', '[]', '"ping"', ''])('ends the connection with 1007 on the text %j', async (text) => {
    const rig = await Rig.start();
    const client = await rig.client();
    client.socket.sendText(text);
    await turns();
    expect(client.of('error')).toMatchObject([{ code: 'BAD_JSON' }]);
    expect(client.socket.closed).toMatchObject({ code: 1007 });
    await rig.stop();
  });

  it.each([
    ['shorter than its length', Uint8Array.of(0, 0)],
    ['with a header longer than the frame', Uint8Array.of(0, 0, 0, 9, 123, 125)],
  ])('ends the connection with 1002 on a binary frame %s', async (_, bytes) => {
    const rig = await Rig.start();
    const client = await rig.client();
    client.socket.sendBinary(bytes);
    await turns();
    expect(client.of('error')).toMatchObject([{ code: 'BAD_FRAME' }]);
    expect(client.socket.closed).toMatchObject({ code: 1002 });
    await rig.stop();
  });

  it('answers text with text and binary with binary, errors too', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    client.send({ op: 'ping', id: 't1' });
    client.sendBinary({ op: 'ping', id: 'b1' });
    client.send({ op: 'dance', id: 't2' });
    client.sendBinary({ op: 'describe', id: 'b2', topic: 'none' });
    client.sendBinary({ op: 'create', id: 'b3', topic: 'orders' });
    await turns();
    const kinds = Object.fromEntries(client.all.map(({ kind, reply }) => [reply.id, kind]));
    expect(kinds).toMatchObject({ t1: 'text', b1: 'binary', t2: 'text', b2: 'binary', b3: 'binary' });
    await rig.stop();
  });

  it('answers a malformed batch with its id and stores nothing', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('orders');
    const batch = batchOf(1, 2);
    batch[4] = 9;
    client.sendBinary({ op: 'publish', id: 1, topic: 'orders' }, batch);
    await turns();
    expect(client.replyTo(1)).toMatchObject({ op: 'error', code: 'BAD_BATCH' });
    expect((await client.ask({ op: 'describe', topic: 'orders' })).state).toMatchObject([{ highWatermark: 0 }]);
    await rig.stop();
  });

  it('takes commands in order: one behind a topic that is being made waits for it', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    const hold = rig.holdWrites('/log/');
    client.send({ op: 'create', id: 1, topic: 'orders', partitions: 1 });
    client.send({ op: 'publish', id: 2, topic: 'orders', value: 1 });
    client.send({ op: 'ping', id: 3 });
    await turns();
    expect(client.replyTo(3)).toBeUndefined();
    hold.release();
    await turns();
    const ids = client.all.map(({ reply }) => reply.id).filter((id) => id !== undefined);
    expect(ids.indexOf(1)).toBe(0);
    expect(client.replyTo(2)).toMatchObject({ op: 'published', offset: 0 });
    expect(client.replyTo(3)).toMatchObject({ op: 'pong' });
    await rig.stop();
  });

  it('keeps frames that a paused socket still brings, in their order', async () => {
    const rig = await Rig.start();
    rig.onConnection = (connection) => {
      connection.pause = () => {};
    };
    const client = await rig.client();
    const hold = rig.holdWrites('/log/');
    client.send({ op: 'create', id: 0, topic: 'orders', partitions: 1 });
    for (let id = 1; id < 10; id += 1) client.send({ op: 'publish', id, topic: 'orders', value: id });
    client.send({ op: 'ping', id: 10 });
    await turns();
    expect(client.replyTo(10)).toBeUndefined();
    hold.release();
    await turns();
    const offsets = Array.from({ length: 9 }, (_, index) => client.replyTo(index + 1).offset);
    expect(offsets).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(client.replyTo(10)).toMatchObject({ op: 'pong' });
    await rig.stop();
  });

  it('sends the acknowledgements of a turn before a close of that turn', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create('fast', { durability: 'async' });
    await client.publishAll('fast', 0, [0]);
    client.sendBinary({ op: 'publish', id: 1, topic: 'fast' }, batchOf(1));
    client.socket.sendText('{');
    await turns();
    expect(client.of('published')[1]).toMatchObject({ acks: [[1, 0, 1, 1, 1]] });
    expect(client.socket.closed).toMatchObject({ code: 1007 });
    await rig.stop();
  });

  it('forgets a client that ends while its command is under way, without a word in the log', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    const hold = rig.holdWrites('/log/');
    client.send({ op: 'create', id: 1, topic: 'orders' });
    client.send({ op: 'publish', id: 2, topic: 'orders', value: 1 });
    await turns();
    client.socket.terminate();
    await turns();
    hold.release();
    await turns();
    expect(rig.broker.status['sessions']).toBe(0);
    expect(rig.logger.lines.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
    await rig.stop();
  });
});
