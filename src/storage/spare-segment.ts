/**
 * The file that the next segment will be: made ahead, in the background, of zeros that are written and synced. Writing
 * over blocks that a file has already costs the disk a fraction of what growing it costs, since the file system's
 * journal has no part in it. It saves time and nothing else: without one, a segment grows as it is written.
 *
 * At most one per log, under a name that is no segment's; what a crash leaves of it is removed at the next start.
 */
import { join } from 'node:path';
import type { Disk } from './disk.ts';

/** It is made only where the disk has room for so many of it. */
const ROOM = 4;

export class SpareSegment {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #bytes: number;
  /** `failed`: not tried again before the next segment. */
  #state: 'none' | 'making' | 'ready' | 'failed' = 'none';
  #making: Promise<void> = Promise.resolve();
  #abort = new AbortController();

  constructor(disk: Disk, directory: string, bytes: number) {
    this.#disk = disk;
    this.#directory = directory;
    this.#bytes = bytes;
  }

  /** Where it lies. */
  static pathIn(directory: string): string {
    return join(directory, 'spare');
  }

  /** Removes one that is left in a log's directory; never rejects. */
  static async removeFrom(disk: Disk, directory: string): Promise<void> {
    try {
      await disk.remove(SpareSegment.pathIn(directory));
    } catch {
      // It is no part of the log: one that stays is written over by the next, or removed at the next start.
    }
  }

  /** Begins to make it, unless it was begun already or is there. */
  prepare(): void {
    if (this.#state !== 'none') return;
    this.#state = 'making';
    this.#making = this.#make();
  }

  async #make(): Promise<void> {
    const path = SpareSegment.pathIn(this.#directory);
    try {
      const { freeBytes } = await this.#disk.space(this.#directory);
      const room = freeBytes >= ROOM * this.#bytes;
      if (room) await this.#disk.makeZeroed(path, this.#bytes, this.#abort.signal);
      this.#state = room ? 'ready' : 'failed';
    } catch {
      // A full or failing disk has no room for what only saves time; whoever writes to it next will say what it is.
      this.#state = 'failed';
    }
  }

  /** The path of one that is ready, which is the caller's from now on; null when there is none. */
  take(): string | null {
    if (this.#state !== 'ready') return null;
    this.#state = 'none';
    return SpareSegment.pathIn(this.#directory);
  }

  /** The next segment has begun, with or without it. */
  renew(): void {
    if (this.#state === 'failed') this.#state = 'none';
  }

  /** Removes it, or ends its making; resolves when that is over, and never rejects. */
  async discard(): Promise<void> {
    this.#abort.abort();
    await this.#making;
    this.#abort = new AbortController();
    const had = this.#state === 'ready';
    this.#state = 'none';
    if (had) await SpareSegment.removeFrom(this.#disk, this.#directory);
  }
}
