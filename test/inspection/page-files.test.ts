/** The files of the console page: types, caching, and nothing but what was built. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { pageFile, wantsPage } from '../../src/inspection/page-files.ts';
import { temporaryFolder } from '../support/broker-process.ts';

async function built(): Promise<string> {
  const made = await temporaryFolder();
  onTestFinished(() => made.remove());
  const folder = join(made.path, 'console');
  await mkdir(join(folder, 'assets'), { recursive: true });
  await writeFile(join(folder, 'index.html'), '<!doctype html>');
  await writeFile(join(folder, 'assets/index-Cq1xY_6q.js'), 'export {}');
  await writeFile(join(folder, 'assets/style-DL--hq8q.css'), 'a{}');
  await writeFile(join(folder, '.secret.js'), 'hidden');
  await writeFile(join(made.path, 'above.js'), 'above');
  return folder;
}

describe('the files of the page', () => {
  it('are kept by a browser where their name has a hash, and asked for again where it has none', async () => {
    const folder = await built();
    const page = await pageFile('/', [], folder);
    expect(page).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' },
    });
    const script = await pageFile('/assets/index-Cq1xY_6q.js', [], folder);
    expect(script?.headers).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    });
    const style = await pageFile('/assets/style-DL--hq8q.css', [], folder);
    expect(style?.headers['content-type']).toBe('text/css; charset=utf-8');
  });

  it.each([
    '/../above.js',
    '/assets/../../above.js',
    '/.secret.js',
    '/assets/',
    '/assets',
    '//above.js',
    '/assets/x.js',
    '/%2e%2e/above.js',
    '/..\\above.js',
    '/index.html/x.js',
    '/index.exe',
  ])('are not at %s', async (path) => {
    expect(await pageFile(path, [], await built())).toBeNull();
  });

  it('say how they are built where they are not', async () => {
    const page = await pageFile('/', [], '/nowhere/at/all');
    expect(page?.status).toBe(503);
    expect(String(page?.body)).toContain('npm run build');
  });

  it('come under the policy that was asked for, word by word', async () => {
    const page = await pageFile('/', ['ws://[::1]:7070'], await built());
    expect(page?.headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws://[::1]:7070; img-src 'self' data:; " +
        "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
  });

  it('are for those who ask for a page', () => {
    expect(wantsPage('text/html,application/xhtml+xml;q=0.9,*/*;q=0.8')).toBe(true);
    for (const accept of [undefined, '*/*', 'text/plain', 'application/json']) expect(wantsPage(accept)).toBe(false);
  });
});
