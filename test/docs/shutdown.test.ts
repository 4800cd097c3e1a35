/** `docs/shutdown.md` says what the code does: the example of the budget, exit codes, fields, and tests that exist. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createActor } from 'xstate';
import { createBroker } from '../../src/broker.ts';
import { planBudget } from '../../src/machines/budget.ts';
import { exitCodes, supervisorMachine } from '../../src/machines/index.ts';
import { reportOf } from '../../src/machines/shutdown-report.ts';

const root = resolve(import.meta.dirname, '../..');
const path = join(root, 'docs/shutdown.md');
const text = readFileSync(path, 'utf8');

/** The cells of the rows between a heading and the next one of any table there. */
function rowsUnder(heading: string): string[][] {
  const [, section = ''] = text.split(`\n## ${heading}\n`);
  const lines = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('|'));
  const rows = lines.filter((line) => !/^\|[-|]+\|$/.test(line)).map((line) => line.split('|').slice(1, -1));
  return rows.map((cells) => cells.map((cell) => cell.trim()));
}

const names = (cells: readonly string[]): string[] =>
  cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? ''));

const grace = { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 5000 };

describe('docs/shutdown.md', () => {
  it('shows the deadlines that the budget gives', () => {
    const measures = [
      { pendingBytes: 0, flushBytesPerSecond: null },
      { pendingBytes: 2 ** 30, flushBytesPerSecond: 100e6 },
    ];
    const plans = measures.map((measure) => planBudget({ ...grace, ...measure, now: 0, mode: 'graceful' }));
    const order = ['announceUntil', 'drainUntil', 'flushUntil', 'closeUntil', 'releaseUntil', 'reportUntil'] as const;
    const expected = order.map((name) => plans.map((plan) => Math.round(plan[name])));
    const shown = rowsUnder('The budget: one number').slice(1);
    expect(shown.slice(0, order.length).map((cells) => cells.slice(1).map(Number))).toEqual(expected);
  });

  it('has the exit code of every outcome, and no other', () => {
    const shown = rowsUnder('Exit codes').flatMap(([code, outcome]) => {
      const name = /`([\w-]+)`/.exec(outcome ?? '')?.[1];
      return name === undefined ? [] : [[name, Number(code)]];
    });
    expect(Object.fromEntries(shown)).toEqual(exitCodes);
  });

  it('explains every field of the report, and none that there is not', () => {
    const supervisor = createActor(supervisorMachine, {
      input: {
        shards: 0,
        grace,
        now: () => 0,
        load: () => ({ pendingBytes: 0, flushBytesPerSecond: null }),
        shardCounts: () => {
          throw new Error('there is no shard');
        },
        gateway: false,
        admin: false,
        guests: [],
      },
    });
    const fields = Object.keys(reportOf(supervisor.getSnapshot().context));
    const shown = names(rowsUnder('The report').map(([field = '']) => field));
    expect(shown.sort()).toEqual([...fields, 'version', 'pid', 'endedAt', 'killedByWatchdog'].sort());
  });

  it('knows what /shutdown answers before anything runs', () => {
    const shown = names(rowsUnder('Watching it').map(([field = '']) => field));
    const state = createBroker({ listen: false, admin: false }).shutdownState;
    for (const field of Object.keys(state)) expect(shown).toContain(field);
  });

  it('names tests that exist', () => {
    const cited = rowsUnder('What holds, and what shows it').flatMap(([, , shownBy = '']) =>
      [...shownBy.matchAll(/`(test\/[\w/.-]+)`: ([^;]+)/g)].map((match) => [match[1] ?? '', match[2] ?? ''] as const),
    );
    expect(cited.length).toBeGreaterThan(10);
    const missing = cited.filter(([file, title]) => !readFileSync(join(root, file), 'utf8').includes(title.trim()));
    expect(missing).toEqual([]);
  });

  it('links to files that are there', () => {
    const links = [...text.matchAll(/\]\(([^)#]+)[^)]*\)/g)].map((match) => match[1] ?? '');
    expect(links.length).toBeGreaterThan(6);
    expect(links.filter((link) => !existsSync(join(dirname(path), link)))).toEqual([]);
  });
});
