/**
 * The part of `/metrics` that tells of shutdowns: of the one under way, as long as there is an endpoint to ask, and of
 * the last one, as this run found it. A process that has gone can't be asked how it ended: its successor tells it.
 */
import type { ShutdownState } from './broker-status.ts';
import type { LastShutdown } from './last-shutdown.ts';
import { exitCodes, type Outcome, type Phase } from './machines/report.ts';
import type { ShutdownMode } from './machines/shutdown-mode.ts';
import type { MetricFamily, Sample } from './metric-family.ts';

export interface ShutdownMoment {
  readonly state: ShutdownState;
  readonly closed: { readonly closedGraceful: number; readonly closedForced: number };
  /** Null when the last run left no report, or this is the first. */
  readonly last: LastShutdown | null;
  /** Nothing ran on this data directory before. */
  readonly first: boolean;
}

type Family = MetricFamily<ShutdownMoment>;

/** Phases of a shutdown; those of a run are none of its. */
const phases: readonly Phase[] = ['announcing', 'draining', 'flushing', 'releasing'];
const modes: readonly ShutdownMode[] = ['graceful', 'fast', 'immediate'];
const outcomes: readonly (Outcome | 'unreported')[] = [...(Object.keys(exitCodes) as Outcome[]), 'unreported'];

function gauge(name: string, help: string, read: (moment: ShutdownMoment) => number | null): Family {
  return {
    name,
    type: 'gauge',
    help,
    labels: [],
    read: (moment) => {
      const value = read(moment);
      return value === null ? [] : [[value]];
    },
  };
}

function perShard(name: string, help: string, read: (shard: ShutdownState['shards'][number]) => number): Family {
  return {
    name,
    type: 'gauge',
    help,
    labels: ['shard'],
    read: ({ state }) => state.shards.map((shard) => [read(shard), { shard: shard.id }]),
  };
}

/** Latest last: a drain that was cancelled and came again is told once. */
function phaseSeconds({ state }: ShutdownMoment): readonly Sample[] {
  const done = state.phases.map(({ phase, durationMs }) => [phase, durationMs] as const);
  const seconds = new Map([...done, [state.phase, state.phaseMs] as const]);
  return phases.flatMap((phase): Sample[] => {
    const ms = seconds.get(phase);
    return ms === undefined ? [] : [[ms / 1000, { phase }]];
  });
}

function lastOutcome({ last, first }: ShutdownMoment): Outcome | 'unreported' | null {
  if (last !== null) return last.outcome;
  return first ? null : 'unreported';
}

function secondsOf(ms: number | null | undefined): number | null {
  return ms === null || ms === undefined ? null : ms / 1000;
}

export const shutdownFamilies: readonly Family[] = [
  gauge('sluice_shutdown_stopping', '1 once the process is to end.', ({ state }) => (state.stopping ? 1 : 0)),
  {
    name: 'sluice_shutdown_requests_total',
    type: 'counter',
    help: 'How often a stop was asked for.',
    labels: [],
    read: ({ state }) => [[state.requests ?? 0]],
  },
  {
    name: 'sluice_shutdown_mode',
    type: 'gauge',
    help: 'The hardest mode asked for: 1 for that one; none before the first request.',
    labels: ['mode'],
    read: ({ state }) => (state.mode === undefined ? [] : modes.map((mode) => [mode === state.mode ? 1 : 0, { mode }])),
  },
  gauge('sluice_shutdown_deadline_seconds', 'Time left until the end of the budget; none before a stop.', ({ state }) =>
    secondsOf(state.deadlineMs),
  ),
  gauge(
    'sluice_shutdown_eta_seconds',
    'Time that flushing what is pending takes at the measured rate; none while none was measured.',
    ({ state }) => secondsOf(state.etaMs),
  ),
  gauge(
    'sluice_shutdown_pending_bytes',
    'Accepted and not yet durable, over all shards.',
    ({ state }) => state.pendingBytes,
  ),
  {
    name: 'sluice_shutdown_phase_duration_seconds',
    type: 'gauge',
    help: 'Duration of each phase of the shutdown, of the one under way so far.',
    labels: ['phase'],
    read: phaseSeconds,
  },
  perShard('sluice_shutdown_flushed_records', 'Made durable since the drain began.', (shard) => shard.flushedRecords),
  perShard('sluice_shutdown_flushed_bytes', 'Made durable since the drain began.', (shard) => shard.flushedBytes),
  {
    name: 'sluice_shutdown_clients_closed',
    type: 'gauge',
    help: 'Clients closed by the shutdown: those that answered or may yet, and those that were cut.',
    labels: ['how'],
    read: ({ closed }) => [
      [closed.closedGraceful, { how: 'graceful' }],
      [closed.closedForced, { how: 'forced' }],
    ],
  },
  gauge('sluice_shutdown_stalled', '1 while nothing of the shutdown has moved for two seconds.', ({ state }) =>
    state.stalled ? 1 : 0,
  ),
  {
    name: 'sluice_last_shutdown_outcome',
    type: 'gauge',
    help: 'How the run before this one ended: 1 for that; unreported when it was killed.',
    labels: ['outcome'],
    read: (moment) => {
      const ended = lastOutcome(moment);
      return outcomes.map((outcome) => [outcome === ended ? 1 : 0, { outcome }]);
    },
  },
  gauge('sluice_last_shutdown_duration_seconds', 'How long the last shutdown took.', ({ last }) =>
    secondsOf(last?.durationMs),
  ),
  gauge('sluice_last_shutdown_end_time_seconds', 'When the last shutdown ended, seconds since 1970.', ({ last }) =>
    secondsOf(last?.endedAt),
  ),
  gauge(
    'sluice_last_shutdown_lost_records',
    'Acknowledged records that the last shutdown knew not to be on disk.',
    ({ last }) => last?.lost ?? null,
  ),
  gauge(
    'sluice_last_shutdown_unknown_records',
    'Records whose publishers the last shutdown told OUTCOME_UNKNOWN.',
    ({ last }) => last?.unknown ?? null,
  ),
];
