/** Power cuts and process deaths of the segment log: at every call, in every mode, and again during recovery. */
import { describe, expect, test } from 'vitest';
import { type CrashMode, DiskFault, MemoryDisk } from '../../src/testing/memory-disk.ts';
import { entry, rejection, texts } from './log-contract.ts';
import { seededRandom } from './seeded-random.ts';
import { callsOf, open, prepare, runUntil } from './segment-script.ts';

const TORN_SEEDS = 8;

/** How much of a failed write is seen afterwards, and whether a sync can make that durable. */
const landings = [
  [0, false],
  [20, false],
  [45, true],
  [100_000, false],
  [100_000, true],
] as const;

async function newDisk(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await prepare(disk);
  return disk;
}

function modes(seed: number): CrashMode[] {
  const torn = Array.from({ length: TORN_SEEDS }, (_, index) => ({
    keep: 'torn' as const,
    random: seededRandom(seed * 1000 + index),
  }));
  return [{ keep: 'none' }, { keep: 'all' }, ...torn];
}

describe('a segment log after a power cut', () => {
  test('holds all that was acknowledged and a prefix of what was offered, cut at any call in any mode', async () => {
    const calls = await callsOf(newDisk);
    expect(calls).toBeGreaterThan(40);
    for (let nth = 1; nth <= calls; nth += 1) {
      const disk = await newDisk();
      const script = await runUntil(disk, nth);
      for (const mode of modes(nth)) {
        const found = disk.crash(mode);
        const log = await open(found);
        await script.check(log);
        const next = log.nextSequence;
        await log.append([entry('and on')]);
        await log.close();
        const again = await open(found.crash({ keep: 'none' }));
        expect(again.nextSequence).toBe(next + 1);
        await again.close();
        expect(found.openFiles).toBe(0);
      }
    }
  });

  test('survives a second cut during its recovery', async () => {
    const calls = await callsOf(newDisk);
    for (let nth = 1; nth <= calls; nth += 3) {
      const disk = await newDisk();
      const script = await runUntil(disk, nth);
      const torn = { keep: 'torn' as const, random: seededRandom(nth) };
      const found = disk.crash(torn);
      for (let second = 1; second < 200; second += 2) {
        // A copy: every byte of `found` is durable.
        const recovering = found.crash({ keep: 'none' });
        const finished = await openUntil(recovering, second);
        const log = await open(recovering.crash(torn));
        await script.check(log);
        await log.close();
        if (finished) break;
      }
    }
  });

  test('holds what was written to a segment whose name an open that failed had not made durable', async () => {
    const disk = await newDisk();
    disk.onCall = (op) => {
      if (op === 'syncDirectory') throw new DiskFault('EIO');
    };
    expect((await rejection(open(disk))).code).toBe('LOG_WRITE_FAILED');
    disk.onCall = null;
    const log = await open(disk);
    await log.append([entry('kept')]);
    const found = await open(disk.crash({ keep: 'none' }));
    expect(await texts(found)).toEqual(['kept']);
  });

  test('survives a cut at any call behind a write that failed', async () => {
    const calls = await callsOf(newDisk);
    const random = seededRandom(7);
    for (let failing = 1; failing <= calls; failing += 1) {
      for (const [landedBytes, unsyncable] of landings) {
        const disk = await newDisk();
        const script = await runUntil(disk, failing + 1 + Math.floor(random.next() * 40), {
          tries: 6,
          failing,
          fault: new DiskFault('EIO', { landedBytes, unsyncable }),
        });
        for (const mode of modes(failing)) {
          const log = await open(disk.crash(mode));
          await script.check(log);
          await log.close();
        }
      }
    }
  });
});

/** Opens the log until call `nth`, which never returns; true when the open was through before it. */
async function openUntil(disk: MemoryDisk, nth: number): Promise<boolean> {
  let calls = 0;
  return await new Promise<boolean>((resolve, reject) => {
    disk.onCall = () => {
      calls += 1;
      if (calls < nth) return;
      resolve(false);
      return new Promise<never>(() => {});
    };
    open(disk).then(() => resolve(true), reject);
  });
}
