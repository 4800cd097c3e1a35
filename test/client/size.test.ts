/** What a page pays for the client. */
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { expect, test } from 'vitest';

const GZIPPED_BYTES_MAX = 10_500;

const GROUPS_GZIPPED_BYTES_MAX = 4_000;

test('costs at most 4 kB more with consumer groups', async () => {
  const entries = ['index', 'groups'].map((name) =>
    fileURLToPath(new URL(`../../src/client/${name}.ts`, import.meta.url)),
  );
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: true,
      modulePreload: false,
      target: 'es2022',
      rolldownOptions: { input: entries, preserveEntrySignatures: 'strict' },
    },
  });
  const [output] = Array.isArray(built) ? built : [built];
  if (output === undefined || !('output' in output)) throw new Error('vite built nothing');
  const all = output.output.map((chunk) => ('code' in chunk ? chunk.code : '')).join('\n');
  const bytes = gzipSync(all, { level: 9 }).length;
  console.log(`sluice/client with groups: ${bytes} gzipped`);
  expect(bytes).toBeLessThanOrEqual(GZIPPED_BYTES_MAX + GROUPS_GZIPPED_BYTES_MAX);
}, 60_000);

test('is at most 10.5 kB, bundled, minified and gzipped', async () => {
  const input = fileURLToPath(new URL('../../src/client/index.ts', import.meta.url));
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: true,
      modulePreload: false,
      target: 'es2022',
      // As part of a page, with every export kept.
      rolldownOptions: { input, preserveEntrySignatures: 'strict' },
    },
  });
  const [output] = Array.isArray(built) ? built : [built];
  if (output === undefined || !('output' in output)) throw new Error('vite built nothing');
  expect(output.output).toHaveLength(1);
  const { code, imports } = output.output[0];
  expect(imports).toEqual([]);
  const bytes = gzipSync(code, { level: 9 }).length;
  console.log(`sluice/client: ${code.length} bytes minified, ${bytes} gzipped (at most ${GZIPPED_BYTES_MAX})`);
  expect(bytes).toBeLessThanOrEqual(GZIPPED_BYTES_MAX);
  // Nothing of Node may come in by way of the domain.
  expect(code).not.toMatch(/\bnode:|\bprocess\.|\bBuffer\b/);
}, 60_000);
