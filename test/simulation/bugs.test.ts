/**
 * The simulator finds every planted bug. By default each bug is looked for at the seed that found it last and at a few
 * others; with `PROOF_SIZE=full` from seed 1 on, up to 2,000, whatever was recorded.
 */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readFound } from './bugs/found.ts';
import { type Hunt, hunt } from './bugs/hunt.ts';
import { type Bug, bugs } from './bugs/index.ts';

const full = process.env['PROOF_SIZE'] === 'full';
const FULL_SEEDS = 2000;
/** Seeds tried behind the recorded one: a change to the plans moves the seeds, and most bugs take few. */
const WINDOW_SEEDS = 60;
/** Bugs looked for at a time, one process each. */
const LANES = 2;
const FIND_MS_MAX = full ? 4 * 3_600_000 : 600_000;

const recorded = readFound();
const root = new URL('../../', import.meta.url);

function* seedsFor({ name }: Bug): Generator<number, void, undefined> {
  const first = recorded.get(name)?.seed;
  if (!full && first !== undefined) yield first;
  for (let seed = 1; seed <= (full ? FULL_SEEDS : WINDOW_SEEDS); seed += 1) yield seed;
}

describe('planted bugs', () => {
  it('are at least twenty-five, and no two have one name', () => {
    expect(bugs.length).toBeGreaterThanOrEqual(25);
    expect(new Set(bugs.map(({ name }) => name)).size).toBe(bugs.length);
  });

  it.each(bugs)('$name changes its source, each edit at one place', ({ edits }) => {
    expect(edits.length).toBeGreaterThan(0);
    for (const { file, find, replace } of edits) {
      const places = readFileSync(new URL(file, root), 'utf8').split(find).length - 1;
      expect(places, `${JSON.stringify(find)} in ${file}`).toBe(1);
      expect(replace).not.toBe(find);
    }
  });

  it('have a recorded seed each, and no seed is left of one that is gone', () => {
    expect([...recorded.keys()].sort()).toEqual(bugs.map(({ name }) => name).sort());
  });
});

describe(`the simulator finds, within ${FULL_SEEDS} seeds,`, () => {
  const hunts = new Map<string, Promise<Hunt>>();

  beforeAll(() => {
    const left = bugs.map((bug) => {
      let settle: (hunting: Promise<Hunt>) => void = () => {};
      const result = new Promise<Hunt>((resolve) => {
        settle = resolve;
      });
      // A worker that breaks is told by the test that waits for it, which may come later.
      result.catch(() => {});
      hunts.set(bug.name, result);
      return { bug, settle };
    });
    const lane = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const hunting = hunt(next.bug, seedsFor(next.bug), 1);
        next.settle(hunting);
        await hunting.catch(() => {});
      }
    };
    for (let each = 0; each < LANES; each += 1) void lane();
  });

  it.each(bugs)('$name', { timeout: FIND_MS_MAX }, async ({ name, shownBy }) => {
    const { found, tried, hung } = (await hunts.get(name)) as Hunt;
    const hint = full ? '' : '; did the plans change? `npx tsx test/simulation/bugs/find.ts` finds the seeds anew';
    expect(found, `not shown by ${tried} seeds, of which ${hung.length} did not end${hint}`).not.toBeNull();
    expect(shownBy).toContain(found?.invariant);
  });
});
