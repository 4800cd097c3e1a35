/**
 * The watchdog: two threads, started at boot while threads can still be started. One writes the report that the process
 * could not write, the other kills, a little later; apart, since a write to the disk that hangs would hang the kill too.
 * Both wait without a loop of the main thread: they sleep on shared memory and look at the clock.
 */
import { Worker } from 'node:worker_threads';
import type { Watchdog } from '../ports/watchdog.ts';

/** Room for the report of as many shards as there can be, and guests: a third of a KiB each. Touched as it is used. */
const REPORT_BYTES_MAX = 1024 * 1024;
/** Behind the times to act (monotonic ns, 0 for never): the length of the report, and whether it is on the disk. */
export const LENGTH_AT = 16;
export const WRITTEN_AT = 20;
export const REPORT_AT = 24;

/** The report is written this much before the kill, which waits for it as long where both are overdue. */
export const REPORT_AHEAD_MS = 200;

export interface WatchdogData {
  readonly shared: SharedArrayBuffer;
  readonly duty: 'report' | 'kill';
  readonly reportPath: string;
}

/** Starts the threads. Only from the built package: a thread loads a file of its own. */
export function startWatchdog(reportPath: string): Watchdog {
  const shared = new SharedArrayBuffer(REPORT_AT + REPORT_BYTES_MAX);
  const times = new BigInt64Array(shared, 0, 2);
  const length = new Int32Array(shared, LENGTH_AT, 1);
  const text = new Uint8Array(shared, REPORT_AT);
  for (const duty of ['report', 'kill'] as const) {
    const workerData: WatchdogData = { shared, duty, reportPath };
    const worker = new Worker(new URL('./watchdog-thread.js', import.meta.url), {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4, stackSizeMb: 1 },
    });
    // They end with the process, and keep it from ending in no way.
    worker.unref();
  }
  return {
    arm: (ms, report) => {
      const bytes = Buffer.from(report).subarray(0, REPORT_BYTES_MAX);
      Atomics.store(length, 0, 0);
      text.set(bytes);
      Atomics.store(length, 0, bytes.length);
      const killAt = process.hrtime.bigint() + BigInt(Math.round(ms)) * 1_000_000n;
      Atomics.store(times, 0, killAt - BigInt(REPORT_AHEAD_MS) * 1_000_000n);
      Atomics.store(times, 1, killAt);
    },
    disarm: () => {
      Atomics.store(times, 0, 0n);
      Atomics.store(times, 1, 0n);
    },
  };
}
