/**
 * A module hook of Node that changes the text of source files while they are loaded. It stands below tsx, which turns
 * what comes out of it into JavaScript. Throws when an edit does not fit its file.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @type {Map<string, { find: string, replace: string }[]>} */
const edits = new Map();

export function initialize(bug) {
  for (const { file, find, replace } of bug?.edits ?? []) {
    const path = join(bug.root, file);
    edits.set(path, [...(edits.get(path) ?? []), { find, replace }]);
  }
}

export async function load(url, context, nextLoad) {
  const path = url.startsWith('file:') ? fileURLToPath(new URL(url.split('?')[0])) : '';
  const ofFile = edits.get(path);
  if (ofFile === undefined) return nextLoad(url, context);
  let source = await readFile(path, 'utf8');
  for (const { find, replace } of ofFile) {
    const parts = source.split(find);
    if (parts.length !== 2)
      throw new Error(`${path} holds ${JSON.stringify(find)} ${parts.length - 1} times, not once`);
    source = parts.join(replace);
  }
  return { format: 'module', source, shortCircuit: true };
}
