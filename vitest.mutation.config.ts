import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** One folder at a time, judged by its own tests: those of another folder would kill by chance, and take hours. */
const folder = process.env['MUTATED_FOLDER'] ?? '{domain,machines,protocol,storage}';

/** Take more than a second, or start processes: what the others find, they need not. */
const slow = [
  /machines\/(?:supervisor|supervisor-children|shard|session|budget)\.test/,
  /protocol\/(?:json-text|record-json|command-parser-properties)\.test/,
  /storage\/(?:segment-log|memory-log|meta-memory|segment-scan|meta-level|level-lock|segment-fault)\.test/,
];

/** A mutant's run ends with the first test that fails. */
class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isSlow = ({ moduleId }: TestSpecification): number => (slow.some((name) => name.test(moduleId)) ? 1 : 0);
    return [...files].sort((a, b) => isSlow(a) - isSlow(b));
  }
}

export default defineConfig({
  test: {
    include: [`test/${folder}/**/*.test.ts`],
    exclude: [
      // Its subject is the built package, where nothing is mutated.
      'test/machines/production-build.test.ts',
      // Try everything there is, for 10 to 50 s each: too long for each mutant that the others do not find.
      'test/machines/supervisor-model.test.ts',
      'test/storage/meta-level-damage.test.ts',
      'test/storage/segment-crash.test.ts',
      'test/storage/torn-end-search.test.ts',
    ],
    setupFiles: ['test/support/short-properties.ts'],
    sequence: { sequencer: QuickFirst },
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
