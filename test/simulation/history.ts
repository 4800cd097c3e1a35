/**
 * What happened in a run, in the order in which it happened: what clients sent, were told and were given, what became
 * of each broker, what the disk took and what it held at the end. The checkers read nothing else, and the hash of a run
 * is that of its history. `t` is simulated ms.
 *
 * Records are known by ids that are unique in a run (`payload.ts`).
 */
import { createHash } from 'node:crypto';

export type HistoryEvent = { readonly t: number } & (
  | ClientEvent
  | BrokerEvent
  | WireEvent
  | { readonly e: 'step'; readonly index: number }
  /** From here on nothing goes wrong from outside. */
  | { readonly e: 'calm' }
  | ContentEvent
  /** Something that must never be: an error that nobody handled, a defect that the broker logged. */
  | { readonly e: 'defect'; readonly text: string }
  /** It did not come right within the time it has; what was still missing. */
  | { readonly e: 'stuck'; readonly text: string }
);

export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly epoch: number;
}

export type ClientEvent =
  /** Handed to the client library, or put on the wire. `again` where it was sent before. */
  | {
      readonly e: 'send';
      readonly client: string;
      /** Number of the sending within the run, told again by its answer. */
      readonly sending: number;
      readonly topic: string;
      readonly ids: readonly string[];
      /** Null where broker or library choose. */
      readonly partition: number | null;
      readonly again: boolean;
      /** Of the connection or instance that sent it: order counts within one. */
      readonly lane: string;
      readonly producer: string | null;
      readonly sequence: number | null;
    }
  | {
      readonly e: 'stored';
      readonly client: string;
      readonly sending: number;
      readonly topic: string;
      /** Each with its place, in the order sent. */
      readonly places: readonly {
        readonly id: string;
        readonly partition: number;
        readonly offset: number;
        readonly epoch: number;
      }[];
      readonly duplicate: boolean;
    }
  | {
      readonly e: 'refused';
      readonly client: string;
      readonly sending: number;
      readonly topic: string;
      readonly code: string;
    }
  /** A wire client's connection: when it heard of the end, and how it ended. */
  | { readonly e: 'connected'; readonly client: string; readonly lane: string }
  | { readonly e: 'goaway'; readonly client: string; readonly lane: string; readonly stage: string }
  | { readonly e: 'disconnected'; readonly client: string; readonly lane: string; readonly code: number }
  | {
      readonly e: 'subscribe';
      readonly client: string;
      readonly subscription: string;
      readonly topic: string;
      readonly from: string;
      readonly group: string | null;
    }
  /** Where it begins. */
  | {
      readonly e: 'begun';
      readonly subscription: string;
      readonly topic: string;
      readonly positions: readonly Omit<Place, 'topic'>[];
    }
  /** `id` is null for a value that is not whole. */
  | {
      readonly e: 'given';
      readonly subscription: string;
      readonly place: Place;
      readonly id: string | null;
      readonly redelivered: boolean;
    }
  | {
      readonly e: 'gap';
      readonly subscription: string;
      readonly topic: string;
      readonly partition: number;
      readonly reason: string;
      readonly from: number;
      readonly to: number;
      readonly epoch: number;
      readonly offset: number;
    }
  | { readonly e: 'unsubscribed'; readonly subscription: string; readonly code: string | null }
  | {
      readonly e: 'commit';
      readonly subscription: string;
      readonly commit: number;
      readonly group: string;
      readonly topic: string;
      readonly partition: number;
      readonly offset: number;
    }
  | {
      readonly e: 'committed';
      readonly subscription: string;
      readonly commit: number;
      readonly group: string;
      readonly topic: string;
      readonly partition: number;
      readonly offset: number;
    }
  | { readonly e: 'commit-failed'; readonly subscription: string; readonly commit: number; readonly code: string }
  /** A member was told that a partition is its own. */
  | {
      readonly e: 'owned';
      readonly group: string;
      readonly member: string;
      readonly topic: string;
      readonly partition: number;
      readonly generation: number;
      readonly offset: number;
    }
  | {
      readonly e: 'member-given';
      readonly group: string;
      readonly member: string;
      readonly place: Place;
      readonly id: string | null;
    }
  | {
      readonly e: 'member-commit';
      readonly group: string;
      readonly member: string;
      readonly commit: number;
      readonly topic: string;
      readonly partition: number;
      readonly generation: number;
      readonly offset: number;
    }
  | { readonly e: 'member-committed'; readonly commit: number; readonly offset: number }
  | { readonly e: 'member-commit-failed'; readonly commit: number; readonly code: string }
  | { readonly e: 'member-left'; readonly group: string; readonly member: string; readonly code: string | null }
  | {
      readonly e: 'ask';
      readonly client: string;
      readonly ask: number;
      readonly op: 'describe' | 'create' | 'delete';
      readonly topic: string;
    }
  | {
      readonly e: 'answer';
      readonly client: string;
      readonly ask: number;
      readonly op: 'describe' | 'create' | 'delete';
      readonly topic: string;
      readonly code: string | null;
      readonly state: readonly PartitionState[];
    };

export interface PartitionState {
  readonly partition: number;
  readonly epoch: number;
  readonly start: number;
  readonly highWatermark: number;
}

export type BrokerEvent =
  | { readonly e: 'start'; readonly broker: number; readonly shards: number; readonly budgetMs: number }
  | { readonly e: 'serving'; readonly broker: number }
  | { readonly e: 'start-failed'; readonly broker: number; readonly code: string; readonly text: string }
  | { readonly e: 'phase'; readonly broker: number; readonly phase: string }
  | {
      readonly e: 'child';
      readonly broker: number;
      readonly child: string;
      readonly state: string;
      readonly detail: string;
    }
  | { readonly e: 'stop'; readonly broker: number; readonly mode: string; readonly deadlineMs: number | null }
  | { readonly e: 'drain'; readonly broker: number }
  | { readonly e: 'cancel'; readonly broker: number; readonly done: boolean }
  | { readonly e: 'ended'; readonly broker: number; readonly report: ReportSummary; readonly left: Leftovers }
  | {
      readonly e: 'killed';
      readonly broker: number;
      readonly how: 'kill' | 'power-cut' | 'watchdog';
      readonly hungCalls: number;
    }
  /** A write to a shard's log began, and is durable. */
  | { readonly e: 'write'; readonly broker: number; readonly shard: number; readonly ids: readonly string[] }
  | { readonly e: 'durable'; readonly broker: number; readonly shard: number; readonly ids: readonly string[] }
  /** Bytes in memory that are under a cap, as the broker shows them. */
  | {
      readonly e: 'memory';
      readonly broker: number;
      readonly what: string;
      readonly bytes: number;
      readonly capBytes: number;
    };

/** What a broker hears and says on a connection, in its own order; `link` is unique in a run. */
export type WireEvent =
  | { readonly e: 'heard'; readonly broker: number; readonly link: number; readonly what: Heard }
  | { readonly e: 'said'; readonly broker: number; readonly link: number; readonly what: Said }
  /** `code` is null where it cuts the connection. */
  | { readonly e: 'closing'; readonly broker: number; readonly link: number; readonly code: number | null }
  | { readonly e: 'gone'; readonly broker: number; readonly link: number };

export type Heard =
  | {
      readonly op: 'subscribe';
      readonly id: number;
      readonly topic: string;
      readonly group: string | null;
      readonly credit: number;
    }
  | { readonly op: 'credit'; readonly subscription: number; readonly records: number }
  /** One with a sequence. */
  | {
      readonly op: 'publish';
      readonly id: number;
      readonly topic: string;
      readonly partition: number;
      readonly sequence: number;
      readonly count: number;
    };

export type Said =
  | {
      readonly op: 'subscribed';
      readonly id: number;
      readonly subscription: number;
      readonly positions: readonly { readonly partition: number; readonly offset: number }[];
    }
  | {
      readonly op: 'records';
      readonly subscription: number;
      readonly partition: number;
      readonly epoch: number;
      /** First offset and count of each; a record each where it was text. */
      readonly batches: readonly (readonly [base: number, count: number])[];
      readonly redeliveredBefore: number | null;
    }
  | { readonly op: 'gap'; readonly subscription: number; readonly partition: number; readonly offset: number }
  | {
      readonly op: 'goaway';
      readonly stage: string;
      readonly lastAccepted: readonly {
        readonly topic: string;
        readonly partition: number;
        readonly sequence: number;
      }[];
    }
  /** Of the publishes with these ids. */
  | { readonly op: 'published'; readonly ids: readonly number[] }
  | { readonly op: 'other'; readonly name: string; readonly id: number | string | null };

/** What of a shutdown report counts. */
export interface ReportSummary {
  readonly outcome: string;
  readonly exitCode: number;
  readonly mode: string;
  readonly durationMs: number;
  readonly budgetMs: number;
  readonly lost: number;
  readonly unknown: number;
  readonly children: readonly { readonly id: string; readonly state: string }[];
  readonly unaccounted: readonly string[];
}

/** What a broker that said it ended left in its process. */
export interface Leftovers {
  readonly files: number;
  readonly timers: number;
  readonly locks: number;
  /** Shards that it released, having served, and whose log does not end with the mark of a clean shutdown. */
  readonly unmarked: readonly number[];
}

/** What the disk holds, read by the independent reader after the last, clean stop. */
export interface ContentEvent {
  readonly e: 'content';
  readonly topics: readonly {
    readonly topic: string;
    readonly durability: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly epoch: number;
      /** By offset. */
      readonly records: readonly {
        readonly id: string | null;
        readonly producer: string | null;
        readonly sequence: number | null;
        readonly epoch: number;
      }[];
    }[];
  }[];
  /** `topic/partition/group` → the next to read. */
  readonly commits: readonly (readonly [string, number])[];
  readonly faults: readonly string[];
  /** Shards whose last entry is the mark of a clean shutdown. */
  readonly clean: readonly boolean[];
}

export class History {
  readonly events: HistoryEvent[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  add(event: WithoutTime<HistoryEvent>): void {
    this.events.push({ t: Math.round(this.#now() * 1000) / 1000, ...event } as HistoryEvent);
  }

  /** 16 hexadecimal digits. */
  hash(): string {
    const hash = createHash('sha256');
    for (const event of this.events) hash.update(JSON.stringify(event)).update('\n');
    return hash.digest('hex').slice(0, 16);
  }
}

type WithoutTime<E> = E extends unknown ? Omit<E, 't'> : never;

export type Happened<E extends HistoryEvent['e']> = Extract<HistoryEvent, { readonly e: E }>;
