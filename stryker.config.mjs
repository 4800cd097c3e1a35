/**
 * Mutation of the pure and durable parts, one folder at a time (`scripts/mutation.ts` says which by MUTATED_FOLDER).
 * What is mutated: all of it, texts included, since an error that names what is wrong is part of what is promised.
 */
const folder = process.env['MUTATED_FOLDER'];
if (folder === undefined) throw new Error('run `npm run mutation -- [folder…]`: it says which folder is meant');

/** @type {import('@stryker-mutator/api/core').PartialStrykerOptions} */
export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'vitest.mutation.config.ts' },
  mutate: [`src/${folder}/**/*.ts`],
  ignorePatterns: ['.stryker-tmp', 'bench', 'biome.json', 'coverage', 'data', 'deploy', 'dist', 'reports', 'scripts'],
  // Stryker would rewrite it with the API of TypeScript, which TypeScript 7 does not have; vitest needs none.
  tsconfigFile: 'none',
  coverageAnalysis: 'perTest',
  concurrency: 2,
  // What an endless loop is given beyond one and a half times what the tests took.
  timeoutMS: 2000,
  reporters: ['clear-text', 'json', 'progress-append-only'],
  clearTextReporter: { allowColor: false, allowEmojis: false, logTests: false, reportTests: false },
  jsonReporter: { fileName: `reports/mutation/${folder}.json` },
  eventReporter: { baseDir: `reports/mutation/${folder}-events` },
  incremental: true,
  incrementalFile: `reports/mutation/${folder}-incremental.json`,
  tempDirName: `.stryker-tmp/${folder}`,
  warnings: { slow: false },
};
