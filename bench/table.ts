/** The results as text: a table for each workload, and a line for each goal. */
import { figure } from './figure.ts';
import type { Row, Verdict } from './results.ts';
import type { Workload } from './workloads/workload.ts';

const HEAD = ['system', 'median', 'lowest', 'highest', 'sluice ÷ it', 'an ack means'];

export function tableOf({ text, measures }: Workload, rows: readonly Row[], verdicts: readonly Verdict[]): string {
  const lines = [text];
  for (const measure of measures) {
    const cells = rows
      .filter(({ workload }) => workload === measure.name)
      .map((row) => [
        row.system,
        figure(row.median),
        figure(Math.min(...row.runs)),
        figure(Math.max(...row.runs)),
        row.ratio === null ? '' : row.ratio.toFixed(2),
        row.durability,
      ]);
    if (cells.length === 0) continue;
    lines.push('', `  ${measure.name}: ${measure.text}, ${measure.unit}`, ...aligned([HEAD, ...cells]));
  }
  lines.push('', ...verdicts.map(lineOf));
  return lines.join('\n');
}

/** The first column and the last are text, those between are numbers. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] as number;
      return column === 0 || column === HEAD.length - 1 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `    ${cells.join('  ')}`.trimEnd();
  });
}

function lineOf({ goal, value, holds }: Verdict): string {
  const outcome = holds === null ? 'not measured' : holds ? 'holds ' : 'MISSED';
  return `  ${outcome}  ${goal}${value === null ? '' : `: ${figure(value)}`}`;
}
