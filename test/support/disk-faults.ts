/** File calls of a real broker that fail or hang on demand, by a shim that the test builds and preloads. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const source = resolve(import.meta.dirname, 'native/disk-faults.c');

export type FaultCall = 'write' | 'sync' | 'open' | 'close';
/** `throttle:N`: a write takes the time of its bytes at N bytes a second. */
export type FaultAction = 'EIO' | 'ENOSPC' | 'EMFILE' | 'hang' | `throttle:${number}`;

export type FaultRule = readonly [call: FaultCall, part: string, action: FaultAction];

export class DiskFaults {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-faults-'));
  readonly #rules = join(this.#folder, 'rules');

  constructor() {
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', this.#library, source, '-ldl']);
  }

  get #library(): string {
    return join(this.#folder, 'disk-faults.so');
  }

  /** For the broker's environment. */
  get env(): Record<string, string> {
    return { LD_PRELOAD: this.#library, FAULT_RULES: this.#rules };
  }

  /** From now on `call` on a path with `part` in it does `action`. */
  set(...rules: readonly FaultRule[]): void {
    writeFileSync(this.#rules, rules.map((rule) => `${rule.join(' ')}\n`).join(''));
  }

  clear(): void {
    rmSync(this.#rules, { force: true });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** True where the shim can be built. Elsewhere the tests that need it are skipped, aloud; with CI=true that fails. */
export function canInjectFaults(): boolean {
  const possible =
    process.platform === 'linux' && ['/usr/bin/cc', '/usr/local/bin/cc'].some((path) => existsSync(path));
  if (possible) return true;
  const how = 'disk faults are not injected: they need Linux and a C compiler (Debian: apt-get install gcc libc6-dev)';
  if (process.env['CI'] === 'true') throw new Error(how);
  console.warn(`SKIPPED: ${how}`);
  return false;
}
