/**
 * Bits that flip at rest, in entries of a shard's log that are known to have been durable: later entries say so. Damage
 * there must be noticed by whoever reads it, and must never cost more than that: made good, everything is there again.
 */
import type { MemoryDisk } from '../../src/testing/memory-disk.ts';
import { type DataSource, readLog } from '../checker/log-reader.ts';
import type { Step } from './plan.ts';

interface Flipped {
  readonly path: string;
  /** Where its entry begins, and the entry as it is with the bit flipped. */
  readonly position: number;
  readonly entry: Uint8Array;
  /** Of the bit, in the entry. */
  readonly at: number;
  readonly bit: number;
}

export class RottenBits {
  #flipped: Flipped[] = [];
  /** Bits flipped so far. */
  count = 0;

  /** Does nothing where the shard has no such entry. */
  flip(disk: MemoryDisk, data: string, step: Extract<Step, { readonly do: 'rot' }>): void {
    const folder = `shards/${String(step.shard).padStart(2, '0')}/log`;
    const { entries, fault } = readLog(sourceOf(disk, data), folder, step.shard);
    if (fault !== null) return;
    const durableAt = (last: number): number =>
      Math.max(
        0,
        ...entries.filter(({ sequence }) => sequence <= last).map(({ sequence, behind }) => sequence - behind),
      );
    // Twice: the entry that says so must itself be sure to stay, or the one that it speaks of ends the log one day.
    const durable = durableAt(durableAt(Number.POSITIVE_INFINITY));
    const cold = entries.filter(({ sequence }) => sequence <= durable);
    const entry = cold[Math.floor(step.atEntry * cold.length)];
    if (entry === undefined) return;
    const path = `${data}/${entry.segment}`;
    const { position } = entry;
    const length = 32 + entry.body.length;
    const at = Math.floor(step.atByte * length);
    toggle(disk, path, position + at, step.bit);
    const damaged = disk.bytesOf(path).slice(position, position + length);
    this.#flipped.push({ path, position, entry: damaged, at, bit: step.bit });
    this.count += 1;
  }

  /** Flips every bit back, the last one first, where its entry still stands as it was left. */
  heal(disk: MemoryDisk): void {
    const paths = new Set(disk.paths);
    for (const { path, position, entry, at, bit } of this.#flipped.splice(0).reverse()) {
      if (!paths.has(path)) continue;
      const now = disk.bytesOf(path).subarray(position, position + entry.length);
      if (Buffer.compare(now, entry) === 0) toggle(disk, path, position + at, bit);
    }
  }
}

function toggle(disk: MemoryDisk, path: string, at: number, bit: number): void {
  const bytes = disk.bytesOf(path);
  bytes[at] = (bytes[at] as number) ^ (1 << bit);
}

/** The files of a data directory on a disk in memory. */
export function sourceOf(disk: MemoryDisk, data: string): DataSource {
  return {
    list: (path) => {
      const folder = path === '.' ? `${data}/` : `${data}/${path}/`;
      const names = disk.paths.filter((each) => each.startsWith(folder)).map((each) => each.slice(folder.length));
      return [...new Set(names.map((name) => name.split('/')[0] as string))];
    },
    read: (path) => disk.bytesOf(`${data}/${path}`),
  };
}
