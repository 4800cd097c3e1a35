/** How much memory a process holds at most, looked at every 50 ms. Linux. */
import { readFileSync } from 'node:fs';

const LOOK_MS = 50;

export class MemoryWatch {
  #peakBytes = 0;
  readonly #timer: NodeJS.Timeout;
  readonly #pid: number;

  constructor(pid: number | undefined) {
    this.#pid = pid ?? 0;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#look();
  }

  /** Ends the watch; the peak, MiB. */
  end(): number {
    clearInterval(this.#timer);
    return Math.round(this.#peakBytes / 2 ** 20);
  }

  #look(): void {
    try {
      const pages = Number(readFileSync(`/proc/${this.#pid}/statm`, 'utf8').split(' ')[1]);
      this.#peakBytes = Math.max(this.#peakBytes, pages * 4096);
    } catch (error) {
      // A process that has ended holds nothing.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' && (error as NodeJS.ErrnoException).code !== 'ESRCH')
        throw error;
    }
  }
}
