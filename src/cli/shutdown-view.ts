/**
 * An answer of `/shutdown` as far as it can be read: the broker may be of another version than this command, so every
 * field is looked at by itself, and null where it is not there.
 */
import type { JsonObject } from './admin.ts';

export interface ShardView {
  readonly id: string;
  readonly state: string;
  /** What it is at, and for how long. */
  readonly operation: string | null;
  readonly operationMs: number | null;
  readonly pendingBytes: number;
  readonly flushedBytes: number;
  readonly detail: string | null;
}

export interface ShutdownView {
  readonly phase: string | null;
  readonly phaseMs: number | null;
  readonly phaseBudgetMs: number | null;
  readonly deadlineMs: number | null;
  readonly etaMs: number | null;
  readonly pendingBytes: number | null;
  readonly sessions: number | null;
  readonly shards: readonly ShardView[];
}

/** States that a shard does not leave. */
const ends = ['released', 'failed', 'abandoned'];
/** What a shard is at while others have to do something first. */
const rests = ['serve', 'wait for the flush'];

export function shutdownView(answer: JsonObject): ShutdownView {
  const { shards } = answer;
  return {
    phase: textOf(answer['phase']),
    phaseMs: numberOf(answer['phaseMs']),
    phaseBudgetMs: numberOf(answer['phaseBudgetMs']),
    deadlineMs: numberOf(answer['deadlineMs']),
    etaMs: numberOf(answer['etaMs']),
    pendingBytes: numberOf(answer['pendingBytes']),
    sessions: numberOf(answer['sessions']),
    shards: Array.isArray(shards) ? shards.flatMap(shardView) : [],
  };
}

function shardView(shard: unknown): ShardView[] {
  if (typeof shard !== 'object' || shard === null) return [];
  const fields = shard as JsonObject;
  const id = textOf(fields['id']);
  if (id === null) return [];
  return [
    {
      id,
      state: textOf(fields['state']) ?? 'unknown',
      operation: textOf(fields['operation']),
      operationMs: numberOf(fields['operationMs']),
      pendingBytes: numberOf(fields['pendingBytes']) ?? 0,
      flushedBytes: numberOf(fields['flushedBytes']) ?? 0,
      detail: textOf(fields['detail']),
    },
  ];
}

export function hasEnded({ state }: ShardView): boolean {
  return ends.includes(state);
}

/** It has something to do that does not wait for others. */
export function isAtWork(shard: ShardView): boolean {
  return !hasEnded(shard) && shard.operation !== null && !rests.includes(shard.operation);
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
