import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Admin } from '../../src/cli/admin.ts';
import { reportText } from '../../src/cli/shutdown-report.ts';
import { stop } from '../../src/cli/stop.ts';
import { fakeTerminal, Sink } from './fake-terminal.ts';

const clean = {
  outcome: 'clean',
  exitCode: 0,
  durationMs: 1234,
  phases: [{ phase: 'draining', durationMs: 200, budgetMs: 5000 }],
  children: [],
};

let data = '';
let server: Server | null = null;
let asked: string[] = [];

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'sluice-stop-'));
  asked = [];
});
afterEach(async () => {
  await new Promise((resolve) => (server?.listening ? server.close(resolve) : resolve(null)));
  await rm(data, { recursive: true, force: true });
});

/** A broker's admin endpoint: goes through `phases`, a look each, then leaves `report` in its data directory and is gone. */
async function broker(phases: readonly object[], report: object | null, told: object = { data }): Promise<string> {
  const left = [...phases];
  const made = createServer((request, response) => {
    response.setHeader('connection', 'close');
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', async () => {
      asked.push(`${request.method} ${request.url} ${body}`);
      if (request.url === '/status') return response.end(JSON.stringify(told));
      const phase = left.shift() ?? {};
      response.end(JSON.stringify(phase));
      if (left.length > 0) return undefined;
      if (report !== null) await writeFile(join(data, 'last-shutdown.json'), JSON.stringify(report));
      return made.close();
    });
  });
  server = made;
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
}

async function run(argv: readonly string[], admin: string) {
  const terminal = fakeTerminal({ environment: { SLUICE_ADMIN_URL: admin } });
  const code = await stop.run(argv, terminal);
  await terminal.stdout.finish();
  await terminal.stderr.finish();
  return { code, out: terminal.out.bytes.toString(), err: terminal.err.bytes.toString() };
}

describe('sluice stop', () => {
  it('asks and returns', async () => {
    const { code, out } = await run(
      ['--mode', 'fast', '--reason', 'why', '--for-good'],
      await broker([{ phase: 'draining' }], null),
    );
    expect([code, out]).toEqual([0, 'asked to stop (fast)\n']);
    expect(asked).toEqual(['POST /stop {"mode":"fast","reason":"why","returning":false}']);
  });

  it('follows the phases until the broker is gone, and ends with its exit code', async () => {
    const phases = [{ phase: 'draining' }, { phase: 'draining' }, { phase: 'flushing' }];
    const admin = await broker(phases, { ...clean, outcome: 'failed', exitCode: 21 });
    const { code, out, err } = await run(['--wait'], admin);
    expect(code).toBe(21);
    expect(err.split('\n').map((line) => line.trim().split(/\s+/).pop())).toEqual(['draining', 'flushing', '']);
    expect(out).toMatch(/^sluice stopped: failed, exit code 21, in 1\.2 s\n/);
  });

  it('never takes the report of an earlier shutdown for this one', async () => {
    await writeFile(join(data, 'last-shutdown.json'), JSON.stringify(clean));
    const admin = await broker([{ phase: 'draining' }], null);
    await expect(run(['--wait'], admin)).rejects.toMatchObject({ code: 'UNEXPECTED_ANSWER' });
  }, 15_000);

  it('takes the report from the endpoint where the data directory is on another machine', async () => {
    const admin = await broker([{ phase: 'draining' }, { phase: 'stopped', report: clean }], null, {
      data: '/nowhere/at/all',
    });
    const { code, out } = await run(['--wait', '--json'], admin);
    expect([code, JSON.parse(out)]).toEqual([0, clean]);
  });

  it('gives up after --timeout and says in which phase', async () => {
    const admin = await broker(
      Array.from({ length: 1000 }, () => ({ phase: 'flushing' })),
      null,
    );
    await expect(run(['--wait', '--timeout', '50ms'], admin)).rejects.toThrow(
      /still there after 50ms, in phase flushing/,
    );
  });
});

describe('sluice stop --wait and the event stream', () => {
  const event = (state: object): string => `data: ${JSON.stringify(state)}\n\n`;

  /** An admin endpoint whose stream sends `chunks` and then ends, breaks or stays silent; then it is asked for `looks`. */
  async function streaming(
    chunks: readonly string[],
    end: 'end' | 'break',
    looks: readonly object[],
    report: object | null = clean,
  ): Promise<string> {
    const left = [...looks];
    const made = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.setHeader('connection', 'close');
      const gone = async (): Promise<void> => {
        if (left.length > 0) return;
        if (report !== null) await writeFile(join(data, 'last-shutdown.json'), JSON.stringify(report));
        made.close();
      };
      if (request.url === '/status') response.end(JSON.stringify({ data }));
      else if (request.method === 'POST') response.end(JSON.stringify({ phase: 'draining' }));
      else if (request.url === '/shutdown?watch') {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        const send = async (): Promise<void> => {
          for (const chunk of chunks) {
            response.write(chunk);
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
          await gone();
          if (end === 'end') response.end();
          else response.destroy();
        };
        void send();
      } else {
        response.end(JSON.stringify(left.shift() ?? {}));
        void gone();
      }
    });
    server = made;
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
  }

  const words = (err: string): string[] => err.split('\n').flatMap((line) => line.trim().split(/\s+/).pop() || []);

  it('follows the stream, and asks once more only when it has ended', async () => {
    const chunks = [event({ phase: 'draining' }), event({ phase: 'flushing' }), event({ phase: 'releasing' })];
    const { code, out, err } = await run(['--wait'], await streaming(chunks, 'end', []));
    expect([code, words(err)]).toEqual([0, ['draining', 'flushing', 'releasing']]);
    expect(out).toMatch(/^sluice stopped: clean/);
    expect(asked).toEqual(['GET /status', 'POST /stop', 'GET /shutdown?watch']);
  });

  it('reads events however they are cut, with comments and what is not JSON between them', async () => {
    const text = `: hello\n\n${event({ phase: 'flüssig' })}data: {"phase":\r\ndata: "flushing"}\r\n\r\ndata: nonsense\n\nevent: x\n\n`;
    const chunks = text.split('');
    const { err } = await run(['--wait'], await streaming(chunks, 'end', []));
    expect(words(err)).toEqual(['draining', 'flüssig', 'flushing']);
  });

  it('falls back to asking when the stream breaks', async () => {
    const chunks = [event({ phase: 'draining' }), 'data: {"phase":"fl'];
    const looks = [{ phase: 'flushing' }, { phase: 'releasing' }];
    const { code, err } = await run(['--wait'], await streaming(chunks, 'break', looks));
    expect([code, words(err)]).toEqual([0, ['draining', 'flushing', 'releasing']]);
    // Once for each look at least; the last may be asked for again before the broker is found gone.
    expect(asked.filter((line) => line === 'GET /shutdown').length).toBeGreaterThanOrEqual(2);
  });

  it('takes a stream that is silent for broken', async () => {
    const made = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(event({ phase: 'draining' }));
    });
    server = made;
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
    const seen: unknown[] = [];
    const read = async (): Promise<void> => {
      const admin = new Admin({ admin: url, 'admin-token': undefined });
      for await (const state of admin.watch('/shutdown?watch', 500)) seen.push(state);
    };
    await expect(read()).rejects.toMatchObject({
      code: 'UNEXPECTED_ANSWER',
      message: expect.stringContaining('500ms'),
    });
    expect(seen).toEqual([{ phase: 'draining' }]);
  });

  it('keeps standard output clean with --json, with a terminal to draw on', async () => {
    const shards = [{ id: 'shard-00', state: 'ready', operation: 'write', pendingBytes: 5, flushedBytes: 5 }];
    const admin = await streaming([event({ phase: 'flushing', shards })], 'end', []);
    const drawn = Object.assign(new Sink(), { columns: 80, rows: 24 });
    const terminal = {
      ...fakeTerminal({ environment: { SLUICE_ADMIN_URL: admin } }),
      progressStream: drawn as unknown as NodeJS.WriteStream,
    };
    expect(await stop.run(['--wait', '--json'], terminal)).toBe(0);
    await terminal.stdout.finish();
    expect(JSON.parse(terminal.out.bytes.toString())).toEqual(clean);
    const text = drawn.bytes.toString();
    expect(text).toContain('shard-00  ████████████░░░░░░░░░░░░  50%  5 B of 10 B  write');
    // Taken away at the end.
    expect(text.endsWith('\u001b[J')).toBe(true);
  });

  it('takes the frame away before an error is told', async () => {
    const admin = await broker(
      Array.from({ length: 1000 }, () => ({ phase: 'flushing' })),
      null,
    );
    const drawn = Object.assign(new Sink(), { columns: 80, rows: 24 });
    const terminal = {
      ...fakeTerminal({ environment: { SLUICE_ADMIN_URL: admin } }),
      progressStream: drawn as unknown as NodeJS.WriteStream,
    };
    await expect(stop.run(['--wait', '--timeout', '50ms'], terminal)).rejects.toThrow(/still there/);
    expect(drawn.bytes.toString().endsWith('\u001b[J')).toBe(true);
  });
});

describe('the report of a shutdown', () => {
  it('tells outcome, losses, phases, and what did not end well', () => {
    const text = reportText({
      ...clean,
      outcome: 'abandoned',
      exitCode: 20,
      lost: 3,
      unknown: 1000,
      children: [
        { kind: 'shard', id: 'shard-00', state: 'released', detail: null },
        { kind: 'shard', id: 'shard-01', state: 'abandoned', detail: 'fdatasync, 2000 ms' },
      ],
      unaccounted: ['gateway'],
    });
    expect(text).toBe(
      [
        'sluice stopped: abandoned, exit code 20, in 1.2 s',
        '3 acknowledged records lost',
        '1,000 records of unknown outcome',
        'PHASE     TOOK    OF AT MOST',
        'draining  200 ms  5.0 s',
        'shard-01: abandoned: fdatasync, 2000 ms',
        'never reported: gateway',
        '',
      ].join('\n'),
    );
  });

  it('is shown as far as it can be read', () => {
    expect(reportText({})).toBe('sluice stopped: outcome unknown, exit code unknown\n');
    expect(reportText({ outcome: 'clean', exitCode: 0, phases: 'x', children: [null, 1] })).toBe(
      'sluice stopped: clean, exit code 0\n',
    );
  });
});
