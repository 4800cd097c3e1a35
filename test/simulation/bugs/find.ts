/**
 * Finds every planted bug anew and records the seeds in `found.json`: to be run when the maker of plans changes.
 *
 *   npx tsx test/simulation/bugs/find.ts [--seeds 2000] [--from 1] [--jobs 2] [NAME …]
 *
 * A seed counts when it shows the bug, and is sound without it. Exits with 1 when a bug is not found.
 */
import { parseArgs } from 'node:util';
import type { Bug } from './bug.ts';
import { type FoundRow, readFound, writeFound } from './found.ts';
import { controlOf, hunt } from './hunt.ts';
import { bugNamed, bugs } from './index.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
  },
});

const from = Number(values.from);
const until = from + Number(values.seeds);

async function find(bug: Bug): Promise<FoundRow | null> {
  for (let next = from; next < until; ) {
    const began = performance.now();
    const { found, tried, hung } = await hunt(bug, range(next, until), Number(values.jobs));
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    const ended = hung.length === 0 ? '' : `, ${hung.length} did not end: ${hung.join(' ')}`;
    if (found === null) {
      console.log(`${bug.name}: NOT FOUND in ${tried} seeds, ${seconds} s${ended}`);
      return null;
    }
    const { seed, invariant, text } = found;
    console.log(`${bug.name}: seed ${seed}, ${invariant}, ${tried} seeds, ${seconds} s${ended}: ${text.slice(0, 150)}`);
    const control = await controlOf(seed);
    if (control?.violations.some((each) => bug.shownBy.includes(each.invariant)) === false) return { seed, invariant };
    console.log(`${bug.name}: seed ${seed} is not sound without it either; going on`);
    next = seed + 1;
  }
  return null;
}

function* range(start: number, end: number): Generator<number, void, undefined> {
  for (let seed = start; seed < end; seed += 1) yield seed;
}

const asked = positionals.length === 0 ? bugs : positionals.map(bugNamed);
let missing = 0;
for (const bug of asked) {
  const row = await find(bug);
  // Read again each time: another run may have written meanwhile.
  const rows = new Map(readFound());
  if (row === null) rows.delete(bug.name);
  else rows.set(bug.name, row);
  writeFound(rows);
  if (row === null) missing += 1;
}
console.log(`${asked.length - missing} of ${asked.length} found`);
process.exitCode = missing === 0 ? 0 : 1;
