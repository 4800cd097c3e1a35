/** `sluice inspect-log`: the entries of the logs of a data directory, a line each. Reads only; changes nothing. */
import { parseArguments } from './arguments.ts';
import type { Command, Flags } from './command.ts';
import { commonExits } from './command.ts';
import { EXIT_OK } from './failure.ts';

const flags = {
  shard: { kind: 'number', unit: 'count', min: 0, max: 255, text: 'Only this shard.' },
  from: {
    kind: 'number',
    unit: 'count',
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
    default: 1,
    text: 'The first sequence shown, in each shard.',
  },
  count: { kind: 'number', unit: 'count', min: 1, max: Number.MAX_SAFE_INTEGER, text: 'Most entries shown.' },
  json: { kind: 'switch', text: 'Print a line of JSON for each entry.' },
} as const satisfies Flags;

export const inspectLog: Command = {
  name: 'inspect-log',
  summary: 'print the entries of a data directory',
  forms: ['<dir>'],
  about: [
    'A line for each entry of each shard, in the order of the log: shard, sequence, epoch, kind, bytes of its body, segment and ' +
      'position, and what the body says. Works on the directory of a stopped broker.',
  ],
  flags,
  exits: commonExits,
  examples: ['sluice inspect-log ./data', 'sluice inspect-log ./data --shard 0 --from 1000 --count 20 --json'],
  run: async (argv, terminal) => {
    const parsed = parseArguments('inspect-log', flags, { required: ['dir'], more: 0 }, argv, terminal.environment);
    const [directory = ''] = parsed.positionals;
    const { shard, from, count = Infinity, json } = parsed.flags;
    // Only here: no other command needs the storage code.
    const { inspectLog: readEntries } = await import('../shard/offline.ts');
    let left = count;
    for await (const entry of readEntries(directory)) {
      if (left <= 0 || terminal.stdout.gone.aborted) break;
      if ((shard !== undefined && entry.shard !== shard) || entry.sequence < from) continue;
      left -= 1;
      terminal.stdout.write(json ? `${JSON.stringify(entry)}\n` : entryLine(entry));
      if (terminal.stdout.full) await terminal.stdout.flush();
    }
    return EXIT_OK;
  },
};

export interface ShownEntry {
  readonly shard: number;
  readonly sequence: number;
  readonly epoch: number;
  readonly kind: string;
  /** Bytes of the body. */
  readonly bytes: number;
  readonly address: { readonly segment: number; readonly position: number };
  /** What the body says, where it can be read. */
  readonly text?: string | null;
}

/** `00  1042  e3  batch  512 B  at 1:40960  …`. */
export function entryLine(entry: ShownEntry): string {
  const { shard, sequence, epoch, kind, bytes, address, text } = entry;
  const fields = [
    String(shard).padStart(2, '0'),
    String(sequence).padStart(8),
    `e${epoch}`,
    kind.padEnd(9),
    `${bytes} B`.padStart(10),
    `at ${address.segment}:${address.position}`,
  ];
  return `${fields.join('  ')}${text === undefined || text === null ? '' : `  ${text}`}\n`;
}
