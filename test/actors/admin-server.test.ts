import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AdminRequest, AdminServer } from '../../src/actors/admin-server.ts';
import { LoopDelay } from '../../src/actors/loop-delay.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { RecordingLogger } from '../../src/testing/recording-logger.ts';
import { RawSocket } from '../support/raw-socket.ts';

let server: AdminServer;
let port: number;
let logger: RecordingLogger;
let stops: AdminRequest[];

beforeEach(async () => {
  logger = new RecordingLogger();
  stops = [];
  server = new AdminServer({
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
      status: () => ({ is: 'fine' }),
      shutdown: () => ({}),
      metrics: async () => '',
      stop: (request) => stops.push(request),
      drain: () => {},
      cancelDrain: () => false,
    },
  });
  port = await server.bind();
});

afterEach(() => server.close());

async function answerTo(request: string, status: string): Promise<void> {
  const raw = await RawSocket.connect(port);
  raw.write(request);
  await raw.receives(`HTTP/1.1 ${status} `);
  raw.reset();
  await raw.ended;
}

const stillServes = () => answerTo('GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n', '200');
const errors = () => logger.lines.filter(({ level }) => level === 'error' || level === 'warn');

describe('the admin endpoint', () => {
  it.each(['//', 'http://[', '//:x'])('answers 400 to the target %s, which is no path', async (target) => {
    await answerTo(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`, '400');
    expect(errors()).toEqual([]);
    await stillServes();
  });

  it('takes a body that breaks off for nothing: no stop, and no error of its own', async () => {
    const raw = await RawSocket.connect(port);
    raw.write('POST /stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"mode":"fast"}');
    await stillServes();
    raw.reset();
    await raw.ended;
    await stillServes();
    expect(stops).toEqual([]);
    expect(errors()).toEqual([]);
  });
});
