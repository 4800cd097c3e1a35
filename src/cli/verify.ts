/**
 * `sluice verify`: checks a data directory offline: the CRC of every entry, that no sequence is missing, and what the
 * entries say of partitions and offsets. Reads only. Ends with 1 when there is a fault, and lists them all.
 */
import { parseArguments } from './arguments.ts';
import type { Command, Flags } from './command.ts';
import { EXIT_ERROR, EXIT_OK } from './failure.ts';
import { countText, roughBytes } from './table.ts';

const flags = {
  json: { kind: 'switch', text: 'Print the result as one line of JSON.' },
} as const satisfies Flags;

export const verify: Command = {
  name: 'verify',
  summary: 'check every byte of a data directory',
  forms: ['<dir>'],
  about: [
    'Works on the directory of a stopped broker and changes nothing in it. A torn end, which the next start cuts, is a note.',
  ],
  flags,
  exits: [
    ['0', 'no fault'],
    ['1', 'faults, listed on standard output; or the directory cannot be read'],
    ['2', 'the command line is wrong'],
  ],
  examples: ['sluice verify ./data'],
  run: async (argv, terminal) => {
    const parsed = parseArguments('verify', flags, { required: ['dir'], more: 0 }, argv, terminal.environment);
    const [directory = ''] = parsed.positionals;
    // Only here: no other command needs the storage code.
    const { verifyDataDirectory } = await import('../shard/offline.ts');
    const result = await verifyDataDirectory(directory);
    terminal.stdout.write(parsed.flags.json ? `${JSON.stringify(result)}\n` : verifyText(result));
    return result.faults.length === 0 ? EXIT_OK : EXIT_ERROR;
  },
};

export interface Verified {
  readonly entries: number;
  readonly bytes: number;
  readonly notes: readonly unknown[];
  readonly faults: readonly VerifiedFault[];
}

export interface VerifiedFault {
  readonly file: string;
  readonly position: number | null;
  readonly sequence: number | null;
  readonly fault: string;
}

/** Notes, faults, then the sum; a line each. */
export function verifyText(result: Verified): string {
  const lines = result.notes.map((note) => `note: ${typeof note === 'string' ? note : JSON.stringify(note)}`);
  for (const { file, position, sequence, fault } of result.faults) {
    const place = [
      file,
      ...(position === null ? [] : [`position ${position}`]),
      ...(sequence === null ? [] : [`sequence ${sequence}`]),
    ];
    lines.push(`fault: ${place.join(', ')}: ${fault}`);
  }
  const faults = result.faults.length === 0 ? 'no fault' : `${countText(result.faults.length)} faults`;
  lines.push(`${countText(result.entries)} entries, ${roughBytes(result.bytes)}: ${faults}`);
  return `${lines.join('\n')}\n`;
}
