/** The rows of a proof as a table in Markdown. */
import type { ProofRow } from './proof.ts';

const HEAD = ['scenario', 'runs', 'worst ms', 'of ms', 'lost', 'unknown', 'duplicates', ''];

export function proofTable(rows: readonly ProofRow[]): string {
  const lines = [HEAD, HEAD.map((_, at) => (at === 0 || at === HEAD.length - 1 ? '---' : '--:')), ...rows.map(cellsOf)];
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

function cellsOf(row: ProofRow): string[] {
  const { scenario, runs, worstMs, budgetMs, lost, unknown, duplicates, note = '', failed } = row;
  const figures = [runs, msOf(worstMs), msOf(budgetMs), lost, unknown, duplicates].map(String);
  return [textOf(scenario), ...figures, textOf(failed === undefined ? note : `does not hold: ${failed}`)];
}

function msOf(ms: number | null): string {
  return ms === null ? '–' : String(Math.round(ms));
}

function textOf(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
