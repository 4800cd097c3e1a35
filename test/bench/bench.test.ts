/** The bench works: every workload runs at its smallest size and yields what its JSON promises. Figures are not judged. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Results } from '../../bench/results.ts';
import { systems } from '../../bench/systems/registry.ts';
import { workloads } from '../../bench/workloads/registry.ts';
import { temporaryFolder } from '../support/broker-process.ts';

const root = resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

const CEILINGS_AND_OURS = ['sluice', 'sluice-frames', 'sluice-async', 'ws', 'disk'];
const PEERS = [...systems.keys()].filter((name) => !CEILINGS_AND_OURS.includes(name));

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeAll(async () => {
  folder = await temporaryFolder();
});

afterAll(() => folder.remove());

async function bench(...args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const command = [join(root, 'node_modules/tsx/dist/cli.mjs'), join(root, 'bench/main.ts'), ...args];
  return run(process.execPath, command, { cwd: root, timeout: 120_000, env: { ...process.env, TMPDIR: folder.path } });
}

async function smoke(...args: readonly string[]): Promise<{ results: Results; page: string; stdout: string }> {
  const json = join(folder.path, 'results.json');
  const { stdout } = await bench('--smoke', '--json', json, ...args);
  const page = await readFile(join(folder.path, 'results.html'), 'utf8');
  return { results: JSON.parse(await readFile(json, 'utf8')) as Results, page, stdout };
}

describe('the bench', () => {
  it('runs every workload on Sluice and its ceilings, and writes rows, goals and a page that loads nothing', async () => {
    const { results, page, stdout } = await smoke('--systems', CEILINGS_AND_OURS.join(','));
    const expected = workloads.flatMap(({ measures, systems: measured }) =>
      measures.flatMap(({ name }) =>
        measured.filter((system) => CEILINGS_AND_OURS.includes(system)).map((system) => `${name} ${system}`),
      ),
    );
    expect(results.results.map(({ workload, system }) => `${workload} ${system}`).sort()).toEqual(expected.sort());
    for (const row of results.results) {
      expect(row, JSON.stringify(row)).toEqual({
        workload: expect.any(String),
        system: expect.any(String),
        durability: expect.any(String),
        unit: expect.stringMatching(/^(records\/s|deliveries\/s|MB\/s|ms|bytes)$/),
        runs: [expect.any(Number)],
        median: row.runs[0],
        ratio: row.ratio === null ? null : expect.any(Number),
      });
      if (row.unit !== 'bytes') expect(row.median, JSON.stringify(row)).toBeGreaterThan(0);
      if (row.system === 'sluice') expect(row.ratio).toBe(1);
    }
    expect(results.goals).toHaveLength(workloads.flatMap(({ goals }) => goals).length);
    for (const { goal, value, holds } of results.goals) {
      expect(typeof holds, goal).toBe(value === null ? 'object' : 'boolean');
      expect(stdout).toContain(goal);
    }
    expect(results.machine.cores).toBeGreaterThan(0);
    expect(await readFile(join(folder.path, 'results.md'), 'utf8')).toContain('| sluice |');
    expect(page).toContain(`Node ${process.version}`);
    expect(page).toContain('<svg');
    expect(page).not.toMatch(/src=|href=|url\(|@import|<script/);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('sluice-bench-'))).toEqual([]);
  }, 100_000);

  it('runs the peers that are installed, and says aloud which are not and how to get them', async () => {
    const { results, stdout } = await smoke('--only', 'publish', '--systems', PEERS.join(','));
    const measurable = (workloads[0]?.systems ?? []).filter((name) => PEERS.includes(name));
    for (const name of measurable) {
      const { missing } = systems.get(name) ?? { missing: 'unknown' };
      const rows = results.results.filter(({ system }) => system === name);
      if (missing === null) {
        expect(
          rows.map(({ ratio }) => ratio),
          name,
        ).toEqual([null]);
      } else {
        expect(rows, name).toEqual([]);
        expect(stdout).toContain(`SKIPPED: ${name}: ${missing}`);
      }
    }
    expect(results.results.map(({ system }) => system)).toContain('aedes');
  }, 60_000);

  it('lists workloads and systems, and refuses names and counts that are none', async () => {
    const { stdout } = await bench('--list');
    for (const { name } of workloads) expect(stdout).toContain(name);
    for (const name of systems.keys()) expect(stdout).toContain(name);
    await expect(bench('--only', 'publishh')).rejects.toMatchObject({ code: 1, stderr: /no workload "publishh"/ });
    await expect(bench('--systems', 'kafka')).rejects.toMatchObject({ code: 1, stderr: /no system "kafka"/ });
    await expect(bench('--runs', '0')).rejects.toMatchObject({ code: 1, stderr: /--runs takes a whole number/ });
  });

  it('says what a child printed that failed, and leaves no process and no folder behind', async () => {
    const environment = { ...process.env, TMPDIR: folder.path, BENCH_REDIS_SERVER: '/bin/false' };
    const command = [join(root, 'node_modules/tsx/dist/cli.mjs'), join(root, 'bench/main.ts'), '--smoke'];
    const failed = run(process.execPath, [...command, '--only', 'publish', '--systems', 'redis-always'], {
      cwd: root,
      env: environment,
    });
    await expect(failed).rejects.toMatchObject({ code: 1, stderr: /a server did not come up/ });
    expect(readdirSync(folder.path).filter((name) => name.startsWith('sluice-bench-'))).toEqual([]);
  });
});
