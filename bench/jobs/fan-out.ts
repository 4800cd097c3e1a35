/**
 * Fan-out at saturation: one publisher, many subscribers, and at most so many published records that not all of them
 * have. The window makes it lossless for systems that drop what a slow subscriber does not take.
 */
import type { BenchClient, Target } from '../clients/client.ts';
import { connectMany } from '../clients/registry.ts';
import { payload } from './payload.ts';
import { measured, type Window } from './window.ts';

export interface FanOutJob extends Window {
  readonly job: 'fan-out';
  readonly target: Target;
  readonly subscribers: number;
  /** Records that are published and not yet everywhere. */
  readonly window: number;
  readonly bytes: number;
}

/** Records received per second, over all subscribers. */
export async function fanOut(job: FanOutJob): Promise<{ readonly perSecond: number }> {
  const publisher = (await connectMany(job.target, 1))[0] as BenchClient;
  await publisher.prepare('bench');
  const subscribers = await connectMany(job.target, job.subscribers);
  const value = payload(job.bytes);
  let received = 0;
  let published = 0;
  let stopped = false;
  let failure: unknown = null;
  const failed = (error: unknown): void => {
    if (!stopped) failure = error;
  };
  const refill = (): void => {
    const behind = Math.floor(received / job.subscribers);
    while (!stopped && published - behind < job.window) {
      published += 1;
      publisher.publish('bench', value).catch(failed);
    }
  };
  // Half a window at a time: a publish for each record that arrives everywhere would be one for each turn.
  const refillEvery = Math.max(1, Math.floor((job.window * job.subscribers) / 2));
  let refillAt = refillEvery;
  const receive = (): void => {
    received += 1;
    if (received < refillAt) return;
    refillAt = received + refillEvery;
    refill();
  };
  for (const subscriber of subscribers) await subscriber.subscribe('bench', receive);
  refill();
  const perSecond = await measured(job, () => received);
  stopped = true;
  if (failure !== null) throw failure;
  await Promise.all([publisher, ...subscribers].map((client) => client.close()));
  return { perSecond };
}
