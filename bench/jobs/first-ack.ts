/** Tries to publish to a broker that is about to come back, and says when it was first acknowledged. */
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import type { Target } from '../clients/client.ts';

export interface FirstAckJob {
  readonly job: 'first-ack';
  readonly target: Target;
  readonly topic: string;
}

/** `at`: nanoseconds of the system's monotonic clock, which all processes share. */
export async function firstAck({ target, topic }: FirstAckJob): Promise<{ readonly at: string }> {
  const client = await connect(target.url, { WebSocket, backoff: { minMs: 2, maxMs: 5 } });
  await client.publish(topic, { value: 'first' });
  const at = String(process.hrtime.bigint());
  await client.close();
  return { at };
}
