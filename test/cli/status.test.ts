import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Admin } from '../../src/cli/admin.ts';
import { status, statusText } from '../../src/cli/status.ts';
import { roughBytes, roughMs, tableText } from '../../src/cli/table.ts';
import { fakeTerminal } from './fake-terminal.ts';

let server: Server | null = null;
afterEach(() => new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve))));

async function serve(listener: RequestListener): Promise<string> {
  const made = createServer({ keepAliveTimeout: 1 }, listener);
  server = made;
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
}

describe('sluice status', () => {
  it('prints the answer as text, or as it came with --json', async () => {
    const answer = { phase: 'running', pid: 4711, shards: [{ id: '0', state: 'running', pendingBytes: 1500 }] };
    const admin = await serve((request, response) => {
      expect([request.url, request.headers.authorization]).toEqual(['/status', 'Bearer t']);
      response.end(JSON.stringify(answer));
    });
    const environment = { SLUICE_ADMIN_URL: admin, SLUICE_ADMIN_TOKEN: 't' };
    const text = fakeTerminal({ environment });
    expect(await status.run([], text)).toBe(0);
    await text.stdout.finish();
    expect(text.out.bytes.toString()).toBe(
      'phase  running\npid    4711\n\nSHARDS\nID  STATE    PENDING\n0   running  1.50 kB\n',
    );
    const json = fakeTerminal({ environment });
    await status.run(['--json'], json);
    await json.stdout.finish();
    expect(JSON.parse(json.out.bytes.toString())).toEqual(answer);
  });

  it('shows nested parts under their own headings', () => {
    expect(statusText({ a: { b: { upMs: 1500 } } })).toBe('A B\nup  1.5 s\n');
    expect(statusText({ list: [], text: null })).toBe('list  []\ntext  -\n');
  });
});

describe('the admin endpoint', () => {
  const flags = (admin: string) => ({ admin, 'admin-token': undefined });

  it('is UNREACHABLE where nothing listens', async () => {
    const admin = await serve(() => {});
    await new Promise((resolve) => server?.close(resolve));
    server = null;
    await expect(new Admin(flags(admin)).get('/status')).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringMatching(/ECONNREFUSED$/),
    });
  });

  it.each([
    [401, '{"message":"no token"}', /answered 401: no token$/],
    [404, 'Not here\nmore', /answered 404: Not here$/],
    [200, '<html>', /answered 200: not with a JSON object$/],
    [200, '[]', /answered 200: not with a JSON object$/],
  ])('is told apart from others by its answer: %i %s', async (code, body, message) => {
    const admin = await serve((_, response) => response.writeHead(code).end(body));
    await expect(new Admin(flags(admin)).get('/status')).rejects.toMatchObject({
      code: 'UNEXPECTED_ANSWER',
      message: expect.stringMatching(message),
    });
  });

  it('may answer 503 with its state while it shuts down', async () => {
    const admin = await serve((_, response) => response.writeHead(503).end('{"phase":"draining"}'));
    expect(await new Admin(flags(admin)).get('/shutdown')).toEqual({ phase: 'draining' });
  });

  it.each(['nonsense', 'ftp://x', ''])('is refused as %j', (url) => {
    expect(() => new Admin(flags(url))).toThrow(/--admin: got/);
  });
});

describe('texts for people', () => {
  it('align columns, numbers to the right', () => {
    expect(
      tableText(
        ['a', 'count'],
        [
          ['x', 1],
          ['long', 12_345],
          [null, 2],
        ],
      ),
    ).toBe('A      COUNT\nx          1\nlong  12,345\n-          2\n');
    expect(tableText(['a', 'b'], [])).toBe('A  B\n');
  });

  it('round sizes and durations', () => {
    expect([0, 934.42, 1000, 12_345, 5e9].map(roughBytes)).toEqual(['0 B', '934 B', '1.00 kB', '12.3 kB', '5.00 GB']);
    expect([0.4, 850, 12_300, 245_000].map(roughMs)).toEqual(['0 ms', '850 ms', '12.3 s', '4 min 5 s']);
  });
});
