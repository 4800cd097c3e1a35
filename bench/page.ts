/** The results as one HTML page: a bar for each system, a dot for each run. Nothing is loaded from elsewhere. */
import { figure } from './figure.ts';
import type { Results, Row, Verdict } from './results.ts';
import type { Workload } from './workloads/workload.ts';

const LABEL = 150;
const PLOT = 560;
const VALUE = 120;
const BAR = 26;

const STYLE = `
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 58rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; background: #fff; }
  h2 { margin: 2.2rem 0 .3rem; font-size: 1.15rem; } h3 { margin: 1rem 0 .2rem; font-size: .95rem; font-weight: 500; }
  svg { display: block; width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: currentColor; }
  .bar { fill: #b9c6d3; } .sluice .bar { fill: #1f7a8c; } .ceiling .bar { fill: #e3d5b8; } .run { fill: #1c2733; opacity: .55; }
  .holds { color: #1d6b3a; } .missed { color: #a12622; } .open { color: #6a7580; } ul { padding-left: 1.2rem; }
  @media (prefers-color-scheme: dark) {
    body { color: #dfe6ec; background: #14191f; } .bar { fill: #47586a; } .sluice .bar { fill: #35a0b5; }
    .ceiling .bar { fill: #6f6446; } .run { fill: #fff; } .holds { color: #6fcf97; } .missed { color: #ff8a80; } .open { color: #93a1ae; }
  }`;

export function pageOf(results: Results, workloads: readonly Workload[]): string {
  const { machine } = results;
  const programs = Object.entries(machine.programs).map(([name, version]) => `${name} ${version}`);
  const about = [
    `${machine.cores} × ${machine.cpu}`,
    `${Math.round(machine.memoryBytes / 1024 ** 3)} GiB`,
    `${machine.system}, ${machine.fileSystem}`,
    `Node ${machine.node}`,
    ...programs,
    machine.at,
    `scale: ${results.scale}`,
  ];
  const sections = workloads.map((workload) => sectionOf(workload, results)).join('\n');
  const missing = results.missing.map(({ system, how }) => `<li>${escaped(system)}: ${escaped(how)}</li>`).join('');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice: benchmarks</title>
<style>${STYLE}</style>
<h1>Benchmarks</h1>
<p>${about.map(escaped).join(' · ')}</p>
<p>A bar is the median, a dot is a run. Ceilings (bare <code>ws</code>, the bare disk) are no brokers.</p>
${missing === '' ? '' : `<p>Not measured, since not installed:</p><ul>${missing}</ul>`}
${sections}
</html>
`;
}

function sectionOf(workload: Workload, { results, goals }: Results): string {
  const plots = workload.measures.map((measure) => {
    const rows = results.filter((row) => row.workload === measure.name);
    if (rows.length === 0) return '';
    return `<h3>${escaped(`${measure.name}: ${measure.text}, ${measure.unit}`)}</h3>\n${plotOf(rows)}`;
  });
  const verdicts = goals.filter((verdict) => verdict.workload === workload.name).map(verdictOf);
  return `<h2>${escaped(workload.text)}</h2>\n${plots.join('\n')}\n<ul>${verdicts.join('')}</ul>`;
}

function plotOf(rows: readonly Row[]): string {
  const highest = Math.max(...rows.flatMap(({ runs }) => runs), Number.MIN_VALUE);
  const x = (value: number): string => (LABEL + (Math.max(0, value) / highest) * PLOT).toFixed(1);
  const bars = rows.map((row, index) => {
    const top = index * BAR;
    const middle = top + BAR / 2;
    const kind = row.system.startsWith('sluice') ? 'sluice' : ['ws', 'disk'].includes(row.system) ? 'ceiling' : 'peer';
    const dots = row.runs.map((run) => `<circle class="run" cx="${x(run)}" cy="${middle}" r="2.5"/>`).join('');
    const width = (Number(x(row.median)) - LABEL).toFixed(1);
    return (
      `<g class="${kind}"><title>${escaped(`${row.system}: ${figure(row.median)} ${row.unit}; ${row.durability}`)}</title>` +
      `<text x="${LABEL - 8}" y="${middle + 4}" text-anchor="end">${escaped(row.system)}</text>` +
      `<rect class="bar" x="${LABEL}" y="${top + 4}" width="${width}" height="${BAR - 8}"/>${dots}` +
      `<text x="${LABEL + PLOT + 8}" y="${middle + 4}">${escaped(figure(row.median))}</text></g>`
    );
  });
  const [width, height] = [LABEL + PLOT + VALUE, rows.length * BAR];
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(rows[0]?.workload ?? '')}">${bars.join('')}</svg>`;
}

function verdictOf({ goal, value, holds }: Verdict): string {
  const kind = holds === null ? 'open' : holds ? 'holds' : 'missed';
  const text = holds === null ? 'not measured' : holds ? 'holds' : 'missed';
  return `<li class="${kind}">${escaped(goal)}: ${value === null ? '' : `${figure(value)}, `}${text}</li>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (found) => `&#${found.charCodeAt(0)};`);
}
