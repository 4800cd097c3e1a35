/**
 * Latency at a steady rate: publishes are sent when they are due, each carrying its due time, so a subscriber in the
 * same process can tell how long the whole way took.
 */
import type { BenchClient, Target } from '../clients/client.ts';
import { connectMany } from '../clients/registry.ts';
import { Latencies, type LatencySummary } from './latencies.ts';
import { pace } from './pace.ts';
import { payload } from './payload.ts';
import { drained, type Window } from './window.ts';

export interface PacedJob extends Window {
  readonly job: 'paced';
  readonly target: Target;
  readonly topics: readonly string[];
  readonly perSecond: number;
  readonly bytes: number;
  /** Also consume what is published, from `topics[0]`. */
  readonly subscribe: boolean;
}

export interface PacedResult {
  readonly ack: LatencySummary;
  /** Publish to receipt; count 0 when nobody subscribed. */
  readonly delivery: LatencySummary;
}

export async function paced(job: PacedJob): Promise<PacedResult> {
  const [publisher, subscriber] = (await connectMany(job.target, 2)) as [BenchClient, BenchClient];
  for (const topic of job.topics) await publisher.prepare(topic);
  const ack = new Latencies();
  const delivery = new Latencies();
  let countFrom = Number.POSITIVE_INFINITY;
  let outstanding = 0;
  let undelivered = 0;
  if (job.subscribe) {
    await subscriber.subscribe(job.topics[0] as string, (value) => {
      undelivered -= 1;
      const dueAt = new DataView(value.buffer, value.byteOffset).getFloat64(0);
      if (dueAt >= countFrom) delivery.record(performance.now() - dueAt);
    });
  }
  let sent = 0;
  const template = payload(job.bytes);
  let failure: unknown = null;
  const failed = (error: unknown): void => {
    failure = error;
  };
  const send = (dueAt: number): void => {
    const value = Buffer.from(template);
    value.writeDoubleBE(dueAt);
    outstanding += 1;
    if (job.subscribe) undelivered += 1;
    publisher
      .publish(job.topics[sent % job.topics.length] as string, value)
      .then(() => {
        outstanding -= 1;
        if (dueAt >= countFrom) ack.record(performance.now() - dueAt);
      })
      .catch(failed);
    sent += 1;
  };
  await pace(job.perSecond, job.warmUpMs, send);
  countFrom = performance.now();
  await pace(job.perSecond, job.measureMs, send);
  await drained(() => failure !== null || (outstanding === 0 && undelivered <= 0));
  if (failure !== null) throw failure;
  await Promise.all([publisher.close(), subscriber.close()]);
  return { ack: ack.summary, delivery: delivery.summary };
}
