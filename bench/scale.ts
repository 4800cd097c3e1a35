import type { Window } from './jobs/window.ts';

/** How large a run is. The shape of the work is the same in all; the figures of the docs are those of `full`. */
export interface Scale {
  readonly name: 'full' | 'quick' | 'smoke';
  /** Measurements of each system on each workload. */
  readonly runs: number;
  /** Of what counts. */
  readonly throughput: Window;
  /** Of what needs many samples for a p99. */
  readonly latency: Window;
  /** Wait before memory is looked at: engines collect what a burst left behind when they like. */
  readonly settleMs: number;
  readonly subscribers: number;
  readonly idleConnections: number;
  readonly topics: number;
  readonly replayBytes: number;
  /** Size of the larger log; the smaller one has a tenth. */
  readonly logBytes: number;
}

const MB = 1_000_000;

export const scales: Readonly<Record<Scale['name'], Scale>> = {
  full: {
    name: 'full',
    runs: 3,
    throughput: { warmUpMs: 1000, measureMs: 2000 },
    latency: { warmUpMs: 1000, measureMs: 4000 },
    settleMs: 2000,
    subscribers: 1000,
    idleConnections: 10_000,
    topics: 100_000,
    replayBytes: 1000 * MB,
    logBytes: 4000 * MB,
  },
  quick: {
    name: 'quick',
    runs: 1,
    throughput: { warmUpMs: 300, measureMs: 400 },
    latency: { warmUpMs: 300, measureMs: 600 },
    settleMs: 500,
    subscribers: 200,
    idleConnections: 1000,
    topics: 5000,
    replayBytes: 128 * MB,
    logBytes: 200 * MB,
  },
  /** Whether it works at all, for tests. */
  smoke: {
    name: 'smoke',
    runs: 1,
    throughput: { warmUpMs: 20, measureMs: 100 },
    latency: { warmUpMs: 20, measureMs: 100 },
    settleMs: 10,
    subscribers: 10,
    idleConnections: 20,
    topics: 50,
    replayBytes: 4 * MB,
    logBytes: 10 * MB,
  },
};
