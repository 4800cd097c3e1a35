/**
 * The console page as it was built, over HTTP: its files, each with a type, caching that fits, and a policy that lets
 * the page load nothing from elsewhere. They hold no secret, so that they need no token: the page asks for it. Used by
 * the admin endpoint, `inspect` and `sluice replay`.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { systemCodeOf } from '../errors.ts';

/** Beside this folder in the built package; sources are run beside what was built. */
const builtPage = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../dist/console/' : '../console/', import.meta.url),
);

export interface PageFile {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | string;
}

/** Names that the build gives: no dot first, so that nothing hidden and nothing above is reached. */
const servedPath = /^\/(?:[\w-][\w.-]*\/)*[\w-][\w.-]*$/;

const contentTypes: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  ico: 'image/x-icon',
  woff2: 'font/woff2',
  json: 'application/json',
  webmanifest: 'application/manifest+json',
};

const missingPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sluice console</title>
<p>The console page is not built. In the source tree of Sluice: <code>npm run build</code>.</p>
</html>
`;

/**
 * The file of a path; null when there is none. `sockets` are the places, besides its own, that the page may open a
 * WebSocket to: `ws://127.0.0.1:7070`. Rejects when a file is there and can't be read.
 */
export async function pageFile(
  path: string,
  sockets: readonly string[] = [],
  folder = builtPage,
): Promise<PageFile | null> {
  const name = path === '/' ? '/index.html' : path;
  const type = contentTypes[name.slice(name.lastIndexOf('.') + 1)];
  if (type === undefined || !servedPath.test(name)) return null;
  let body: Buffer | string;
  try {
    body = await readFile(`${folder.replace(/\/$/, '')}${name}`);
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'EISDIR'].includes(systemCodeOf(error) ?? '')) throw error;
    if (name !== '/index.html') return null;
    return { status: 503, headers: headersOf(type, 'no-store', sockets), body: missingPage };
  }
  // The name of an asset has a hash of what is in it.
  const caching = name.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-store';
  return { status: 200, headers: headersOf(type, caching, sockets), body };
}

/** A request for `/` by something that shows pages; others get a text. */
export function wantsPage(accept: string | undefined): boolean {
  return accept !== undefined && /\btext\/html\b/.test(accept);
}

function headersOf(type: string, caching: string, sockets: readonly string[]): Readonly<Record<string, string>> {
  return {
    'content-type': type,
    'cache-control': caching,
    'content-security-policy': policy(sockets),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  };
}

function policy(sockets: readonly string[]): string {
  const connect = ["'self'", ...sockets].join(' ');
  return (
    `default-src 'none'; script-src 'self'; style-src 'self'; connect-src ${connect}; img-src 'self' data:; ` +
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
  );
}
