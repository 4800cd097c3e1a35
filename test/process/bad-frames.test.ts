/**
 * Bytes that are no frame, frames that are no command, requests that are no upgrade, against a real broker: each gets
 * its code or status, the broker lives, and other clients notice nothing.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { binaryFrame } from '../support/binary-frame.ts';
import { BINARY, CONTINUATION, PING, RawSocket, TEXT, upgradeRequest } from '../support/raw-socket.ts';
import { refusedUpgrade, Wire } from '../support/wire.ts';
import { WitnessedBroker } from '../support/witnessed-broker.ts';

const FRAME_BYTES = 1024 * 1024;

let broker: WitnessedBroker;
beforeAll(async () => {
  broker = await WitnessedBroker.start(['--no-auto-create']);
});
afterAll(() => broker.stop());
afterEach(() => broker.isUnharmed());

describe('a frame that is none', () => {
  it.each<[string, string | Buffer, string, number]>([
    ['an empty text frame', '', 'BAD_JSON', 1007],
    ['text that is not JSON', 'hello there', 'BAD_JSON', 1007],
    ['half of a JSON object', '{"op":"publish","id":1,"topic":"kept","val', 'BAD_JSON', 1007],
    ['a JSON array', '[{"op":"ping"}]', 'BAD_JSON', 1007],
    ['JSON null', 'null', 'BAD_JSON', 1007],
    ['JSON a hundred thousand levels deep', '['.repeat(100_000), 'BAD_JSON', 1007],
    ['an empty binary frame', Buffer.alloc(0), 'BAD_FRAME', 1002],
    ['a binary frame of 3 bytes', Buffer.from([0, 0, 0]), 'BAD_FRAME', 1002],
    ['a header longer than its frame', binaryFrame('{"op":"ping"}', Buffer.alloc(0), 500), 'BAD_FRAME', 1002],
    ['a header of 4 GiB', binaryFrame('{"op":"ping"}', Buffer.alloc(0), 0xffffffff), 'BAD_FRAME', 1002],
    ['a header over 64 KiB', binaryFrame(`{"op":"ping","x":"${'x'.repeat(65_536)}"}`), 'BAD_FRAME', 1002],
    ['a header that is not JSON', binaryFrame('ping'), 'BAD_JSON', 1007],
    ['a header that is not UTF-8', binaryFrame(Buffer.from([0x7b, 0xff, 0xfe, 0x7d])), 'BAD_JSON', 1007],
    ['a body where none may be', binaryFrame('{"op":"ping"}', Buffer.from('body')), 'BAD_FRAME', 1002],
  ])('is answered and ends the connection: %s', async (_, frame, code, closeCode) => {
    const wire = await Wire.open(broker.url);
    wire.send(frame);
    const closed = await wire.closed;
    expect(wire.replies.at(-1)).toMatchObject({ op: 'error', code, retryable: false });
    expect(closed.code).toBe(closeCode);
    expect(closed.reason).toMatch(new RegExp(`^${code}: `));
  });

  it.each([
    ['text', '"'.padEnd(FRAME_BYTES + 1, 'x')],
    ['binary', Buffer.alloc(FRAME_BYTES + 1)],
  ])('ends the connection with 1009 when it is a %s frame over the limit', async (_, frame) => {
    const wire = await Wire.open(broker.url);
    wire.send(frame);
    expect((await wire.closed).code).toBe(1009);
  });

  it('is taken up to the very limit', async () => {
    const wire = await Wire.open(broker.url);
    const frame = (filled: number) => `{"op":"publish","id":1,"topic":"absent","value":"${'x'.repeat(filled)}"}`;
    wire.send(frame(FRAME_BYTES - frame(0).length));
    expect(await wire.reply(({ id }) => id === 1)).toMatchObject({ code: 'UNKNOWN_TOPIC' });
    await wire.close();
  });
});

describe('bytes that are no WebSocket frame', () => {
  it.each([
    ['text that is not UTF-8', { opcode: TEXT, payload: Buffer.from([0xc3, 0x28]) }, 1007],
    ['a frame without a mask', { opcode: TEXT, payload: Buffer.from('{}'), masked: false }, 1002],
    ['a reserved bit', { opcode: TEXT, payload: Buffer.from('{}'), reserved: 4 }, 1002],
    ['an unknown opcode', { opcode: 7, payload: Buffer.from('{}') }, 1002],
    ['a continuation of nothing', { opcode: CONTINUATION, payload: Buffer.from('{}') }, 1002],
    ['a ping in pieces', { opcode: PING, payload: Buffer.from('p'), final: false }, 1002],
    ['a claim of 1 TiB', { opcode: BINARY, payload: Buffer.from('x'), claimedBytes: 2 ** 40 }, 1009],
    ['a claim of 2^60 bytes', { opcode: BINARY, payload: Buffer.from('x'), claimedBytes: 2 ** 60 }, 1009],
  ])('end the connection with its code: %s', async (_, shape, closeCode) => {
    const raw = await RawSocket.upgraded(broker.port);
    raw.frame(shape);
    await raw.ended;
    expect(raw.closeCode).toBe(closeCode);
  });

  it('are cut off when a message comes in a hundred thousand fragments', async () => {
    const raw = await RawSocket.upgraded(broker.port);
    raw.frame({ opcode: TEXT, payload: Buffer.from('{'), final: false });
    const piece = Buffer.concat(
      Array.from({ length: 1000 }, () => Buffer.from([CONTINUATION, 0x81, 0, 0, 0, 0, 0x20])),
    );
    for (let sent = 0; sent < 100; sent += 1) raw.write(piece);
    await raw.ended;
    expect([1008, 1009, null]).toContain(raw.closeCode);
  });

  it.each([
    ['half a frame and goes', (raw: RawSocket) => raw.socket.end()],
    ['half a frame and is cut', (raw: RawSocket) => raw.reset()],
  ])('are forgotten when a client sends %s', async (_, leave) => {
    const raw = await RawSocket.upgraded(broker.port);
    const command = JSON.stringify({ op: 'publish', topic: 'kept', value: 'half' });
    raw.frame({ opcode: TEXT, payload: Buffer.from(command.slice(0, 20)), claimedBytes: command.length });
    leave(raw);
    await raw.ended;
  });

  it('are waited for when half a frame is all there is yet', async () => {
    const raw = await RawSocket.upgraded(broker.port);
    const ping = Buffer.from('{"op":"ping","id":"slow"}');
    raw.frame({ opcode: TEXT, payload: ping.subarray(0, 5), claimedBytes: ping.length });
    await new Promise((resolve) => setTimeout(resolve, 100));
    raw.write(ping.subarray(5));
    await raw.receives('"id":"slow"');
    raw.socket.end();
    await raw.ended;
  });
});

describe('a request that is no upgrade', () => {
  it.each([
    ['garbage', '\u0016\u0003\u0001\u0002\u0000 no http\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['a plain GET', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1\.1 426 /],
    ['headers over 16 KiB', `GET /v1 HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
  ])('gets its status: %s', async (_, request, status) => {
    const raw = await RawSocket.connect(broker.port);
    raw.write(request);
    await raw.ended;
    expect(raw.text).toMatch(status);
  });

  it.each([
    ['a page of another origin', ['Origin: https://evil.example'], /^HTTP\/1\.1 403 /],
    ['a page that rebound its name', ['Origin: null'], /^HTTP\/1\.1 403 /],
    ['another subprotocol alone', ['Sec-WebSocket-Protocol: mqtt'], /^HTTP\/1\.1 400 /],
  ])('or an upgrade that is refused: %s', async (_, lines, status) => {
    const raw = await RawSocket.connect(broker.port);
    raw.write(upgradeRequest(broker.port, lines));
    await raw.ended;
    expect(raw.text).toMatch(status);
  });

  it('is 404 at another path', async () => {
    expect((await refusedUpgrade(broker.url.replace('/v1', '/v2'))).status).toBe(404);
  });

  it('may break off anywhere', async () => {
    const request = upgradeRequest(broker.port);
    for (let at = 1; at < request.length; at += 23) {
      const raw = await RawSocket.connect(broker.port);
      raw.write(request.slice(0, at));
      raw.reset();
      await raw.ended;
    }
  });
});
