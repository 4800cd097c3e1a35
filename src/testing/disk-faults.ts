/** Faults of the disk in memory, as a test names them. Each takes the place of the one before; `mend` ends them. */
import { DiskFault, type MemoryDisk } from './memory-disk.ts';

/** Writes that wait until they are let go. */
export interface HeldWrites {
  /** How many wait now. */
  readonly waiting: number;
  /** Lets those that wait go; none waits any more. */
  release(): void;
}

export class DiskFaults {
  readonly #disk: () => MemoryDisk;

  constructor(disk: () => MemoryDisk) {
    this.#disk = disk;
  }

  /** Every write to a path that holds `part` fails with a system error: `EIO`, `ENOSPC`. */
  failWrites(code = 'EIO', part = '/log/'): void {
    this.#disk().onCall = (op, path) => {
      if (op === 'write' && path.includes(part)) throw new DiskFault(code);
    };
  }

  /** Every write to a path that holds `part` hangs, until it is released. */
  holdWrites(part = '/log/'): HeldWrites {
    const waiting: (() => void)[] = [];
    let held = true;
    this.#disk().onCall = (op, path) => {
      if (!held || op !== 'write' || !path.includes(part)) return;
      return new Promise<void>((resolve) => waiting.push(resolve));
    };
    return {
      get waiting() {
        return waiting.length;
      },
      release: () => {
        held = false;
        for (const resolve of waiting.splice(0)) resolve();
      },
    };
  }

  /** No byte more fits. */
  fill(): void {
    const disk = this.#disk();
    disk.capacityBytes = disk.usedBytes;
  }

  /** There is room again, and every call does what it should. */
  mend(): void {
    const disk = this.#disk();
    disk.onCall = null;
    disk.capacityBytes = Math.max(disk.capacityBytes, ROOM_BYTES);
  }
}

const ROOM_BYTES = 1024 ** 3;
