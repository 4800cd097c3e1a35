/** Real input that every checkout has: the `*.d.ts` files below node_modules. */
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

const modules = resolve(import.meta.dirname, '../../node_modules');

/** Their paths, in order; empty files left out, which have no line. */
export function declarationFiles(): string[] {
  return readdirSync(modules, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.d.ts'))
    .map((name) => join(modules, name))
    .filter((path) => statSync(path).isFile() && statSync(path).size > 0)
    .sort();
}
