/** `sluice serve`: runs the broker in this process until a signal or `sluice stop` ends it. */
import { readFileSync } from 'node:fs';
import { loadConfig } from '../config-loader.ts';
import type { Command, Flags } from './command.ts';
import { settingFlagsText } from './help.ts';

const flags = {
  config: {
    kind: 'text',
    placeholder: 'FILE',
    variable: 'SLUICE_CONFIG',
    text: 'A JSON file with settings by their names. A flag wins over a variable, a variable over the file.',
  },
} as const satisfies Flags;

export const serve: Command = {
  name: 'serve',
  summary: 'run a broker',
  forms: ['[flags]'],
  about: [
    'Serves clients at ws://HOST:PORT/v1 and the admin endpoint beside it. SIGTERM and SIGINT shut it down in order: what ' +
      'was acknowledged is on disk before it ends.',
  ],
  flags,
  flagHelp: settingFlagsText,
  exits: [
    ['0', 'shut down clean: everything acknowledged is on disk'],
    ['1', 'it did not start: a setting, the data directory or an address is wrong'],
    ['20', 'a shard was abandoned at its deadline'],
    ['21', 'a flush failed'],
    ['22', 'forced by an operator'],
    ['23', 'a fatal error'],
  ],
  examples: [
    'sluice serve',
    'sluice serve --port 8080 --data /var/lib/sluice',
    'SLUICE_GRACE_PERIOD_MS=60s sluice serve',
  ],
  run: async (argv, terminal) => {
    const { config } = loadConfig({
      argv,
      environment: terminal.environment,
      readFile: (path) => readFileSync(path, 'utf8'),
      otherSwitches: ['help', 'verbose'],
    });
    // Only here: no other command needs the broker's code, and this one needs it after its settings are sound.
    const { runBroker } = await import('../main.ts');
    return runBroker(config);
  },
};
