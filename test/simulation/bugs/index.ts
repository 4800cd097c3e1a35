/**
 * Planted bugs: mistakes put into the broker on purpose, to show that the simulator finds them. None is in `src`. A bug
 * is a replacement of text in one source file, made while the file is loaded (`bugs/hook.mjs`); the broker that runs is
 * the real one with that one mistake.
 *
 * To add one, write it into a file of this folder that exports a list of `Bug`, and add the list below. `find` must
 * stand in the file exactly once, so that a bug that no longer fits its source is told at once and not taken for one
 * that was not found. Choose `find` as short as is unambiguous, and `replace` as a mistake that somebody could make.
 *
 * To run one: `npm run sim -- --bug NAME --seeds 2000`, which exits with 1 at the first seed that finds it. The process
 * that runs a bug has to load the hook before anything of `src`: `bugArguments` gives the arguments for Node.
 */
import { fileURLToPath } from 'node:url';
import { appendBugs } from './append-bugs.ts';
import type { Bug } from './bug.ts';
import { checkpointBugs } from './checkpoint-bugs.ts';
import { clientBugs } from './client-bugs.ts';
import { consumerBugs } from './consumer-bugs.ts';
import { dedupBugs } from './dedup-bugs.ts';
import { deliveryBugs } from './delivery-bugs.ts';
import { groupBugs } from './group-bugs.ts';
import { shutdownBugs } from './shutdown-bugs.ts';
import { storageBugs } from './storage-bugs.ts';

export type { Bug } from './bug.ts';

export const bugs: readonly Bug[] = [
  ...storageBugs,
  ...appendBugs,
  ...dedupBugs,
  ...checkpointBugs,
  ...consumerBugs,
  ...deliveryBugs,
  ...shutdownBugs,
  ...clientBugs,
  ...groupBugs,
];

/** Throws a RangeError that lists the names when there is none of that name. */
export function bugNamed(name: string): Bug {
  const bug = bugs.find((each) => each.name === name);
  if (bug === undefined)
    throw new RangeError(`there is no bug ${name}; there are ${bugs.map((each) => each.name).join(', ')}`);
  return bug;
}

/** Arguments of a Node process that runs TypeScript, with a bug planted or without. */
export function bugArguments(bug: Bug | null): { readonly execArgv: string[]; readonly env: Record<string, string> } {
  // A run leaves much behind that is young: collected in fewer, larger steps it costs a third.
  const base = ['--max-semi-space-size=64', '--import', import.meta.resolve('tsx')];
  if (bug === null) return { execArgv: base, env: {} };
  const hook = new URL('./plant.mjs', import.meta.url).href;
  // The hook first: what is registered later is asked first, and tsx has to get the text that the hook has changed.
  return { execArgv: ['--import', hook, ...base], env: { SLUICE_BUG: JSON.stringify({ ...bug, root: sourceRoot }) } };
}

const sourceRoot = fileURLToPath(new URL('../../../', import.meta.url));
