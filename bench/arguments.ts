/** The command line of the bench. */
import { parseArgs } from 'node:util';
import { type Scale, scales } from './scale.ts';

export const usage = `npm run bench -- [options]

  --only WORKLOAD     this workload alone; may be repeated
  --systems A,B       these systems alone
  --quick             smaller and once: less than 90 s for everything
  --smoke             as small as it gets: whether it works
  --runs N            measurements of each system on each workload
  --json FILE         write the results there, and beside it a page with plots (.html) and tables (.md)
  --list              what there is, and what is missing here
  --help`;

export interface Arguments {
  readonly only: readonly string[];
  /** null for all. */
  readonly systems: readonly string[] | null;
  readonly scale: Scale;
  readonly json: string | null;
  readonly command: 'run' | 'list' | 'help';
}

/** Throws with a message for people. */
export function readArguments(args: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true, default: [] },
      systems: { type: 'string' },
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      runs: { type: 'string' },
      json: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const scale = values.smoke ? scales.smoke : values.quick ? scales.quick : scales.full;
  const runs = values.runs === undefined ? scale.runs : Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1 || runs > 100) {
    throw new Error(`--runs takes a whole number from 1 to 100; got "${values.runs}"`);
  }
  return {
    only: values.only.flatMap((names) => names.split(',')),
    systems: values.systems?.split(',') ?? null,
    scale: { ...scale, runs },
    json: values.json ?? null,
    command: values.help ? 'help' : values.list ? 'list' : 'run',
  };
}
