/** Shims that are preloaded into a real broker: built from `native/` by the tests that need them. */
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';

/** Builds `native/NAME.c` into `folder`; gives the path for LD_PRELOAD. Only where `canInjectFaults()`. */
export function buildShim(name: 'nth-call' | 'disk-trace' | 'wall-clock', folder: string): string {
  const library = join(folder, `${name}.so`);
  const source = resolve(import.meta.dirname, 'native', `${name}.c`);
  execFileSync('cc', [
    '-shared',
    '-fPIC',
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    library,
    source,
    '-ldl',
    '-lpthread',
  ]);
  return library;
}
