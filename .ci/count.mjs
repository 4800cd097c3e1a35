// The plain count of a vitest run; fails on a failed run, a failed test, and on any that was skipped.
import { readFileSync } from 'node:fs';

const [, , path, status] = process.argv;
const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
  readFileSync(path, 'utf8'),
);
const skipped = numPendingTests + numTodoTests;
const brokenFiles = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
const runFailed = status !== '0' && numFailedTests + brokenFiles === 0 ? 1 : 0;
const failed = numFailedTests + brokenFiles + skipped + runFailed;
if (skipped > 0) console.log(`${skipped} tests were skipped, which counts as failed here`);
if (runFailed > 0) console.log(`the test command ended with ${status}`);
console.log(`${numPassedTests} passed, ${failed} failed`);
process.exitCode = failed === 0 && numPassedTests > 0 ? 0 : 1;
