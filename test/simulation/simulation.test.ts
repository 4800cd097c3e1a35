/**
 * The simulator in small: seeds that keep every invariant, seeds that repeat themselves, and mistakes that it finds.
 * `npm run sim -- --seeds N` runs as many as one likes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
let plans: string;

beforeAll(async () => {
  plans = await mkdtemp(join(tmpdir(), 'sluice-sim-'));
});
afterAll(() => rm(plans, { recursive: true, force: true }));

async function sim(...flags: readonly string[]): Promise<{ code: number | null; out: string }> {
  const args = ['--import', 'tsx', 'test/simulation/cli.ts', '--out', plans, ...flags];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out };
}

describe('the simulator', { timeout: 240_000 }, () => {
  it('breaks no invariant, and repeats itself to the hash', async () => {
    const { code, out } = await sim('--seeds', '60', '--jobs', '1', '--shrink', 'no');
    expect(code, out.slice(-3000)).toBe(0);
    expect(out).toMatch(/[1-9]\d* ran twice, 0 of them differed/);
    // A run in which nothing happens shows nothing.
    expect(out).toMatch(/kills [1-9]/);
    expect(out).toMatch(/acked \d{4}/);
  });

  it.each([
    ['ack-before-sync', /S1|S9/],
    ['forgotten-dedup', /S6/],
  ])('finds a planted mistake: %s', async (bug, invariant) => {
    const { code, out } = await sim('--bug', bug, '--seeds', '200', '--jobs', '1', '--shrink', 'no');
    expect(code, out.slice(-3000)).toBe(1);
    expect(out).toMatch(invariant);
  });
});
