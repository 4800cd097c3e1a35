/**
 * Draws the state charts into `docs/charts/`, from the machines themselves.
 *
 *   npm run build && node scripts/draw-charts.mjs            writes the pictures
 *   npm run build && node scripts/draw-charts.mjs --check    exits with 1 when one differs, and names it
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import {
  adminMachine,
  gatewayMachine,
  groupMachine,
  sessionMachine,
  shardMachine,
  supervisedMachine,
  supervisorMachine,
} from '../dist/machines/index.js';
import { drawChart } from './chart-drawing.mjs';

const folder = new URL('../docs/charts/', import.meta.url);
const check = process.argv.includes('--check');

await mkdir(folder, { recursive: true });
for (const machine of [
  supervisorMachine,
  shardMachine,
  gatewayMachine,
  adminMachine,
  sessionMachine,
  groupMachine,
  supervisedMachine,
]) {
  const name = machine.id;
  const path = new URL(`${name}.svg`, folder);
  const drawn = await drawChart(machine);
  if (!check) {
    await writeFile(path, drawn);
    continue;
  }
  const kept = await readFile(path, 'utf8').catch(() => '');
  if (kept === drawn) continue;
  console.error(`docs/charts/${name}.svg differs from the machine: run node scripts/draw-charts.mjs`);
  process.exitCode = 1;
}
