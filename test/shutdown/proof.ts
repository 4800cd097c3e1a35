/**
 * What a scenario of the shutdown is, and how it becomes a test and a row of the table. A scenario measures; it throws
 * when what it is to show does not hold. `PROOF_SIZE=full` runs it at full size, and `PROOF_ROWS` names a file that its
 * rows are appended to, a line of JSON each: see `run-proof.ts`.
 */
import { appendFileSync } from 'node:fs';
import { describe, it } from 'vitest';

export type ProofSize = 'small' | 'full';

export interface ProofRow {
  readonly scenario: string;
  readonly runs: number;
  /** The slowest of the runs, ms; null where no time is at stake. */
  readonly worstMs: number | null;
  /** What it might have taken, ms; null where nothing bounds it. */
  readonly budgetMs: number | null;
  /** Acknowledged records that are not in the data directory. */
  readonly lost: number;
  /** Publishes without an answer, or answered as of unknown outcome. */
  readonly unknown: number;
  /** Records stored twice, and publishes answered twice. */
  readonly duplicates: number;
  readonly note?: string;
  /** Why it does not hold. */
  readonly failed?: string;
}

export interface Scenario {
  /** What it shows, as a claim. */
  readonly name: string;
  /** Longest that it may take, ms; a minute unless said otherwise. */
  readonly timeoutMs?: (size: ProofSize) => number;
  /** It is known not to hold yet: the test passes as long as it does not, and its row says why. */
  readonly fails?: boolean;
  run(size: ProofSize): Promise<readonly ProofRow[]>;
}

export const proofSize: ProofSize = process.env['PROOF_SIZE'] === 'full' ? 'full' : 'small';

/** `apart`: they run one after another even at small size, since they measure short times. */
export function prove(suite: string, scenarios: readonly Scenario[], { apart = false } = {}): void {
  const run = apart || proofSize === 'full' ? describe : describe.concurrent;
  run(suite, () => {
    for (const scenario of scenarios) {
      const timeout = scenario.timeoutMs?.(proofSize) ?? 60_000;
      const test = scenario.fails === true ? it.fails : it;
      test(scenario.name, { timeout }, async () => {
        try {
          for (const row of await scenario.run(proofSize)) note(row);
        } catch (error) {
          const failed = String(error instanceof Error ? error.message : error).split('\n')[0] ?? '';
          note({ ...nothing, scenario: scenario.name, runs: 0, worstMs: null, budgetMs: null, failed });
          throw error;
        }
      });
    }
  });
}

/** The counts of a scenario in which nothing is published. */
export const nothing = { lost: 0, unknown: 0, duplicates: 0 };

function note(row: ProofRow): void {
  const path = process.env['PROOF_ROWS'];
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(row)}\n`);
}
