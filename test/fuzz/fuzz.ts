/**
 * `npm run fuzz -- --target NAME --inputs N --seed S --seconds T`: fuzzes one target, or all of them one after another,
 * and prints what came of it. The first input that breaks a property is shrunk, written to `test/fuzz/crashes` and ends
 * the run with exit code 1; `--replay FILE` runs one input as it is. `--keep N` adds the N shortest of the inputs that
 * reached something new to the corpus.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../src/errors.ts';
import { corpusFolder, corpusOf } from './corpus.ts';
import { CoverageGuide } from './coverage-guide.ts';
import { type FuzzFailure, fuzz, replay } from './fuzzer.ts';
import type { Target } from './target.ts';
import { targets } from './targets/index.ts';

const crashes = join(import.meta.dirname, 'crashes');
const USAGE = `npm run fuzz -- [--target NAME] [--inputs N] [--seed S] [--seconds T] [--unguided] [--keep N] [--replay FILE]
targets: ${targets.map(({ name }) => name).join(', ')}`;

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    inputs: { type: 'string', default: 'Infinity' },
    seconds: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    replay: { type: 'string' },
    unguided: { type: 'boolean', default: false },
    keep: { type: 'string', default: '0' },
    help: { type: 'boolean', default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target);
  const numbers = [values.inputs, values.seconds, values.seed].map(Number);
  const [inputs = 0, seconds = 0, seed = 0] = numbers;
  if (values.help || chosen.length === 0 || numbers.some((number) => Number.isNaN(number))) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  if (values.replay !== undefined) {
    const [target] = chosen;
    if (target === undefined || chosen.length > 1) throw new Error('--replay needs a --target');
    await replay(target, [await readFile(values.replay)]);
    console.log(`${target.name}: holds`);
    return 0;
  }
  let code = 0;
  for (const target of chosen) if (!(await fuzzOne(target, inputs, seconds * 1000, seed))) code = 1;
  return code;
}

async function fuzzOne(target: Target, inputs: number, ms: number, seed: number): Promise<boolean> {
  const corpus = await corpusOf(target.name);
  const guide = values.unguided ? null : new CoverageGuide();
  const onProgress = (at: { inputs: number; kept: number; ms: number }): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${target.name}: ${at.inputs} inputs, ${at.kept} kept `);
  };
  const result = await fuzz({ target, corpus, seed, inputs, ms, guide, onProgress });
  const rate = Math.round((result.inputs / result.ms) * 1000);
  console.log(
    `${target.name}: ${result.inputs} inputs in ${(result.ms / 1000).toFixed(1)} s (${rate}/s), ${result.kept} kept, ` +
      `${result.words.size} ends, seed ${seed}: ${result.failure === null ? 'no failure' : 'FAILED'}`,
  );
  const shortest = result.found.toSorted((a, b) => a.length - b.length).slice(0, Number(values.keep));
  for (const found of shortest) await save(join(corpusFolder, target.name), found);
  if (result.failure === null) return true;
  await report(target, result.failure);
  return false;
}

async function report(target: Target, { input, error }: FuzzFailure): Promise<void> {
  const path = await save(join(crashes, target.name), input);
  console.log(`  ${error instanceof Error ? error.name : 'thrown'}: ${messageOf(error)}`);
  console.log(`  ${input.length} bytes: ${JSON.stringify(Buffer.from(input).toString('latin1')).slice(0, 400)}`);
  console.log(`  again: npm run fuzz -- --target ${target.name} --replay ${path}`);
}

async function save(folder: string, input: Uint8Array): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, createHash('sha256').update(input).digest('hex').slice(0, 12));
  await writeFile(path, input);
  return path;
}
