/**
 * `npm run mutation -- [folder…]`: runs Stryker over the pure and durable parts of `src`, or over those that are named,
 * one behind another, and prints the score of each. Exit code 1 when one is below the least that is allowed. What was
 * found before is kept in `reports/mutation`, and a mutant whose code and tests did not change is not tried again.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const FOLDERS = ['domain', 'protocol', 'machines', 'storage'];
/** Least share of mutants that the tests find, percent. */
const SCORE_MIN = 85;

type Status =
  | 'Killed'
  | 'Timeout'
  | 'Survived'
  | 'NoCoverage'
  | 'RuntimeError'
  | 'CompileError'
  | 'Ignored'
  | 'Pending';
interface Report {
  readonly files: Readonly<Record<string, { readonly mutants: readonly { readonly status: Status }[] }>>;
}

const asked = process.argv.slice(2);
const unknown = asked.filter((folder) => !FOLDERS.includes(folder));
if (unknown.length > 0) {
  console.error(`there is no folder ${unknown.join(', ')} to mutate; there are ${FOLDERS.join(', ')}`);
  process.exit(2);
}

const rows = (asked.length > 0 ? asked : FOLDERS).map((folder) => {
  const env = { ...process.env, MUTATED_FOLDER: folder };
  const { status } = spawnSync('npx', ['stryker', 'run'], { cwd: root, env, stdio: 'inherit' });
  if (status !== 0) throw new Error(`Stryker ended with ${status} over src/${folder}`);
  return rowOf(folder);
});
console.table(rows);
if (rows.some(({ score }) => score < SCORE_MIN)) {
  console.error(`a score is below ${SCORE_MIN} %`);
  process.exitCode = 1;
}

/** What became of a folder's mutants. One that ran out of time is found: an endless loop fails every test. */
function rowOf(folder: string) {
  const path = join(root, 'reports', 'mutation', `${folder}.json`);
  const { files } = JSON.parse(readFileSync(path, 'utf8')) as Report;
  const mutants = Object.values(files).flatMap((file) => file.mutants);
  const count = (status: Status): number => mutants.filter((mutant) => mutant.status === status).length;
  const [killed, timeout, survived, noCoverage] = [
    count('Killed'),
    count('Timeout'),
    count('Survived'),
    count('NoCoverage'),
  ];
  const judged = killed + timeout + survived + noCoverage;
  return {
    folder,
    killed,
    timeout,
    survived,
    noCoverage,
    score: Math.round(((killed + timeout) / judged) * 1000) / 10,
  };
}
