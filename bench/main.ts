/**
 * `npm run bench`: measures Sluice, its ceilings and its peers on the same work, and says whether the goals hold.
 * The systems of a workload take turns, run by run, so that whatever else the machine does falls on all of them.
 */
import { writeFileSync } from 'node:fs';
import { readArguments, usage } from './arguments.ts';
import { Children } from './child.ts';
import { Lab } from './lab.ts';
import { describeMachine } from './machine.ts';
import { markdownOf } from './markdown.ts';
import { pageOf } from './page.ts';
import { Figures, type Results, type Row, type Verdict } from './results.ts';
import { systemNamed, systems } from './systems/registry.ts';
import { tableOf } from './table.ts';
import { workloads } from './workloads/registry.ts';
import type { Workload } from './workloads/workload.ts';

function list(): string {
  const present = [...systems.values()].map(
    ({ name, durability, missing }) => `  ${name.padEnd(16)}${missing === null ? durability : `MISSING: ${missing}`}`,
  );
  return [
    'workloads',
    ...workloads.map(({ name, text }) => `  ${name.padEnd(16)}${text}`),
    '',
    'systems, and what an ack means',
    ...present,
  ].join('\n');
}

/** Throws for a name that there is not. */
function chosen(only: readonly string[]): readonly Workload[] {
  for (const name of only) {
    if (workloads.some((workload) => workload.name === name)) continue;
    throw new Error(`there is no workload "${name}": ${workloads.map((workload) => workload.name).join(', ')}`);
  }
  return only.length === 0 ? workloads : workloads.filter(({ name }) => only.includes(name));
}

async function measure(workload: Workload, names: readonly string[], lab: Lab): Promise<Figures> {
  const figures = new Figures();
  for (let run = 0; run < lab.scale.runs; run += 1) {
    // Each run begins with another system: what is behind a certain other one is not always behind it.
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(run + turn) % names.length] as string;
      process.stderr.write(`${workload.name} ${run + 1}/${lab.scale.runs} ${name}\n`);
      figures.add(name, await workload.measure(name, lab));
    }
  }
  return figures;
}

async function main(args: readonly string[]): Promise<void> {
  const { only, systems: wanted, scale, json, command } = readArguments(args);
  if (command !== 'run') {
    console.log(command === 'help' ? usage : list());
    return;
  }
  const selected = chosen(only);
  for (const name of wanted ?? []) systemNamed(name);
  const machine = describeMachine();
  const children = new Children();
  const stop = (): void => {
    children.close();
    process.exit(130);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const rows: Row[] = [];
  const goals: Verdict[] = [];
  const missing = new Map<string, string>();
  try {
    const lab = new Lab(scale, children);
    for (const workload of selected) {
      const names = workload.systems
        .filter((name) => wanted?.includes(name) ?? true)
        .filter((name) => {
          const how = systemNamed(name).missing;
          if (how !== null) missing.set(name, how);
          return how === null;
        });
      const figures = await measure(workload, names, lab);
      const [workloadRows, verdicts] = [figures.rows(workload), figures.verdicts(workload)];
      rows.push(...workloadRows);
      goals.push(...verdicts);
      console.log(`\n${tableOf(workload, workloadRows, verdicts)}\n`);
    }
  } finally {
    children.close();
  }
  for (const [system, how] of missing) console.log(`SKIPPED: ${system}: ${how}`);
  const results: Results = {
    machine,
    scale: scale.name,
    results: rows,
    goals,
    missing: [...missing].map(([system, how]) => ({ system, how })),
  };
  if (json === null) return;
  const beside = json.replace(/\.json$/, '');
  writeFileSync(json, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(`${beside}.html`, pageOf(results, selected));
  writeFileSync(`${beside}.md`, markdownOf(results, selected));
  console.log(`written: ${json}, and beside it .html with plots and .md`);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
