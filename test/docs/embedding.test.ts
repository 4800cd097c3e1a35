/** Every program in `docs/embedding.md` runs as it stands, and the API reference is that of the built package. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { apiReference } from '../../scripts/api-reference.mjs';
import { temporaryFolder } from '../support/broker-process.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/embedding.md'), 'utf8');
const programs = [...page.matchAll(/(?:<!-- example: (\w+) -->\n)?```(\w*)\n(.*?)```/gs)].map(
  ([, name, language, code]) => ({ name, language, code: code ?? '' }),
);
const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** What each prints on its last lines. */
const said: Readonly<Record<string, string>> = {
  start: "on disk at offset 0\ncustomer-7 { item: 'book' }\nclean\n",
  machine: 'log,orders,shipments\n',
  supervise: 'run 2, 1 restart\nabandoned\n',
  testing: 'clean\n',
};

describe('docs/embedding.md', () => {
  it('has no code that no test runs', () => {
    expect(programs.map(({ name, language }) => [name, language])).toEqual(
      Object.keys(said).map((name) => [name, 'js']),
    );
  });

  it.each(Object.keys(said))('the program “%s” does what the page says', async (name) => {
    const folder = await temporaryFolder();
    cleanups.push(() => folder.remove());
    const code = programs.find((program) => program.name === name)?.code ?? '';
    // Inside the package, so that it imports `sluice` by its own name.
    const path = join(root, `embedding-example-${name}-${process.pid}.mjs`);
    const data = JSON.stringify(join(folder.path, 'data'));
    await writeFile(path, code.replace("data: './data'", `data: ${data}, logLevel: 'silent'`));
    cleanups.push(() => rm(path, { force: true }));
    const child = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    const [exit] = (await once(child, 'close')) as [number | null];
    expect(output).toBe(said[name]);
    expect(exit).toBe(0);
  });
});

describe('docs/api.md', () => {
  it('is what the docstrings say', () => {
    const kept = readFileSync(join(root, 'docs/api.md'), 'utf8');
    expect(kept === apiReference(), 'differs: run `npm run build && node scripts/api-reference.mjs`').toBe(true);
  });
});
