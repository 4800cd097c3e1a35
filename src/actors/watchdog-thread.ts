/** One thread of the watchdog: sleeps, looks at the clock, and does its one duty when the time has come. */
import { renameSync, writeFileSync, writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { LENGTH_AT, REPORT_AHEAD_MS, REPORT_AT, type WatchdogData, WRITTEN_AT } from './watchdog.ts';

/** Time between looks at the clock, ms. */
const LOOK_MS = 50;

const { shared, duty, reportPath } = workerData as WatchdogData;
const times = new BigInt64Array(shared, 0, 2);
const length = new Int32Array(shared, LENGTH_AT, 1);
const written = new Int32Array(shared, WRITTEN_AT, 1);
const sleep = new Int32Array(new SharedArrayBuffer(4));

function due(): boolean {
  const at = Atomics.load(times, duty === 'report' ? 0 : 1);
  return at !== 0n && process.hrtime.bigint() >= at;
}

function writeReport(): void {
  const bytes = Buffer.from(new Uint8Array(shared, REPORT_AT, Atomics.load(length, 0)));
  writeFileSync(`${reportPath}.new`, bytes, { mode: 0o600 });
  renameSync(`${reportPath}.new`, reportPath);
  Atomics.store(written, 0, 1);
  Atomics.notify(written, 0);
}

/** A report that cannot be written is told, and must not end the process as an error of its thread: the kill is near. */
function report(): void {
  try {
    writeReport();
  } catch (error) {
    try {
      writeSync(2, `sluice: the report cannot be written to ${reportPath}: ${(error as Error).message}\n`);
    } catch {
      // Nobody reads what it says: there is no other place to say it.
    }
  }
}

/** Behind a stop of the whole process (SIGSTOP, a machine put to sleep) both duties are overdue: the report goes first. */
function kill(): void {
  Atomics.wait(written, 0, 0, REPORT_AHEAD_MS);
  if (due()) process.kill(process.pid, 'SIGKILL');
}

while (!due()) Atomics.wait(sleep, 0, 0, LOOK_MS);
if (duty === 'report') report();
else kill();
