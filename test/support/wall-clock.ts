/** A wall clock of a real broker that the test sets, by a shim that it builds and preloads. */
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildShim } from './shim.ts';

export class WallClock {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-clock-'));
  readonly #library: string;
  readonly #offset: number;

  constructor() {
    this.#library = buildShim('wall-clock', this.#folder);
    this.#offset = openSync(this.#offsetPath, 'w+');
    this.set(0);
  }

  get #offsetPath(): string {
    return join(this.#folder, 'offset');
  }

  /** For the broker's environment. */
  get env(): Record<string, string> {
    return { LD_PRELOAD: this.#library, CLOCK_OFFSET: this.#offsetPath };
  }

  /** The broker's wall clock is this far ahead of the real one, ms, from now on. */
  set(aheadMs: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(aheadMs));
    writeSync(this.#offset, bytes, 0, 8, 0);
  }

  remove(): void {
    closeSync(this.#offset);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
