/**
 * Runs every scenario of the shutdown at full size, one after another, and prints what was measured: a table in Markdown,
 * or with `--json` the rows as JSON. Ends with the code of the tests. Flags behind `--` go to vitest, such as the name of
 * one file.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ProofRow } from './proof.ts';
import { proofTable } from './proof-table.ts';

const root = resolve(import.meta.dirname, '../..');
const vitest = join(root, 'node_modules/vitest/vitest.mjs');

async function main(args: readonly string[]): Promise<number> {
  const json = args.includes('--json');
  const more = args.filter((flag) => flag !== '--json' && flag !== '--');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-proof-'));
  try {
    const path = join(folder, 'rows');
    writeFileSync(path, '');
    const what = more.some((flag) => !flag.startsWith('-')) ? more : ['test/shutdown', ...more];
    const child = spawn(process.execPath, [vitest, 'run', '--no-file-parallelism', ...what], {
      cwd: root,
      env: { ...process.env, PROOF_SIZE: 'full', PROOF_ROWS: path },
      // The table alone goes to standard output.
      stdio: ['ignore', 2, 2],
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    const lines = readFileSync(path, 'utf8').trim().split('\n');
    const rows = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as ProofRow);
    process.stdout.write(json ? `${JSON.stringify(rows, null, 2)}\n` : proofTable(rows));
    return code ?? 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
