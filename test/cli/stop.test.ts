import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { reportText } from '../../src/cli/shutdown-report.ts';
import { stop } from '../../src/cli/stop.ts';
import { fakeTerminal } from './fake-terminal.ts';

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
    const { code, out } = await run(['--mode', 'fast', '--reason', 'why'], await broker([{ phase: 'draining' }], null));
    expect([code, out]).toEqual([0, 'asked to stop (fast)\n']);
    expect(asked).toEqual(['POST /stop {"mode":"fast","reason":"why"}']);
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
