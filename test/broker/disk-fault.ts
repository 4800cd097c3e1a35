/** Faults done to the disk in memory: writes that wait, writes that fail, bytes that change by themselves. */
import { DiskFault, type MemoryDisk } from '../../src/testing/memory-disk.ts';

/** Calls that wait until they are let go. */
export interface Hold {
  /** How many wait now. */
  readonly waiting: number;
  /** Lets those that wait go; none waits any more. */
  release(): void;
}

/** Holds every write to a path that holds `part`, until released. Replaces the disk's hook. */
export function holdWrites(disk: MemoryDisk, part: string): Hold {
  return holdCalls(disk, 'write', part);
}

/** The same for another kind of call. */
export function holdCalls(disk: MemoryDisk, what: 'read' | 'write', part: string): Hold {
  const waiting: (() => void)[] = [];
  let held = true;
  disk.onCall = (op, path) => {
    if (!held || op !== what || !path.includes(part)) return;
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

/** Fails every write to a path that holds `part` with a system error, until the disk's hook is replaced. */
export function failWrites(disk: MemoryDisk, part: string, code: string): void {
  disk.onCall = (op, path) => {
    if (op === 'write' && path.includes(part)) throw new DiskFault(code);
  };
}

/** Flips the bits of one byte. */
export function damage(disk: MemoryDisk, path: string, at: number): void {
  const bytes = disk.bytesOf(path);
  if (at >= bytes.length) throw new RangeError(`${path} has no byte ${at}`);
  bytes[at] = (bytes[at] as number) ^ 0xff;
}
