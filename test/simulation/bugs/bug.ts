/** A mistake to be planted. `bugs/index.ts` says how. */
import type { Invariant } from '../checkers/index.ts';

export interface Bug {
  readonly name: string;
  /** What a person who made it would have thought, and where the like was made before. */
  readonly text: string;
  /** Any of these shows it. */
  readonly shownBy: readonly Invariant[];
  readonly edits: readonly BugEdit[];
}

export interface BugEdit {
  /** From the root of the repository: `src/…`. */
  readonly file: string;
  /** Stands there once. */
  readonly find: string;
  readonly replace: string;
}
