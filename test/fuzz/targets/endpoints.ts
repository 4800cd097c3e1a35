/**
 * Bytes on real sockets, in pieces: the admin endpoint as HTTP, and the client port behind its upgrade. Slower than the
 * other targets by far, and the only ones that go through the parsers of `node:http` and `ws` as well.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type AdminRequest, AdminServer } from '../../../src/actors/admin-server.ts';
import { LoopDelay } from '../../../src/actors/loop-delay.ts';
import { type Broker, createBroker } from '../../../src/broker.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import { closeCodeTable } from '../../../src/protocol/close-code.ts';
import { MemoryDisk, MemoryMeta, RecordingLogger } from '../../../src/testing/index.ts';
import { BINARY, CONTINUATION, frameBytes, PING, TEXT, upgradeRequest } from '../../support/raw-socket.ts';
import { joined, jsonMutator } from '../mutation.ts';
import { type AsyncTarget, bytesOf, holds } from '../target.ts';
import { binaryCommand, textCommand } from './frames.ts';

/** Time without a byte after which the other side is taken to wait for more, and time that an end may take, ms. */
const QUIET_MS = 3;
const END_MS = 100;
const PIECES_MAX = 4;

/** Sends bytes in a few pieces behind what `before` awaits; resolves with all that came and whether the end did. */
async function exchange(port: number, opening: string, bytes: Uint8Array): Promise<{ text: Buffer; ended: boolean }> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const chunks: Buffer[] = [];
  let heard = performance.now();
  let ended = false;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    heard = performance.now();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    ended = true;
  });
  await once(socket, 'connect');
  if (opening !== '') {
    socket.write(opening);
    while (!ended && !Buffer.concat(chunks).includes('"op":"welcome"')) await pause(1);
  }
  // Where it is cut hangs on the input, so that an input always comes in the same pieces.
  const step = Math.max(1, Math.ceil(bytes.length / (1 + ((bytes[bytes.length >> 1] ?? 0) % PIECES_MAX))));
  for (let at = 0; at < bytes.length && !ended; at += step) {
    socket.write(bytes.subarray(at, at + step));
    await new Promise((resolve) => setImmediate(resolve));
  }
  heard = performance.now();
  while (!ended && performance.now() - heard < QUIET_MS) await new Promise((resolve) => setImmediate(resolve));
  const closed = ended;
  // No more comes from here: whoever waits for the rest of a frame or a body lets go.
  socket.end();
  for (const until = performance.now() + END_MS; !ended && performance.now() < until; ) await pause(1);
  socket.destroy();
  // What the end of the connection leads to belongs to this input.
  await pause(1);
  return { text: Buffer.concat(chunks), ended: closed };
}

const request = (line: string, body = '', headers: readonly string[] = []): Uint8Array =>
  bytesOf([`${line} HTTP/1.1`, 'Host: localhost', `Content-Length: ${body.length}`, ...headers, '', body].join('\r\n'));

const statuses = [200, 202, 400, 401, 403, 404, 405, 408, 409, 413, 417, 426, 431, 501, 503, 505];
const adminWords = ['mode', 'reason', 'returning', 'graceful', 'fast', 'immediate', '__proto__'];

let admin: { readonly server: AdminServer; readonly port: number; readonly logger: RecordingLogger } | null = null;
let asked: AdminRequest[] = [];

export const adminEndpoint: AsyncTarget = {
  name: 'admin-endpoint',
  seeds: () => [
    request('POST /stop', '{"mode":"fast","reason":"why"}'),
    request('POST /drain', '{"reason":"why"}'),
    request('POST /drain/cancel'),
    request('GET /status'),
    request('GET /readyz?x=1', '', ['Origin: http://localhost']),
    request('GET //'),
    request('HEAD http://[::1/livez'),
    joined(request('GET /livez'), request('GET /shutdown')),
    bytesOf('POST /stop HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'),
  ],
  dictionary: [
    'GET',
    'POST',
    'PUT',
    'OPTIONS',
    'HEAD',
    ' ',
    '/',
    '//',
    '?watch',
    'http://',
    '[',
    '%',
    '\r\n',
    '\r\n\r\n',
    ':',
    'Host: ',
    'Origin: ',
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Expect: 100-continue',
    'Connection: close',
    'Upgrade: websocket',
    'Authorization: Bearer ',
    '/stop',
    '/drain',
    '/drain/cancel',
    '/status',
    '/metrics',
    ...adminWords,
  ], // prettier-ignore
  mutators: [jsonMutator(adminWords)],
  bytesMax: 2048,
  inputMs: 20_000,
  open: async () => {
    const logger = new RecordingLogger();
    const take = (given: AdminRequest): void => void asked.push(given);
    const server = new AdminServer({
      host: '127.0.0.1',
      port: 0,
      token: '',
      clock: systemClock,
      logger,
      loopDelay: new LoopDelay(systemClock),
      view: {
        live: () => true,
        ready: () => true,
        readiness: () => ({}),
        status: () => ({}),
        shutdown: () => ({}),
        metrics: async () => '',
        stop: take,
        drain: take,
        cancelDrain: () => false,
      },
    });
    admin = { server, port: await server.bind(), logger };
    return () => server.close();
  },
  runAsync: async (input) => {
    holds(admin !== null, 'the endpoint is open');
    asked = [];
    admin.logger.lines.length = 0;
    const { text } = await exchange(admin.port, '', input);
    const found = [...text.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
    for (const status of found) holds(statuses.includes(status), `${status} is a status that it answers with`);
    const [line] = admin.logger.lines.filter(({ level }) => level === 'error');
    holds(line === undefined, `no request is a defect: ${line?.message} ${String(line?.fields['err'])}`);
    for (const { mode, reason } of asked) {
      holds(mode === undefined || ['graceful', 'fast', 'immediate'].includes(mode), 'a mode is one');
      holds(reason === undefined || (typeof reason === 'string' && reason.length <= 500), 'a reason is short');
    }
    return `${found.join(' ').slice(0, 12)} asked ${asked.length}`;
  },
};

const wireFrames = [
  ...textCommand
    .seeds()
    .slice(0, 12)
    .map((payload) => frameBytes({ opcode: TEXT, payload: Buffer.from(payload) })),
  ...binaryCommand
    .seeds()
    .slice(-3)
    .map((payload) => frameBytes({ opcode: BINARY, payload: Buffer.from(payload) })),
  frameBytes({ opcode: TEXT, payload: Buffer.from('{"op":'), final: false }),
  frameBytes({ opcode: CONTINUATION, payload: Buffer.from('"ping"}') }),
  frameBytes({ opcode: PING, payload: Buffer.from('p') }),
  frameBytes({ opcode: 8, payload: Buffer.from([3, 232]) }),
];

let served: { readonly broker: Broker; readonly port: number; readonly logger: RecordingLogger } | null = null;

/** The code of the close frame at the end of what came; null without one. */
function closeCodeIn(received: Buffer): number | null {
  for (let at = received.length - 4; at >= 0; at -= 1) {
    const bytes = received[at + 1] ?? 0;
    if (received[at] === 0x88 && bytes >= 2 && at + 2 + bytes === received.length) return received.readUInt16BE(at + 2);
  }
  return null;
}

export const clientSocket: AsyncTarget = {
  name: 'client-socket',
  seeds: () => [joined(...wireFrames), ...wireFrames],
  dictionary: [
    ...textCommand.dictionary,
    Uint8Array.of(0x81, 0xfe),
    Uint8Array.of(0x82, 0xff, 0, 0, 0, 0, 0, 0, 1, 0),
    Uint8Array.of(0, 0x80, 0, 0, 0, 0),
    Uint8Array.of(0xc1, 0x80),
    Uint8Array.of(0x88, 0x80, 0, 0, 0, 0),
  ],
  bytesMax: 4096,
  inputMs: 20_000,
  open: async () => {
    const logger = new RecordingLogger();
    const parts = {
      disk: new MemoryDisk(),
      meta: new MemoryMeta(),
      logger,
      lock: async () => ({ release: async () => {} }),
    };
    const config = {
      data: '/memory/data',
      port: 0,
      shards: 1,
      partitions: 1,
      reserveBytes: 0,
      frameBytes: 4096,
      topicsMax: 20,
    };
    const broker = createBroker({ admin: false, ...config }, parts);
    await broker.start();
    served = { broker, logger, port: broker.port ?? 0 };
    return async () => {
      const { exitCode } = await broker.stop({ mode: 'fast' });
      holds(exitCode === 0, 'a broker that was given bad input stops in order');
    };
  },
  runAsync: async (input) => {
    holds(served !== null, 'the broker is open');
    served.logger.lines.length = 0;
    const { text, ended } = await exchange(served.port, upgradeRequest(served.port), input);
    const code = closeCodeIn(text);
    // A close that the client began is answered with its own code.
    const own = code !== null && Buffer.from(input).includes(Buffer.from([code >> 8, code & 255]));
    holds(code === null || own || Object.hasOwn(closeCodeTable, code), `${code} is a documented close code`);
    holds(code !== 1011 || own, 'no input is a defect of the broker');
    const [line] = served.logger.lines.filter(({ level }) => level === 'error');
    holds(line === undefined, `nothing is logged as an error; got ${line?.message}`);
    return `${code} ${ended}`;
  },
};
