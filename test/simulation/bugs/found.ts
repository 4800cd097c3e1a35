/** By which seed each planted bug was found last: `found.json`, written by `find.ts`, read by the test. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Invariant } from '../checkers/index.ts';

export interface FoundRow {
  readonly seed: number;
  readonly invariant: Invariant;
}

const file = new URL('./found.json', import.meta.url);

export function readFound(): ReadonlyMap<string, FoundRow> {
  return new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, FoundRow>));
}

/** Rows sorted by name, so that a change shows as one. */
export function writeFound(rows: ReadonlyMap<string, FoundRow>): void {
  const sorted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(file, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
}
