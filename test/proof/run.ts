/**
 * `npm run proof -- --minutes M`: every gate that the promise has, in about that time, and one table of what each did.
 * Exits with 0 only when none found anything. Each gate can be run alone, longer: the table names its command.
 *
 *   --minutes M     shared out among the gates; 10 by default, at least 3
 *   --only NAME     one gate alone, with all the time
 *   --from S        first seed of the simulator; drawn from the clock, and told, when it is not given
 *   --json FILE     the rows as JSON
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const tsx = ['--import', 'tsx'];
const vitest = join(root, 'node_modules/vitest/vitest.mjs');

export interface GateRow {
  readonly gate: string;
  /** What it did, in figures. */
  readonly did: string;
  /** Null when nothing was found. */
  readonly found: string | null;
  readonly seconds: number;
  readonly command: string;
}

interface Gate {
  readonly name: string;
  /** Part of the time that it gets. */
  readonly share: number;
  readonly command: string;
  run(seconds: number): Promise<{ readonly did: string; readonly found: string | null }>;
}

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly seconds: number;
}

/** Runs one command of the project to its end; what it prints goes to standard error as well, so that one can watch. */
async function command(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const began = performance.now();
  const child = spawn(process.execPath, [...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      process.stderr.write(chunk);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, seconds: (performance.now() - began) / 1000 };
}

const numberIn = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);

/** The last lines of what failed: enough to begin with. */
const tail = (out: string): string => out.trim().split('\n').slice(-8).join(' | ').slice(0, 500);

function gates(from: number): readonly Gate[] {
  return [
    {
      name: 'simulator',
      share: 0.25,
      command: 'npm run sim -- --seeds N --from S',
      async run(seconds) {
        const until = performance.now() + seconds * 1000;
        let seeds = 0;
        let hours = 0;
        let batch = 20;
        const found: string[] = [];
        do {
          const ran = await command([
            ...tsx,
            'test/simulation/cli.ts',
            '--quiet',
            '--seeds',
            String(batch),
            '--from',
            String(from + seeds),
            '--jobs',
            String(availableParallelism()),
          ]);
          seeds += batch;
          hours += numberIn(ran.out, /([\d.]+) simulated hours/);
          if (ran.code !== 0) found.push(tail(ran.out));
          const left = (until - performance.now()) / 1000;
          batch = Math.min(2000, Math.floor((batch / ran.seconds) * Math.min(left, 60)));
        } while (batch >= 10);
        const did = `${seeds} seeds from ${from}, ${hours.toFixed(2)} simulated hours`;
        return { did, found: found.length === 0 ? null : found.join(' || ') };
      },
    },
    {
      name: 'kill -9',
      share: 0.15,
      command: 'npm run proof:kill',
      async run(seconds) {
        // A cycle is a restart under load: about a second and a half.
        const cycles = Math.max(3, Math.floor(seconds / 1.5));
        const ran = await command([vitest, 'run', 'test/process/kill-cycles.test.ts'], { KILL_CYCLES: String(cycles) });
        return { did: `${cycles} cycles under load`, found: ran.code === 0 ? null : tail(ran.out) };
      },
    },
    {
      name: 'power cut',
      share: 0.12,
      command: 'PROOF_SIZE=full npx vitest run test/faults/power-cut.test.ts',
      async run(seconds) {
        let states = 200;
        let opened = 0;
        let failed: string | null = null;
        for (let left = seconds; left > 0 && failed === null; ) {
          const ran = await command([vitest, 'run', 'test/faults/power-cut.test.ts'], { CRASH_STATES: String(states) });
          if (ran.code === 0) opened += states;
          else failed = tail(ran.out);
          left -= ran.seconds;
          states = Math.floor((states / ran.seconds) * left);
          if (states < 100) break;
        }
        return { did: `${opened} states of a traced disk opened`, found: failed };
      },
    },
    {
      name: 'failing calls',
      share: 0.13,
      command: 'PROOF_SIZE=full npx vitest run test/faults/nth-call.test.ts',
      async run(seconds) {
        const full = seconds >= 1500;
        const ran = await command([vitest, 'run', 'test/faults/nth-call.test.ts'], full ? { PROOF_SIZE: 'full' } : {});
        const calls = numberIn(ran.out, /(\d+) faulted calls/);
        const which = full ? 'each call of every kind' : 'a sample of the calls';
        return { did: `${calls} faulted calls: ${which}`, found: ran.code === 0 ? null : tail(ran.out) };
      },
    },
    {
      name: 'shutdown',
      share: 0.15,
      command: 'npm run proof:shutdown',
      async run(seconds) {
        const folder = mkdtempSync(join(tmpdir(), 'sluice-proof-'));
        try {
          const path = join(folder, 'rows');
          writeFileSync(path, '');
          const env = { PROOF_ROWS: path, ...(seconds >= 2400 ? { PROOF_SIZE: 'full' } : {}) };
          const ran = await command([vitest, 'run', '--no-file-parallelism', 'test/shutdown'], env);
          const rows = readFileSync(path, 'utf8')
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as { runs: number });
          const runs = rows.reduce((sum, row) => sum + row.runs, 0);
          return { did: `${runs} shutdowns in ${rows.length} scenarios`, found: ran.code === 0 ? null : tail(ran.out) };
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      },
    },
    {
      name: 'network',
      share: 0.06,
      command: 'PROOF_SIZE=full npx vitest run test/faults/network.test.ts',
      async run(seconds) {
        const full = seconds >= 900;
        const ran = await command([vitest, 'run', 'test/faults/network.test.ts'], full ? { PROOF_SIZE: 'full' } : {});
        const tests = numberIn(ran.out, /Tests .*?(\d+) passed/);
        const skipped = ran.out.includes('SKIPPED: bad networks');
        const which = skipped ? 'none: no network can be made here' : `${tests} kinds of bad networks`;
        return { did: which, found: ran.code === 0 ? null : tail(ran.out) };
      },
    },
    {
      name: 'soak',
      share: 0.1,
      command: 'npm run soak -- --minutes M --connections N',
      async run(seconds) {
        // Behind the load the broker has half a minute to give everything back.
        const minutes = Math.max(0.5, (seconds - 40) / 60);
        const connections = minutes >= 10 ? 2000 : 200;
        const args = ['--minutes', String(minutes), '--connections', String(connections), '--quiet'];
        const ran = await command([...tsx, 'test/soak/run-soak.ts', ...args]);
        const did = /^seed .*$/m.exec(ran.out)?.[0] ?? 'did not end';
        return { did, found: ran.code === 0 ? null : tail(ran.out) };
      },
    },
    {
      name: 'fuzzing',
      share: 0.1,
      command: 'npm run fuzz -- --seconds T',
      async run(seconds) {
        const names =
          (await command([...tsx, 'test/fuzz/fuzz.ts', '--help'])).out.match(/^targets: (.*)$/m)?.[1]?.split(', ') ??
          [];
        const each = Math.max(1, Math.floor(seconds / Math.max(1, names.length)));
        const ran = await command([...tsx, 'test/fuzz/fuzz.ts', '--seconds', String(each)]);
        const inputs = [...ran.out.matchAll(/([\d,]+) inputs/g)].reduce(
          (sum, [, n = '0']) => sum + Number(n.replaceAll(',', '')),
          0,
        );
        return { did: `${inputs} inputs for ${names.length} decoders`, found: ran.code === 0 ? null : tail(ran.out) };
      },
    },
  ];
}

function table(rows: readonly GateRow[]): string {
  const lines = ['| gate | did | found | time | alone |', '|---|---|---|---|---|'];
  for (const { gate, did, found, seconds, command: alone } of rows) {
    const what = found === null ? 'nothing' : `**${found.replaceAll('|', '/')}**`;
    lines.push(`| ${gate} | ${did} | ${what} | ${Math.round(seconds)} s | \`${alone}\` |`);
  }
  return `${lines.join('\n')}\n`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      only: { type: 'string' },
      from: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const minutes = Number(values.minutes);
  const from = values.from === undefined ? (Math.floor(Date.now() / 60_000) % 1_000_000) * 1000 : Number(values.from);
  if (!(minutes >= 3) || !Number.isSafeInteger(from)) {
    process.stderr.write('--minutes is a number from 3, --from a whole number\n');
    return 2;
  }
  const all = gates(from);
  const chosen = values.only === undefined ? all : all.filter(({ name }) => name === values.only);
  if (chosen.length === 0) {
    process.stderr.write(`there is no gate ${values.only}; there are ${all.map(({ name }) => name).join(', ')}\n`);
    return 2;
  }
  const shares = chosen.reduce((sum, { share }) => sum + share, 0);
  const rows: GateRow[] = [];
  for (const { name, share, command: alone, run } of chosen) {
    process.stderr.write(`\n=== ${name}\n`);
    const began = performance.now();
    const { did, found } = await run((minutes * 60 * share) / shares);
    rows.push({ gate: name, did, found, seconds: (performance.now() - began) / 1000, command: alone });
  }
  process.stdout.write(`\n${table(rows)}`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  return rows.every(({ found }) => found === null) ? 0 : 1;
}

process.exitCode = await main();
