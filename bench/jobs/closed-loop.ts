/** Throughput of awaited publishes: each of many connections keeps so many unanswered, and an answer starts the next. */

import type { BenchClient, Target } from '../clients/client.ts';
import { connectMany } from '../clients/registry.ts';
import { payload } from './payload.ts';
import { measured, type Window } from './window.ts';

export interface ClosedLoopJob extends Window {
  readonly job: 'closed-loop';
  readonly target: Target;
  readonly connections: number;
  readonly inFlight: number;
  readonly bytes: number;
}

/** Records acknowledged per second. */
export async function closedLoop(job: ClosedLoopJob): Promise<{ readonly perSecond: number }> {
  const clients = await connectMany(job.target, job.connections);
  await (clients[0] as BenchClient).prepare('bench');
  const value = payload(job.bytes);
  let acknowledged = 0;
  let stopped = false;
  let failure: unknown = null;

  const loop = (client: BenchClient): void => {
    client.publish('bench', value).then(
      () => {
        acknowledged += 1;
        if (!stopped) loop(client);
      },
      (error: unknown) => {
        if (!stopped) failure = error;
      },
    );
  };
  for (const client of clients) {
    for (let unanswered = 0; unanswered < job.inFlight; unanswered += 1) loop(client);
  }
  const perSecond = await measured(job, () => acknowledged);
  stopped = true;
  if (failure !== null) throw failure;
  await Promise.all(clients.map((client) => client.close()));
  return { perSecond };
}
