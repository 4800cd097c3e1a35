/**
 * The disk reserve of a shard: a file of real bytes, removed when the disk is full, so that what was admitted before can
 * still be written. It is no part of the data and may be missing at any time.
 */
import type { Disk } from './disk.ts';

const STEP_BYTES = 1024 * 1024;

export class DiskReserve {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #directory: string;
  readonly #bytes: number;
  #held = false;

  constructor(disk: Disk, directory: string, path: string, bytes: number) {
    this.#disk = disk;
    this.#directory = directory;
    this.#path = path;
    this.#bytes = bytes;
  }

  /** Writes the file where it is missing or short. Rejects, and leaves none, when there is no room. */
  async ensure(): Promise<void> {
    if (this.#held || this.#bytes === 0) return;
    if ((await this.#sizeOnDisk()) !== this.#bytes) await this.#write();
    this.#held = true;
  }

  /** Removes the file; resolves with the bytes that came free. */
  async giveBack(): Promise<number> {
    if (!this.#held) return 0;
    this.#held = false;
    await this.#disk.remove(this.#path);
    await this.#disk.syncDirectory(this.#directory);
    return this.#bytes;
  }

  async #sizeOnDisk(): Promise<number> {
    try {
      const file = await this.#disk.openRead(this.#path);
      try {
        return await file.size();
      } finally {
        await file.close();
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
      throw error;
    }
  }

  async #write(): Promise<void> {
    await this.#disk.remove(this.#path);
    const file = await this.#disk.openWrite(this.#path, 'create');
    try {
      const zeros = new Uint8Array(Math.min(STEP_BYTES, this.#bytes));
      for (let at = 0; at < this.#bytes; at += zeros.length) {
        await file.writeSynced([zeros.subarray(0, Math.min(zeros.length, this.#bytes - at))], at);
      }
    } catch (error) {
      await this.#disk.remove(this.#path);
      throw error;
    } finally {
      await file.close();
    }
  }
}
