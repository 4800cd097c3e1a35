/** Figures of the last minutes, one sample for each `facts` frame: what sparklines are drawn from. Bounded. */
import type { FactsFrame } from '../inspection/frames.ts';
import type { ShardStatus, Shutdown, Status } from './facts.ts';

/** Five minutes at one a second. */
export const SAMPLES_MAX = 300;
/** Facts closer together than this are one sample: rates over a moment jump, ms. */
const SAMPLE_MS_MIN = 800;

export interface ShardSample {
  readonly recordsPerSecond: number;
  /** Records of one synced write; null without one. */
  readonly groupSize: number | null;
  readonly queueBytes: number;
}

export interface Sample {
  readonly at: number;
  readonly recordsPerSecond: number;
  readonly logBytesPerSecond: number;
  readonly groupSize: number | null;
  readonly queueBytes: number;
  readonly inFlightBytes: number;
  readonly pendingBytes: number;
  readonly sessions: number;
  readonly eventsPerSecond: number;
  readonly ackMs: number | null;
  readonly shards: ReadonlyMap<string, ShardSample>;
}

export class History {
  samples: Sample[] = [];
  #before: { readonly at: number; readonly shards: readonly ShardStatus[] } | null = null;

  add({ at, eventsPerSecond }: FactsFrame, status: Status | null, shutdown: Shutdown | null): void {
    const before = this.#before;
    if (before !== null && at - before.at < SAMPLE_MS_MIN) return;
    const shards = status?.shards ?? [];
    this.#before = { at, shards };
    if (before === null) return;
    const seconds = (at - before.at) / 1000;
    const rates = new Map<string, ShardSample>();
    let records = 0;
    let groups = 0;
    let logBytes = 0;
    for (const shard of shards) {
      const was = before.shards.find(({ id }) => id === shard.id);
      const more = grown(shard.records, was?.records);
      const writes = grown(shard.groups, was?.groups);
      records += more;
      groups += writes;
      logBytes += grown(shard.logBytes, was?.logBytes);
      rates.set(shard.id, {
        recordsPerSecond: more / seconds,
        groupSize: writes === 0 ? null : more / writes,
        queueBytes: shard.queueBytes ?? 0,
      });
    }
    const acks = shards.flatMap(({ ackMs }) => (ackMs === null ? [] : [ackMs]));
    this.samples.push({
      at,
      recordsPerSecond: records / seconds,
      logBytesPerSecond: logBytes / seconds,
      groupSize: groups === 0 ? null : records / groups,
      queueBytes: shards.reduce((sum, { queueBytes }) => sum + (queueBytes ?? 0), 0),
      inFlightBytes: status?.inFlightBytes ?? 0,
      pendingBytes: shutdown?.pendingBytes ?? 0,
      sessions: status?.sessions ?? shutdown?.sessions ?? 0,
      eventsPerSecond,
      ackMs: acks.length === 0 ? null : Math.max(...acks),
      shards: rates,
    });
    if (this.samples.length > SAMPLES_MAX) this.samples.splice(0, this.samples.length - SAMPLES_MAX);
  }

  get last(): Sample | null {
    return this.samples.at(-1) ?? null;
  }

  copy(): History {
    const history = new History();
    history.samples = [...this.samples];
    history.#before = this.#before;
    return history;
  }
}

/** Counters begin anew with another run, and a log becomes shorter when it is cleaned up: neither is a rate. */
function grown(now: number | null, before: number | null | undefined): number {
  return Math.max((now ?? 0) - (before ?? now ?? 0), 0);
}
