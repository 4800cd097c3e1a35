/** A scripted life of a segment log, for crash tests: what was offered, and how much of it was acknowledged. */
import { expect } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { openSegmentLog, type SegmentLog } from '../../src/storage/segment-log.ts';
import type { MemoryDisk } from '../../src/testing/memory-disk.ts';
import { bodyText, entry, readAll } from './log-contract.ts';

export const DIRECTORY = '/data/log';
export const SEGMENT_BYTES = 2000;

export function open(disk: MemoryDisk): Promise<SegmentLog> {
  return openSegmentLog({ disk, directory: DIRECTORY, shard: 0, segmentBytes: SEGMENT_BYTES }, null).then(
    ({ log }) => log,
  );
}

/** Makes the log's folder, with its name durable, as the broker does before it opens the log. */
export async function prepare(disk: MemoryDisk): Promise<void> {
  await disk.makeDirectory(DIRECTORY);
  await disk.syncDirectory('/data');
  await disk.syncDirectory('/');
}

export class Script {
  /** Texts of all entries, in order; the entry of sequence s is `offered[s - 1]`. */
  readonly offered: string[] = [];
  /** Entries that were acknowledged. */
  acknowledged = 0;
  /** Errors met on the way. */
  readonly errors: unknown[] = [];
  readonly #tries: number;

  /** `tries`: how often an open, an append or a roll-over is tried. */
  constructor(tries = 1) {
    this.#tries = tries;
  }

  /** Opens, writes groups of several sizes over some segments, drops the oldest segment, and goes on after a restart. */
  async run(disk: MemoryDisk): Promise<void> {
    let log = await this.#again(() => open(disk));
    for (const sizes of [[40], [700, 20, 1100], [5], [900, 900], [30, 30, 30, 30]]) await this.#append(log, sizes);
    await this.#again(() => log.truncateBefore(5));
    await log.close();
    log = await this.#again(() => open(disk));
    for (const sizes of [[1500], [10, 600], [64], [2000], [2000], [2000]]) await this.#append(log, sizes);
    await this.#again(() => log.truncateBefore(Number.MAX_SAFE_INTEGER));
    await log.close();
  }

  async #append(log: SegmentLog, sizes: readonly number[]): Promise<void> {
    const texts = sizes.map((size, index) => `${this.offered.length + index + 1}:`.padEnd(size, String(index)));
    this.offered.push(...texts);
    await this.#again(async () => {
      if (log.fenced) await log.rollOver();
      await log.append(texts.map(entry));
    });
    this.acknowledged = this.offered.length;
  }

  async #again<T>(run: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await run();
      } catch (error) {
        this.errors.push(error);
        if (tries >= this.#tries) throw error;
      }
    }
  }

  /** Everything acknowledged is there, what else is there is a prefix of what was offered, and no sequence is missing. */
  async check(log: SegmentLog): Promise<void> {
    const entries = await readAll(log);
    for (const [index, found] of entries.entries()) {
      if (found.sequence !== log.firstSequence + index) throw new Error(`sequence ${found.sequence} at place ${index}`);
      if (bodyText(found) !== this.offered[found.sequence - 1]) throw new Error(`entry ${found.sequence} is another`);
    }
    expect(log.nextSequence).toBe(log.firstSequence + entries.length);
    expect(log.nextSequence - 1).toBeGreaterThanOrEqual(this.acknowledged);
    expect(log.nextSequence - 1).toBeLessThanOrEqual(this.offered.length);
  }
}

/** Calls of one whole run without a fault. */
export async function callsOf(make: () => Promise<MemoryDisk>): Promise<number> {
  const disk = await make();
  const before = disk.calls;
  await new Script().run(disk);
  return disk.calls - before;
}

export interface RunFault {
  readonly tries: number;
  /** The call that fails, from 1. */
  readonly failing: number;
  readonly fault: Error;
}

/** Runs the script until its call `nth` (from 1), which never returns; one call before it may fail. */
export async function runUntil(disk: MemoryDisk, nth: number, fault?: RunFault): Promise<Script> {
  const script = new Script(fault?.tries);
  let calls = 0;
  await new Promise<void>((resolve, reject) => {
    disk.onCall = () => {
      calls += 1;
      if (calls === fault?.failing) throw fault.fault;
      if (calls < nth) return;
      resolve();
      return new Promise<never>(() => {});
    };
    script.run(disk).then(resolve, reject);
  });
  return script;
}

export function codeOf(error: unknown): string {
  return error instanceof BrokerError ? error.code : `not a BrokerError: ${String(error)}`;
}
