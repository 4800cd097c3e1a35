/** The kept inputs of a target: small files under `corpus/<target>`, each of which once reached something of its own. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const corpusFolder = join(import.meta.dirname, 'corpus');

/** In the order of their names, so that a seed draws the same inputs everywhere. Empty for a target without any. */
export async function corpusOf(target: string): Promise<Uint8Array[]> {
  const folder = join(corpusFolder, target);
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return Promise.all(names.sort().map((name) => readFile(join(folder, name))));
}
