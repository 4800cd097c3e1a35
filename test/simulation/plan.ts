/**
 * A plan: everything that happens to a simulated broker from outside, as plain JSON. A run is a function of its plan
 * alone; a plan file replays exactly, whatever became of the generator that made it. Shapes only.
 *
 * Times are simulated ms since the plan began, durations ms, sizes bytes. `seed` decides what is drawn while it runs:
 * latencies, the order of timers that are due together, what a power cut keeps.
 */
import type { Config } from '../../src/config.ts';

export const PLAN_VERSION = 1;

/** Kinds of trouble; each is on in about half of the seeds. */
export const faultClasses = [
  'stops',
  'kills',
  'power',
  'drains',
  'disk-errors',
  'disk-full',
  'disk-slow',
  'disk-hangs',
  'disk-rot',
  'meta',
  'network',
  'deletes',
  'clock',
  'rude-clients',
] as const;

export type FaultClass = (typeof faultClasses)[number];

export type Range = readonly [low: number, high: number];

export interface Plan {
  readonly version: typeof PLAN_VERSION;
  readonly seed: number;
  /** For the summary; what they lead to is in `steps`. */
  readonly faults: readonly FaultClass[];
  readonly config: Partial<Config>;
  readonly disk: {
    readonly capacityBytes: number;
    /** Latency of a synced write, and of every other call that is not a read. */
    readonly writeMs: Range;
    readonly callMs: Range;
  };
  readonly network: { readonly latencyMs: Range };
  /** Between the end of a broker and the start of the next. */
  readonly restartMs: number;
  /** Made before the first step. */
  readonly topics: readonly TopicPlan[];
  readonly clients: readonly ClientPlan[];
  /** Members of groups, each a client of its own; absent where there are none. */
  readonly members?: readonly MemberPlan[];
  /** In order of `at`. */
  readonly steps: readonly Step[];
  /** When the trouble ends and everything has to come right again. */
  readonly endMs: number;
}

export interface TopicPlan {
  readonly name: string;
  readonly partitions: number;
  readonly durability: 'sync' | 'async';
}

export interface ClientPlan {
  readonly name: string;
  /** `app`: the client library. `wire`: frames by hand. */
  readonly kind: 'app' | 'wire';
  readonly producer: string;
}

export interface MemberPlan {
  readonly name: string;
  readonly group: string;
  readonly topics: readonly string[];
  /** `off`: the loop commits what it is done with, every `commitEvery` records. Else the library does. */
  readonly commit: 'off' | 'delivered' | 'acked';
  readonly commitEvery: number;
  readonly credit: number;
  /** Time spent on each of the first `slowRecords` records of an instance. */
  readonly workMs: number;
  readonly slowRecords: number;
  /** Joins under the same id when it comes back. */
  readonly lasting: boolean;
}

export type ShutdownModeName = 'graceful' | 'fast' | 'immediate';
export type DiskOpName = 'write' | 'read' | 'openRead' | 'openWrite' | 'sync' | 'syncDirectory' | 'truncate' | 'list';

export type Step = { readonly at: number } & (
  | PublishStep
  | SubscribeStep
  | { readonly do: 'describe'; readonly client: string; readonly topic: string }
  | { readonly do: 'create'; readonly client: string; readonly topic: string; readonly partitions: number }
  | { readonly do: 'delete'; readonly client: string; readonly topic: string }
  | { readonly do: 'leave'; readonly client: string; readonly subscription: string }
  | { readonly do: 'join'; readonly client: string }
  /** An app, or a member, closes and, `reopenMs` later, another instance of it starts. */
  | { readonly do: 'reopen'; readonly client: string; readonly reopenMs: number; readonly drain: boolean }
  /** A wire client sends an earlier publish again, with its old sequence; `back` counts from the newest. */
  | { readonly do: 'duplicate'; readonly client: string; readonly back: number }
  | { readonly do: 'garbage'; readonly client: string; readonly kind: GarbageKind }
  | { readonly do: 'pause'; readonly client: string; readonly forMs: number }
  | { readonly do: 'cut'; readonly client: string }
  /** Half open: silent for good on both sides; the client gives up after `forMs`. */
  | { readonly do: 'half-open'; readonly client: string; readonly forMs: number }
  | { readonly do: 'stall'; readonly client: string; readonly forMs: number }
  | { readonly do: 'slow-network'; readonly ms: number; readonly forMs: number }
  | { readonly do: 'stop'; readonly mode: ShutdownModeName; readonly deadlineMs?: number }
  | { readonly do: 'drain' }
  | { readonly do: 'cancel' }
  | { readonly do: 'kill' }
  | { readonly do: 'power-cut'; readonly keep: 'none' | 'all' | 'torn'; readonly seed: number }
  | DiskFaultStep
  | { readonly do: 'disk-full'; readonly leaveBytes: number; readonly forMs: number }
  | { readonly do: 'disk-slow'; readonly ms: number; readonly forMs: number }
  | DiskHangStep
  /** Flips a bit of an entry that later ones show to have been durable. `at…` picks it: shares of what there is. */
  | {
      readonly do: 'rot';
      readonly shard: number;
      readonly atEntry: number;
      readonly atByte: number;
      readonly bit: number;
    }
  /** Done to the meta store of a shard the next time that no broker runs. */
  | { readonly do: 'meta'; readonly shard: number; readonly fault: MetaFaultName; readonly pick: number }
  /** The next `times` calls of meta stores fail. */
  | { readonly do: 'meta-error'; readonly times: number }
  /** The wall clock is set. */
  | { readonly do: 'clock-jump'; readonly ms: number }
);

export interface PublishStep {
  readonly do: 'publish';
  readonly client: string;
  readonly topic: string;
  readonly count: number;
  readonly bytes: number;
  readonly partition?: number;
  /** First of the keys; each record takes the next. */
  readonly key?: number;
  /** Of a wire client: as text frames without a sequence. */
  readonly text?: true;
}

export interface SubscribeStep {
  readonly do: 'subscribe';
  readonly client: string;
  /** Name of the subscription; unique in the plan. */
  readonly subscription: string;
  readonly topic: string;
  readonly from: 'earliest' | 'latest' | 'committed';
  readonly group?: string;
  readonly credit: number;
  /** Records between two commits; 0 for none. */
  readonly commitEvery: number;
  /** Time spent on each record. */
  readonly workMs: number;
}

export interface DiskFaultStep {
  readonly do: 'disk-error';
  readonly code: 'EIO' | 'ENOSPC' | 'EMFILE';
  readonly op: DiskOpName;
  /** Part of the path; empty for any. */
  readonly where: string;
  readonly times: number;
  readonly forMs: number;
  /** Bytes of a failed write that reach the disk. */
  readonly landedBytes: number;
  /** What landed looks written and is never made durable. */
  readonly unsyncable: boolean;
  /** The write reaches the disk whole, `forMs` later. */
  readonly late: boolean;
}

export interface DiskHangStep {
  readonly do: 'disk-hang';
  readonly op: DiskOpName;
  readonly where: string;
  readonly times: number;
  /** Until it goes on; null: never. */
  readonly forMs: number | null;
}

export type GarbageKind = 'short-header' | 'bad-json' | 'half-batch' | 'unknown-op' | 'half-frame-and-gone';
export type MetaFaultName = 'lose-last' | 'lose-one' | 'stale' | 'flip-value' | 'flip-key' | 'lose-all';
