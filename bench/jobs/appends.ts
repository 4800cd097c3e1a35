/**
 * Bare appends to one file opened with `O_DSYNC`, one write under way: what the disk alone takes. Half of the ceiling
 * of a broker that acknowledges what is on disk; the other half is bare `ws`.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { Latencies, type LatencySummary } from './latencies.ts';
import { pace } from './pace.ts';
import { payload } from './payload.ts';
import { drained, measured, type Window } from './window.ts';

export interface AppendsJob extends Window {
  readonly job: 'appends';
  readonly folder: string;
  readonly bytes: number;
  /** Writes that are due per second; 0 for one behind another. */
  readonly perSecond: number;
}

export interface AppendsResult {
  /** Writes. */
  readonly perSecond: number;
  /** Count 0 for one behind another. */
  readonly ack: LatencySummary;
}

export async function appends(job: AppendsJob): Promise<AppendsResult> {
  const flags = constants.O_CREAT | constants.O_WRONLY | constants.O_APPEND | constants.O_DSYNC;
  const file = await open(join(job.folder, 'appends'), flags);
  try {
    return await (job.perSecond === 0 ? oneByOne(file, job) : whenDue(file, job));
  } finally {
    await file.close();
  }
}

async function oneByOne(file: FileHandle, job: AppendsJob): Promise<AppendsResult> {
  const value = payload(job.bytes);
  let written = 0;
  const state = { stopped: false };
  const loop = (async () => {
    while (!state.stopped) {
      await file.write(value);
      written += 1;
    }
  })();
  const perSecond = await Promise.race([measured(job, () => written), loop.then(() => 0)]);
  state.stopped = true;
  await loop;
  return { perSecond, ack: new Latencies().summary };
}

async function whenDue(file: FileHandle, job: AppendsJob): Promise<AppendsResult> {
  const value = payload(job.bytes);
  const latencies = new Latencies();
  let countFrom = Number.POSITIVE_INFINITY;
  let waiting = 0;
  let last = Promise.resolve();
  const write = (dueAt: number): void => {
    waiting += 1;
    last = last.then(async () => {
      await file.write(value);
      waiting -= 1;
      if (dueAt >= countFrom) latencies.record(performance.now() - dueAt);
    });
  };
  await pace(job.perSecond, job.warmUpMs, write);
  countFrom = performance.now();
  await pace(job.perSecond, job.measureMs, write);
  await Promise.race([last, drained(() => waiting === 0)]);
  return { perSecond: job.perSecond, ack: latencies.summary };
}
