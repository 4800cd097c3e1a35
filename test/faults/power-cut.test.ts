/**
 * Power loss at any moment: a real broker's calls on its disk are traced, played back, and cut at many places into states
 * that a disk may be left in; each is opened with the real recovery. What was acknowledged on the client's socket by
 * then is there with the same bytes, offsets are dense, nothing is there that was not sent, commits and deletions hold,
 * and no legal state is taken for damage. A few hundred states here; `PROOF_SIZE=full` opens 50,000.
 */
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../storage/seeded-random.ts';
import { temporaryFolder } from '../support/broker-process.ts';
import { canInjectFaults } from '../support/disk-faults.ts';
import { buildShim } from '../support/shim.ts';
import { decidesInMemory, openInMemory, openOnDisk } from './crash-opening.ts';
import { type CrashMode, type CrashState, type DiskLie, TracedDisk } from './traced-disk.ts';
import { runTraced, type TracedRun } from './traced-run.ts';

const FULL = process.env['PROOF_SIZE'] === 'full';
const STATES = Number(process.env['CRASH_STATES'] ?? (FULL ? 50_000 : 200));
const SEED = Number(process.env['CRASH_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Every so many states is opened on a real folder, with the derived state as the cut left it. */
const ON_DISK_EVERY = 10;
/** Of the others, in every so many the power goes again in the middle of the recovery. */
const AGAIN_EVERY = 3;
/** Calls of a recovery, about: where the second cut falls. */
const RECOVERY_CALLS = 60;
/** Opened at a time: a stop waits now and then. */
const AT_ONCE = 8;
/** States at a call that leaves a log or a name in doubt, for each one elsewhere. */
const HOT_WEIGHT = 6;

const modes: readonly CrashMode[] = ['torn', 'prefix', 'torn', 'none', 'prefix', 'torn', 'all'];

interface Case {
  readonly number: number;
  readonly mode: CrashMode;
  readonly place: number;
  readonly state: CrashState;
}

describe.skipIf(!canInjectFaults())(`a power cut, seed ${SEED}`, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let run: TracedRun;

  beforeAll(async () => {
    folder = await temporaryFolder();
    run = await runTraced(folder.path, buildShim('disk-trace', folder.path), FULL ? 40 : 20);
  }, 60_000);
  afterAll(() => folder.remove());

  it('is played back to what the disk holds', () => {
    const disk = new TracedDisk();
    for (const event of run.events) disk.apply(event);
    const { files } = disk.crash('all', Math.random);
    const logs = [...files.keys()].filter((path) => path.endsWith('.log') && path.includes('/log/'));
    expect(logs.length).toBeGreaterThan(3);
    expect(run.acked.length).toBeGreaterThan(FULL ? 600 : 300);
    expect(run.events.filter((event) => event.is === 'sync').length).toBeGreaterThan(30);
  });

  it.each<DiskLie>(['forgets synced writes', 'forgets synced names'])('finds a disk that %s', async (lie) => {
    const random = seededRandom(SEED).next;
    const disk = new TracedDisk(lie);
    const faults: string[] = [];
    for (const [index, event] of run.events.entries()) {
      disk.apply(event);
      if (index % Math.ceil(run.events.length / 12) !== 0 || faults.length > 0) continue;
      const opened = openInMemory(disk.crash('none', random), run, event.end, null);
      faults.push(...(await opened.catch((error: unknown) => [String(error)])));
    }
    expect(faults.join()).toMatch(/was acknowledged, nothing is there/);
  });

  it(`loses nothing that was acknowledged, in ${STATES} states`, { timeout: 120_000 + STATES * 200 }, async () => {
    const random = seededRandom(SEED).next;
    const wrong: string[] = [];
    const opened = { memory: 0, again: 0, disk: 0, repeated: 0 };
    const began = performance.now();
    const lanes = new Set<Promise<void>>();
    for (const { number, mode, place, state } of casesOf(run, random, opened)) {
      const onDisk = number % ON_DISK_EVERY === 0;
      const twice = !onDisk && number % AGAIN_EVERY === 0;
      opened[onDisk ? 'disk' : twice ? 'again' : 'memory'] += 1;
      const again = twice ? { calls: 1 + Math.floor(random() * RECOVERY_CALLS), random } : null;
      const faults = onDisk ? openOnDisk(state, run, place) : openInMemory(state, run, place, again);
      const lane = faults
        .catch((error: unknown) => [`it was not opened: ${String(error)}`])
        .then((found) => {
          for (const fault of found) {
            wrong.push(
              `state ${number}, ${mode} at ${place}, ${onDisk ? 'on disk' : `in memory, ${again?.calls ?? 'once'}`}: ${fault}`,
            );
          }
          lanes.delete(lane);
        });
      lanes.add(lane);
      if (lanes.size >= AT_ONCE) await Promise.race(lanes);
      if (wrong.length > 20) break;
    }
    await Promise.all(lanes);
    const { memory, again, disk, repeated } = opened;
    const seconds = (performance.now() - began) / 1000;
    console.log(
      `${memory + again + disk} crash states of ${run.events.length} traced calls, ${run.acked.length} acknowledged records, seed ${SEED}: ` +
        `${memory} in memory, ${again} cut again in their recovery, ${disk} on disk; ${repeated} more were like one before; ` +
        `${Math.round((memory + again + disk) / seconds)} a second; ${wrong.length} wrong`,
    );
    expect(wrong).toEqual([]);
    expect(memory + again + disk).toBe(STATES);
  });
});

/** States of cuts spread over the whole trace, most of them where something is in doubt; none that was there before. */
function* casesOf(
  run: TracedRun,
  random: () => number,
  opened: { repeated: number },
): Generator<Case, void, undefined> {
  const hot = hotCalls(run);
  const weights = hot.map((isHot) => (isHot ? HOT_WEIGHT : 1));
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const seen = new Set<string>();
  for (let number = 0; number < STATES; ) {
    const disk = new TracedDisk();
    let owed = random();
    const round = STATES - number;
    for (const [index, event] of run.events.entries()) {
      disk.apply(event);
      for (owed += (round * (weights[index] as number)) / all; owed >= 1 && number < STATES; owed -= 1) {
        const mode = modes[Math.floor(random() * modes.length)] as CrashMode;
        const state = disk.crash(mode, random);
        const print = printOf(state, run.acked.filter(({ from }) => from <= event.end).length);
        if (seen.has(print)) {
          opened.repeated += 1;
          continue;
        }
        seen.add(print);
        number += 1;
        yield { number, mode, place: event.end, state };
      }
    }
  }
}

/** For each call, whether a log, or a name that leads to one, is in doubt behind it. */
function hotCalls({ events }: TracedRun): boolean[] {
  const disk = new TracedDisk();
  return events.map((event) => {
    disk.apply(event);
    return disk.pending(decidesInMemory) > 0;
  });
}

function printOf({ files, folders }: CrashState, acked: number): string {
  let print = crc32(folders.join('\n'));
  let length = 0;
  for (const [path, bytes] of files) {
    print = crc32(bytes, crc32(path, print));
    length += bytes.length;
  }
  return `${print} ${length} ${acked}`;
}
