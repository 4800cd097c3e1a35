/**
 * The shape of `iggy-bench`: producers that each send a batch, wait until it is acknowledged, and send the next.
 * Through a client library a batch is so many publishes in one turn; as frames it is one frame, made beforehand.
 */

import type { BenchClient, Target } from '../clients/client.ts';
import { connectMany } from '../clients/registry.ts';
import { payload } from './payload.ts';
import { measured, type Window } from './window.ts';
import { batchOf, Wire } from './wire.ts';

export interface BatchesJob extends Window {
  readonly job: 'batches';
  readonly target: Target;
  readonly by: 'client' | 'frames';
  readonly producers: number;
  readonly records: number;
  readonly bytes: number;
}

/** Bytes of values acknowledged per second. */
export async function batches(job: BatchesJob): Promise<{ readonly perSecond: number }> {
  let acknowledged = 0;
  const state: { failure: unknown; stopped: boolean } = { failure: null, stopped: false };
  const senders = await (job.by === 'client' ? byClient(job) : byFrames(job));
  const loop = async (send: () => Promise<unknown>): Promise<void> => {
    while (!state.stopped) {
      await send();
      acknowledged += job.records * job.bytes;
    }
  };
  for (const send of senders.sends) {
    loop(send).catch((error: unknown) => {
      if (!state.stopped) state.failure = error;
    });
  }
  const perSecond = await measured(job, () => acknowledged);
  state.stopped = true;
  if (state.failure !== null) throw state.failure;
  await senders.close();
  return { perSecond };
}

interface Senders {
  readonly sends: readonly (() => Promise<unknown>)[];
  close(): Promise<unknown>;
}

async function byClient({ target, producers, records, bytes }: BatchesJob): Promise<Senders> {
  const clients = await connectMany(target, producers);
  await (clients[0] as BenchClient).prepare('bench', producers);
  // A bare frame stands for the whole batch: that is what it is the ceiling of.
  const whole = target.client === 'websocket';
  const value = payload(whole ? records * bytes : bytes);
  const publishes = whole ? 1 : records;
  return {
    sends: clients.map(
      (client) => () => Promise.all(Array.from({ length: publishes }, () => client.publish('bench', value))),
    ),
    close: () => Promise.all(clients.map((client) => client.close())),
  };
}

async function byFrames({ target, producers, records, bytes }: BatchesJob): Promise<Senders> {
  const [maker] = (await connectMany(target, 1)) as [BenchClient];
  await maker.prepare('bench', producers);
  const batch = batchOf(records, bytes);
  const wires = await Promise.all(Array.from({ length: producers }, () => Wire.open(target.url)));
  return {
    sends: wires.map(
      (wire, partition) => () =>
        new Promise<void>((resolve, reject) => {
          wire.on(() => resolve(), reject);
          wire.publish(1, 'bench', partition, batch);
        }),
    ),
    close: async () => {
      for (const wire of wires) wire.close();
      await maker.close();
    },
  };
}
