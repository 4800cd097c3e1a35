/** Many topics: makes them, and publishes to them in turn, one record in each frame however many topics there are. */
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import type { Target } from '../clients/client.ts';
import { drained, measured, type Window } from './window.ts';
import { batchOf, Wire } from './wire.ts';

export interface CreateTopicsJob {
  readonly job: 'create-topics';
  readonly target: Target;
  readonly count: number;
}

/** Commands of a client that may wait for an answer are 1,024. */
const CREATING_MAX = 512;

export async function createTopics({ target, count }: CreateTopicsJob): Promise<{ readonly perSecond: number }> {
  const client = await connect(target.url, { WebSocket });
  const start = performance.now();
  let created = 0;
  const loop = async (): Promise<void> => {
    while (created < count) {
      created += 1;
      await client.createTopic(topicName(created - 1), { partitions: 1 });
    }
  };
  await Promise.all(Array.from({ length: Math.min(CREATING_MAX, count) }, loop));
  const perSecond = (count * 1000) / (performance.now() - start);
  await client.close();
  return { perSecond };
}

export interface SpreadJob extends Window {
  readonly job: 'spread';
  readonly target: Target;
  /** Topics that are published to, round robin. */
  readonly topics: number;
  readonly inFlight: number;
  readonly bytes: number;
}

export interface SpreadResult {
  /** Publishes of one record acknowledged per second. */
  readonly perSecond: number;
  /** The same for the first round, in which each topic gets its first record. */
  readonly firstPerSecond: number;
}

export async function spread(job: SpreadJob): Promise<SpreadResult> {
  const wire = await Wire.open(job.target.url);
  const batch = batchOf(1, job.bytes);
  let acknowledged = 0;
  let sent = 0;
  let failure: Error | null = null;
  const send = (): void => {
    wire.publish(sent, topicName(sent % job.topics), 0, batch);
    sent += 1;
  };
  wire.on(
    (publishes) => {
      acknowledged += publishes;
      for (let more = 0; more < publishes; more += 1) send();
    },
    (error) => {
      failure = error;
    },
  );
  const start = performance.now();
  for (let unanswered = 0; unanswered < job.inFlight; unanswered += 1) send();
  await drained(() => failure !== null || acknowledged >= job.topics);
  const firstPerSecond = (acknowledged * 1000) / (performance.now() - start);
  const perSecond = await measured(job, () => acknowledged);
  if (failure !== null) throw failure as Error;
  wire.close();
  return { perSecond, firstPerSecond };
}

function topicName(number: number): string {
  return `topic-${number}`;
}
