/** The part of a run that counts: behind the warm-up, which the engines of both sides need to compile what is hot. */
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 5;

export interface Window {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** Longest extension of a measurement in which nothing happened, as on a disk that is busy with others. */
const EXTENSION_MS = 10_000;

/** Growth of a counter per second between the warm-up and the end. Throws when it does not grow at all. */
export async function measured({ warmUpMs, measureMs }: Window, count: () => number): Promise<number> {
  await sleep(warmUpMs);
  const start = performance.now();
  const before = count();
  await sleep(measureMs);
  for (let waited = 0; count() === before; waited += POLL_MS) {
    if (waited >= EXTENSION_MS) throw new Error(`nothing was acknowledged in ${measureMs + EXTENSION_MS} ms`);
    await sleep(POLL_MS);
  }
  return ((count() - before) * 1000) / (performance.now() - start);
}

/** Most time that what was sent may take to be answered. */
const DRAIN_MS = 30_000;

/** Waits until everything sent was answered; throws after 30 s. */
export async function drained(isEmpty: () => boolean): Promise<void> {
  for (let waited = 0; !isEmpty(); waited += POLL_MS) {
    if (waited >= DRAIN_MS) throw new Error(`unanswered after ${DRAIN_MS} ms`);
    await sleep(POLL_MS);
  }
}
