/**
 * The nth file call fails, for every n, every kind of call and every error that a disk can answer with: whatever it is,
 * the broker refuses or is correct. What it acknowledged is stored once, what it refused is not, it does not die of an
 * error that nobody handled, and it ends as clean only where it was. A stride through all of them here;
 * `PROOF_SIZE=full` takes each one, in ten to twenty minutes.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/broker-process.ts';
import { canInjectFaults } from '../support/disk-faults.ts';
import { buildShim } from '../support/shim.ts';
import { callKinds, type FailingCall, failuresOf } from './failing-call.ts';
import { type FaultRun, runWithFault } from './fault-run.ts';

const FULL = process.env['PROOF_SIZE'] === 'full';
/** Runs of the small size for each kind of call and failure, spread evenly over its calls. */
const SMALL_RUNS = 2;
/** The machine that this is made for has two cores. */
const AT_ONCE = 2;
/** A broker whose call fails may make more calls than one whose calls do not. */
const SPARE = 1.2;

describe.skipIf(!canInjectFaults())('the nth call fails', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let shim = '';

  beforeAll(async () => {
    folder = await temporaryFolder();
    shim = buildShim('nth-call', folder.path);
  });
  afterAll(() => folder.remove());

  it('is refused or correct', { timeout: FULL ? 3_600_000 : 300_000 }, async () => {
    const sound = await runWithFault(shim, { kind: 'write', nth: 0, failure: 'EIO' });
    expect(sound.faults).toEqual([]);
    expect(sound).toMatchObject({ fired: false, refused: 0, unanswered: 0, exits: [0, 0] });
    expect(sound.acked).toBeGreaterThanOrEqual(50);
    const chosen = callKinds.flatMap((kind) =>
      failuresOf[kind].flatMap((failure) => numbersOf(sound.calls[kind]).map((nth) => ({ kind, failure, nth }))),
    );
    const runs = await runAll(chosen, (call) => runWithFault(shim, call));
    const fired = runs.filter(({ run }) => run.fired);
    console.log(summary(sound, runs));
    const wrong = runs.filter(({ run }) => run.faults.length > 0);
    expect(wrong.map(({ call, run }) => `${call.kind} ${call.nth} ${call.failure}: ${run.faults.join('\n')}`)).toEqual(
      [],
    );
    expect(fired.length).toBeGreaterThan(chosen.length / 2);
    expect([...new Set(fired.map(({ call }) => call.kind))].sort()).toEqual([...callKinds].sort());
  });
});

/** Which calls of `count` are to fail. */
function numbersOf(count: number): number[] {
  if (FULL) return Array.from({ length: Math.ceil(count * SPARE) }, (_, index) => index + 1);
  return Array.from({ length: SMALL_RUNS }, (_, index) => Math.ceil(((index + 0.5) / SMALL_RUNS) * count));
}

interface Done {
  readonly call: FailingCall;
  readonly run: FaultRun;
}

async function runAll(calls: readonly FailingCall[], run: (call: FailingCall) => Promise<FaultRun>): Promise<Done[]> {
  const left = [...calls];
  const done: Done[] = [];
  const lane = async (): Promise<void> => {
    for (let call = left.shift(); call !== undefined; call = left.shift()) done.push({ call, run: await run(call) });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return done;
}

function summary(sound: FaultRun, runs: readonly Done[]): string {
  const lines = callKinds.map((kind) => {
    const own = runs.filter(({ call, run }) => call.kind === kind && run.fired);
    const sane = own.filter(({ run }) => run.faults.length === 0);
    const refused = sane.filter(({ run }) => run.exits.some((code) => code !== 0) || run.refused > 0).length;
    return `  ${kind.padEnd(7)} ${String(sound.calls[kind]).padStart(4)} calls, ${own.length} failed: ${refused} refused, ${sane.length - refused} unnoticed, ${own.length - sane.length} wrong`;
  });
  const acked = runs.reduce((sum, { run }) => sum + run.acked, 0);
  const fired = runs.filter(({ run }) => run.fired).length;
  return [`${fired} faulted calls, ${acked} acknowledged records checked`, ...lines].join('\n');
}
