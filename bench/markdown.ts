/** The results as Markdown, as `docs/benchmarks.md` shows them. */
import { figure } from './figure.ts';
import type { Results } from './results.ts';
import type { Workload } from './workloads/workload.ts';

export function markdownOf({ results, goals }: Results, workloads: readonly Workload[]): string {
  const sections = workloads.map(({ name, text, measures }) => {
    const tables = measures.flatMap((measure) => {
      const rows = results.filter(({ workload }) => workload === measure.name);
      if (rows.length === 0) return [];
      return [
        `| ${measure.name}: ${measure.text} | ${measure.unit} | lowest – highest | sluice ÷ it | an ack means |`,
        '|---|--:|--:|--:|---|',
        ...rows.map(({ system, median, runs, ratio, durability }) => {
          const spread = `${figure(Math.min(...runs))} – ${figure(Math.max(...runs))}`;
          return `| ${system} | ${figure(median)} | ${spread} | ${ratio === null ? '' : figure(ratio)} | ${durability} |`;
        }),
        '',
      ];
    });
    const verdicts = goals
      .filter(({ workload }) => workload === name)
      .map(({ goal, value, holds }) => {
        const outcome = holds === null ? 'not measured' : `${figure(value ?? 0)}, ${holds ? 'holds' : '**missed**'}`;
        return `- ${goal}: ${outcome}`;
      });
    return [`### ${name}`, '', `${text[0]?.toUpperCase()}${text.slice(1)}.`, '', ...tables, ...verdicts].join('\n');
  });
  return `${sections.join('\n\n')}\n`;
}
