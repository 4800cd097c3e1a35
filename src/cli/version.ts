/** `sluice version`: what runs here, for a report of a fault. */
import { readFileSync } from 'node:fs';
import { DATA_FORMAT } from '../storage/data-directory.ts';
import { parseArguments } from './arguments.ts';
import type { Command } from './command.ts';
import { commonExits } from './command.ts';
import { EXIT_OK } from './failure.ts';

export const version: Command = {
  name: 'version',
  summary: 'show the versions of Sluice, Node, the platform and the data format',
  forms: [''],
  about: [],
  flags: {},
  exits: commonExits,
  examples: [],
  run: async (argv, terminal) => {
    parseArguments('version', {}, { required: [], more: 0 }, argv);
    terminal.stdout.write(
      `sluice ${packageVersion()}\nnode ${process.version}\nplatform ${process.platform} ${process.arch}\ndata format ${DATA_FORMAT}\n`,
    );
    return EXIT_OK;
  },
};

/** From `package.json`, which lies as far above `src/cli` as above `dist/cli`. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
