/**
 * `npm run soak`: a soak of a real broker, and one table of what it held. Exits with 1 when something grew, something was
 * kept when all clients had gone, or the broker told of a fault.
 *
 *   --minutes M        10 by default
 *   --connections N    2000 by default, each of them coming and going
 *   --seed S           of what the clients do; drawn, and told, when it is not given
 *   --snapshot FILE    writes a heap snapshot when all have gone, to see what was kept
 *   --json FILE        the result as JSON
 *   --quiet            no line per second
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type SoakRow, soak, textOf } from './soak.ts';

function table(rows: readonly SoakRow[]): string {
  const head = [
    'measure',
    'idle before',
    'at first',
    'at last',
    'gained',
    'per hour',
    'noise',
    'allowed',
    'idle after',
    '',
  ];
  const lines = [head, head.map((_, at) => (at === 0 || at === head.length - 1 ? '---' : '--:'))];
  for (const row of rows) {
    const text = (value: number): string => textOf(value, row.unit);
    const verdict = [row.grows ? '**grows**' : '', row.kept ? '**kept**' : ''].filter(Boolean).join(', ');
    const cells = [
      row.idleBefore,
      row.first,
      row.last,
      row.gained,
      row.perHour,
      row.noise,
      row.allowance,
      row.idleAfter,
    ];
    lines.push([row.measure, ...cells.map(text), verdict]);
  }
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      connections: { type: 'string', default: '2000' },
      seed: { type: 'string' },
      snapshot: { type: 'string' },
      json: { type: 'string' },
      quiet: { type: 'boolean', default: false },
    },
  });
  const seconds = Number(values.minutes) * 60;
  const connections = Number(values.connections);
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
  if (!(seconds >= 15) || !(connections >= 10) || !Number.isSafeInteger(seed)) {
    process.stderr.write('--minutes is a number from 0.25, --connections one from 10, --seed a whole number\n');
    return 2;
  }
  const result = await soak({
    seconds,
    connections,
    seed,
    ...(values.snapshot === undefined ? {} : { snapshot: resolve(values.snapshot) }),
    ...(values.quiet ? {} : { onSecond: (line) => process.stderr.write(`${line}\n`) }),
  });
  const did = Object.entries(result.did).map(([name, count]) => `${count} ${name}`);
  process.stdout.write(
    `${table(result.rows)}\nseed ${seed}: ${Math.round(seconds)} s, at most ${result.peakSessions} sessions; ${did.join(', ')}\n`,
  );
  for (const fault of result.faults) process.stdout.write(`fault: ${fault}\n`);
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ seed, seconds, ...result }, null, 2)}\n`);
  return result.faults.length === 0 && result.rows.every(({ grows, kept }) => !grows && !kept) ? 0 : 1;
}

process.exitCode = await main();
