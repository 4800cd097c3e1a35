/** One thread of the watchdog: sleeps, looks at the clock, and does its one duty when the time has come. */
import { renameSync, writeFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { REPORT_AT, type WatchdogData } from './watchdog.ts';

/** Time between looks at the clock, ms. */
const LOOK_MS = 50;

const { shared, duty, reportPath } = workerData as WatchdogData;
const times = new BigInt64Array(shared, 0, 2);
const length = new Int32Array(shared, 16, 1);
const sleep = new Int32Array(new SharedArrayBuffer(4));

function due(): boolean {
  const at = Atomics.load(times, duty === 'report' ? 0 : 1);
  return at !== 0n && process.hrtime.bigint() >= at;
}

function writeReport(): void {
  const bytes = Buffer.from(new Uint8Array(shared, REPORT_AT, Atomics.load(length, 0)));
  writeFileSync(`${reportPath}.new`, bytes, { mode: 0o600 });
  renameSync(`${reportPath}.new`, reportPath);
}

while (!due()) Atomics.wait(sleep, 0, 0, LOOK_MS);
if (duty === 'report') writeReport();
else process.kill(process.pid, 'SIGKILL');
