/** Fills a Sluice topic with batches of 250 × 1000 B, the size that its client makes under load, until it holds so many bytes of values. Not measured. */

import type { Target } from '../clients/client.ts';
import { connectTo } from '../clients/registry.ts';
import { batchOf, Wire } from './wire.ts';

export interface FillJob {
  readonly job: 'fill';
  readonly target: Target;
  readonly topic: string;
  readonly partitions: number;
  readonly bytes: number;
}

const RECORDS = 250;
const RECORD_BYTES = 1000;
const UNANSWERED = 8;

export async function fill(job: FillJob): Promise<{ readonly records: number }> {
  const client = await connectTo(job.target);
  await client.prepare(job.topic, job.partitions);
  await client.close();
  const batch = batchOf(RECORDS, RECORD_BYTES);
  const batches = Math.ceil(job.bytes / (RECORDS * RECORD_BYTES));
  const wires = await Promise.all(Array.from({ length: job.partitions }, () => Wire.open(job.target.url)));
  let sent = 0;
  let answered = 0;
  await new Promise<void>((resolve, reject) => {
    wires.forEach((wire, partition) => {
      const send = (): void => {
        if (sent === batches) return;
        sent += 1;
        wire.publish(sent, job.topic, partition, batch);
      };
      wire.on((publishes) => {
        answered += publishes;
        if (answered === batches) resolve();
        for (let more = 0; more < publishes; more += 1) send();
      }, reject);
      for (let unanswered = 0; unanswered < UNANSWERED; unanswered += 1) send();
    });
  });
  for (const wire of wires) wire.close();
  return { records: batches * RECORDS };
}
