#!/usr/bin/env node
/**
 * The `sluice` command's first file. CommonJS on purpose: loading an ES module starts libuv's thread pool, and its size
 * can't be changed afterwards. A hung file call holds a thread of it for good: with two for each shard and some to
 * spare, a hung shard leaves its siblings theirs.
 */
import fs = require('node:fs');
import path = require('node:path');
import v8 = require('node:v8');

const SHARDS_DEFAULT = 4;
const SPARE_THREADS = 4;

/** The value of a flag or variable, as far as it can be read before the settings are. */
function given(flag: string, variable: string): string | undefined {
  const at = process.argv.findIndex((argument) => argument === flag || argument.startsWith(`${flag}=`));
  if (at < 0) return process.env[variable];
  const argument = process.argv[at] ?? '';
  return argument.includes('=') ? argument.slice(flag.length + 1) : process.argv[at + 1];
}

/** An existing data directory keeps its shard count, whatever is asked for. */
function shardCount(): number {
  try {
    const identity = path.join(given('--data', 'SLUICE_DATA') ?? './data', 'sluice.json');
    // Read as bytes: read as text, Node ends the process where the disk fails the close.
    return Number((JSON.parse(fs.readFileSync(identity).toString()) as { shards?: number }).shards);
  } catch {
    // None yet, or not readable: the broker itself says so, where that matters.
    return Number(given('--shards', 'SLUICE_SHARDS') ?? SHARDS_DEFAULT);
  }
}

if (process.argv[2] === 'serve' && process.env['UV_THREADPOOL_SIZE'] === undefined) {
  const shards = shardCount();
  if (Number.isInteger(shards) && shards > 0) process.env['UV_THREADPOOL_SIZE'] = String(2 * shards + SPARE_THREADS);
}

// Record bytes live outside the heap but are counted with it, so V8 takes a small heap and much traffic for a leak and
// marks the whole heap several times a second: a third of the broker's time. Four times the live size is the most that
// V8 would let a heap grow by itself.
if (process.argv[2] === 'serve') v8.setFlagsFromString('--heap-growing-percent=300');

// Until the broker takes the signals over nothing is open: a stop that comes while the code is loaded is a clean one.
if (process.argv[2] === 'serve') for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

import('./main.js').catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
