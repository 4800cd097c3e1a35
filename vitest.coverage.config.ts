import { defineConfig } from 'vitest/config';

/** The pure and durable parts: what they decide or keep can be asked of them directly. */
const folders = ['domain', 'machines', 'protocol', 'storage'];
const branches = 95;

/**
 * `npm run coverage`: the tests that ask these parts directly, with their coverage. Nothing that starts a broker or a
 * browser counts: a line that ran somewhere below a whole broker was not thereby asked anything.
 */
export default defineConfig({
  test: {
    include: ['test/{domain,machines,protocol,shard,storage}/**/*.test.ts'],
    maxWorkers: 2,
    // Counting what ran slows what runs.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      enabled: true,
      provider: 'v8',
      include: folders.map((folder) => `src/${folder}/**/*.ts`),
      reporter: ['text', 'json-summary'],
      thresholds: Object.fromEntries(folders.map((folder) => [`src/${folder}/**`, { branches }])),
    },
  },
});
