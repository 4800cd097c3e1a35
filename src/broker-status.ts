/** What a running broker shows: the answers of `/status`, `/shutdown` and `/readyz`. Reads only. */
import type { Actor } from 'xstate';
import type { Assembly } from './assembly.ts';
import { shardId } from './machines/shard.ts';
import type { supervisorMachine } from './machines/supervisor.ts';
import type { DataDirectory } from './storage/data-directory.ts';

export interface RunningBroker {
  readonly assembly: Assembly;
  readonly supervisor: Actor<typeof supervisorMachine>;
  readonly data: DataDirectory;
}

type Shown = Readonly<Record<string, unknown>>;

export function statusOf({ assembly, supervisor, data }: RunningBroker): Shown {
  const { context } = supervisor.getSnapshot();
  return {
    phase: context.phase,
    pid: process.pid,
    data: data.path,
    port: assembly.gateway.port,
    sessions: assembly.sessions.size,
    topics: assembly.catalogue.size,
    inFlightBytes: assembly.meter.bytes,
    shards: assembly.runtimes.map((runtime) => {
      const id = shardId(runtime.shard);
      const child = context.children[id];
      return { id, state: child?.state ?? 'starting', ...runtime.figures, detail: child?.detail ?? null };
    }),
  };
}

/** `now`: monotonic ms. */
export function shutdownStateOf({ assembly, supervisor }: RunningBroker, now: number): Shown {
  const { phase, stopping, reason, mode, requests, plan, phases, children } = supervisor.getSnapshot().context;
  return {
    phase,
    stopping,
    ...(plan === null ? {} : { reason, mode, requests, deadlineMs: Math.max(Math.round(plan.reportUntil - now), 0) }),
    pendingBytes: assembly.load().pendingBytes,
    phases,
    children: Object.values(children).map(({ id, kind, state, detail }) => ({ id, kind, state, detail })),
  };
}

export function readinessOf({ supervisor }: RunningBroker): Shown {
  const { phase, children } = supervisor.getSnapshot().context;
  const failed = Object.values(children).filter(({ state }) => state === 'failed' || state === 'abandoned');
  return {
    ready: phase === 'running',
    phase,
    // Part of the topics is better than none: it stays ready, and says what is missing.
    ...(failed.length === 0 ? {} : { degraded: failed.map(({ id, detail }) => `${id}: ${detail}`) }),
  };
}
