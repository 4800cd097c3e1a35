/** The bytes of one file of `MemoryDisk`: as they are seen, and as a power cut may find them. */
import type { Random } from '../ports/random.ts';

/**
 * What a power cut keeps of what was not synced. `torn`: each 512-byte sector of a write, each truncation and each name
 * on its own, as `random` decides.
 */
export type CrashMode = { readonly keep: 'none' | 'all' } | { readonly keep: 'torn'; readonly random: Random };

export interface UnsyncedWrite {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** What was there before a change. */
interface Before {
  /** The bytes that the change replaced or cut off, from `oldPosition` on, and the size before it. */
  readonly old: Uint8Array;
  readonly oldPosition: number;
  readonly oldSize: number;
}

interface Change extends Before {
  readonly is: UnsyncedWrite | { readonly truncate: number };
}

interface StuckWrite extends Before {
  /** Position behind the write. */
  readonly end: number;
}

const SECTOR_BYTES = 512;

export class Inode {
  #buffer = new Uint8Array(0);
  #size = 0;
  /** Not synced, oldest first. */
  #changes: Change[] = [];
  /** Writes that no sync makes durable, until their bytes are written again. */
  #stuck: StuckWrite[] = [];
  /** Writes under way: a power cut may find any of their sectors. */
  readonly #flying = new Set<UnsyncedWrite>();

  get size(): number {
    return this.#size;
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#size);
  }

  apply(write: UnsyncedWrite, unsyncable = false): void {
    const end = write.position + write.bytes.length;
    const before = {
      old: this.bytes.slice(write.position, end),
      oldPosition: write.position,
      oldSize: this.#size,
    };
    if (unsyncable) this.#stuck.push({ ...before, end });
    else this.#changes.push({ is: write, ...before });
    this.#put(write.position, write.bytes);
  }

  truncate(bytes: number): void {
    const old = this.bytes.slice(bytes);
    this.#changes.push({ is: { truncate: bytes }, old, oldPosition: bytes, oldSize: this.#size });
    this.#resize(bytes);
  }

  /** All that was changed is durable. */
  settle(): void {
    for (const { is } of this.#changes) this.#stuck = this.#stuck.filter((stuck) => !redone(stuck, is));
    this.#changes = [];
  }

  /** Runs with `write` under way. */
  async during(write: UnsyncedWrite, run: () => Promise<void>): Promise<void> {
    this.#flying.add(write);
    try {
      await run();
    } finally {
      this.#flying.delete(write);
    }
  }

  /** A copy as a power cut leaves it; all in it is durable. */
  crash(mode: CrashMode): Inode {
    const found = new Inode();
    found.#put(0, this.bytes);
    for (const { old, oldPosition, oldSize } of [...this.#changes].reverse()) {
      found.#resize(oldSize);
      found.#put(oldPosition, old);
    }
    const gone = mode.keep === 'all' ? [] : this.#stuck;
    for (const { old, oldPosition, oldSize, end } of [...gone].reverse()) {
      const { size } = found;
      if (size <= end) found.#resize(Math.min(size, Math.max(oldSize, oldPosition)));
      found.#put(oldPosition, size <= end ? old : Buffer.concat([old], end - oldPosition));
    }
    const unsynced = mode.keep === 'none' ? [] : [...this.#changes.map(({ is }) => is), ...this.#flying];
    for (const change of unsynced) {
      if (mode.keep === 'torn') found.#redoTorn(change, mode.random);
      else found.#redo(change);
    }
    return found;
  }

  #redo(change: Change['is']): void {
    if ('truncate' in change) this.#resize(change.truncate);
    else this.#put(change.position, change.bytes);
  }

  #redoTorn(change: Change['is'], random: Random): void {
    if ('truncate' in change) {
      if (random.next() < 0.5) this.#resize(change.truncate);
      return;
    }
    const { position, bytes } = change;
    // The size may be there before the bytes, which are zeros then.
    if (random.next() < 0.25) this.#resize(Math.max(this.#size, position + bytes.length));
    for (let at = 0; at < bytes.length; ) {
      const next = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
      if (random.next() < 0.5) this.#put(position + at, bytes.subarray(at, next));
      at = next;
    }
  }

  #put(position: number, bytes: Uint8Array): void {
    if (position + bytes.length > this.#size) this.#resize(position + bytes.length);
    this.#buffer.set(bytes, position);
  }

  #resize(size: number): void {
    if (size > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(size, this.#buffer.length * 2, 4096));
      larger.set(this.bytes);
      this.#buffer = larger;
    }
    if (size < this.#size) this.#buffer.fill(0, size, this.#size);
    this.#size = size;
  }
}

/** A synced change took the place of all of a stuck write. */
function redone(stuck: StuckWrite, change: Change['is']): boolean {
  if ('truncate' in change) return change.truncate <= stuck.oldPosition;
  return change.position <= stuck.oldPosition && change.position + change.bytes.length >= stuck.end;
}
