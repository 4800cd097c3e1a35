/** What a running broker shows: the answers of `/status`, `/shutdown` and `/readyz`. Reads only. */
import type { Actor, ActorRefFrom } from 'xstate';
import type { Assembly } from './assembly.ts';
import { flushEtaMs } from './machines/budget.ts';
import { ended, shardsOf } from './machines/children.ts';
import type { ChildRecord, ChildState, Phase, PhaseRecord } from './machines/report.ts';
import { shardId, type shardMachine } from './machines/shard.ts';
import type { ShutdownMode } from './machines/shutdown-mode.ts';
import { closedPhases } from './machines/shutdown-report.ts';
import type { supervisorMachine } from './machines/supervisor.ts';
import type { DataDirectory } from './storage/data-directory.ts';

export interface RunningBroker {
  readonly assembly: Assembly;
  readonly supervisor: Actor<typeof supervisorMachine>;
  readonly data: DataDirectory;
}

type Shown = Readonly<Record<string, unknown>>;

/** The answer of `/shutdown`; `docs/shutdown.md` explains every field. */
export interface ShutdownState {
  readonly phase: Phase;
  readonly stopping: boolean;
  readonly phaseMs: number;
  /** What the phase has in all; null for one without a deadline. */
  readonly phaseBudgetMs: number | null;
  readonly reason?: string;
  readonly mode?: ShutdownMode;
  readonly requests?: number;
  readonly deadlineMs?: number;
  readonly etaMs: number | null;
  readonly pendingBytes: number;
  /** Nothing has moved for two seconds. */
  readonly stalled: boolean;
  readonly sessions: number;
  readonly phases: readonly PhaseRecord[];
  readonly shards: readonly ShardProgress[];
  readonly children: readonly Pick<ChildRecord, 'id' | 'kind' | 'state' | 'detail'>[];
}

export interface ShardProgress {
  readonly id: string;
  readonly state: ChildState;
  readonly operation: string | null;
  readonly operationMs: number | null;
  readonly pendingRecords: number;
  readonly pendingBytes: number;
  readonly flushedRecords: number;
  readonly flushedBytes: number;
  readonly writeAgeMs: number | null;
  readonly detail: string | null;
}

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
    groups: groupsOf(assembly),
    shards: assembly.runtimes.map((runtime) => {
      const id = shardId(runtime.shard);
      const child = context.children[id];
      return { id, state: child?.state ?? 'starting', ...runtime.figures, detail: child?.detail ?? null };
    }),
  };
}

function groupsOf({ groups }: Assembly): Shown {
  const list = groups.list();
  const members = list.flatMap((group) => group.members);
  return {
    known: list.length,
    withMembers: list.filter((group) => group.members.length > 0).length,
    settled: list.filter(({ state }) => state === 'stable').length,
    members: members.length,
    membersPresent: members.filter(({ present }) => present).length,
    ...groups.counts,
  };
}

/** Before anything runs. */
export function notRunning(stopping: boolean, phaseMs: number): ShutdownState {
  const nothing = { etaMs: null, pendingBytes: 0, stalled: false, sessions: 0, phases: [], shards: [], children: [] };
  return { phase: 'starting', stopping, phaseMs: Math.round(phaseMs), phaseBudgetMs: null, ...nothing };
}

/** `now`: monotonic ms. */
export function shutdownStateOf({ assembly, supervisor }: RunningBroker, now: number, stalled: boolean): ShutdownState {
  const { context } = supervisor.getSnapshot();
  const { phase, phaseSince, stopping, reason, mode, requests, plan, phases, children } = context;
  const load = assembly.load();
  const etaMs = flushEtaMs(load);
  return {
    phase,
    stopping,
    phaseMs: Math.round(now - phaseSince),
    phaseBudgetMs: closedPhases(context).at(-1)?.budgetMs ?? null,
    ...(plan === null ? {} : { reason, mode, requests, deadlineMs: Math.max(Math.round(plan.reportUntil - now), 0) }),
    // Null while nothing was measured: an estimate out of nothing would be a promise out of nothing.
    etaMs: etaMs === null || !Number.isFinite(etaMs) ? null : Math.round(etaMs),
    pendingBytes: load.pendingBytes,
    stalled,
    sessions: assembly.sessions.size,
    phases,
    shards: assembly.runtimes.map((runtime) => {
      const id = shardId(runtime.shard);
      const { pendingRecords, queueBytes, writeAgeMs } = runtime.pending;
      const { flushedRecords, flushedBytes } = runtime.counts;
      const child = children[id];
      const operating = shardOperation(supervisor, id, now);
      const progress = { pendingRecords, pendingBytes: queueBytes, flushedRecords, flushedBytes, writeAgeMs };
      return { id, state: child?.state ?? 'starting', ...operating, ...progress, detail: child?.detail ?? null };
    }),
    children: Object.values(children).map(({ id, kind, state, detail }) => ({ id, kind, state, detail })),
  };
}

/** What a shard is at, by its own chart; null once it has ended. */
function shardOperation(
  supervisor: RunningBroker['supervisor'],
  id: string,
  now: number,
): Pick<ShardProgress, 'operation' | 'operationMs'> {
  const shard = supervisor.system.get(id) as ActorRefFrom<typeof shardMachine> | undefined;
  if (shard === undefined) return { operation: null, operationMs: null };
  const { operation, operationSince } = shard.getSnapshot().context;
  return { operation, operationMs: Math.round(now - operationSince) };
}

/** Clients may be sent here: it runs, and not every shard has failed. */
export function isReady({ supervisor }: RunningBroker): boolean {
  const snapshot = supervisor.getSnapshot();
  const shards = shardsOf(snapshot.context);
  return snapshot.hasTag('ready') && (shards.length === 0 || shards.some(({ state }) => !ended.includes(state)));
}

export function readinessOf(running: RunningBroker): Shown {
  const { phase, children } = running.supervisor.getSnapshot().context;
  const failed = Object.values(children).filter(({ state }) => state === 'failed' || state === 'abandoned');
  return {
    ready: isReady(running),
    phase,
    // Part of the topics is better than none: it stays ready, and says what is missing.
    ...(failed.length === 0 ? {} : { degraded: failed.map(({ id, detail }) => `${id}: ${detail}`) }),
  };
}
