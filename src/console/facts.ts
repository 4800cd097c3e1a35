/**
 * The answers of `/status` and `/shutdown`, as far as they read: the broker, or the recording, may be of another version
 * than this page, so every field is looked at by itself, and null where it is not there.
 */
import type { Json } from '../inspection/frames.ts';

export interface ShardStatus {
  readonly id: string;
  readonly state: string;
  readonly detail: string | null;
  readonly queueBytes: number | null;
  readonly logBytes: number | null;
  /** Written since the start. */
  readonly records: number | null;
  /** Synced writes since the start. */
  readonly groups: number | null;
  readonly partitions: number | null;
  /** Age of the write under way, ms. */
  readonly writeAgeMs: number | null;
  readonly flushBytesPerSecond: number | null;
  readonly diskFull: boolean;
  readonly diskFreeBytes: number | null;
  /** From admission to ack, ms, at the 99th percentile. */
  readonly ackMs: number | null;
}

export interface LastShutdown {
  readonly outcome: string;
  readonly reason: string | null;
  readonly exitCode: number | null;
  readonly durationMs: number | null;
  readonly endedAt: number | null;
  readonly lost: number;
  readonly unknown: number;
}

export interface Status {
  readonly phase: string;
  readonly version: string | null;
  readonly uptimeMs: number | null;
  /** Of the client endpoint. */
  readonly port: number | null;
  readonly data: string | null;
  readonly sessions: number | null;
  readonly topics: number | null;
  readonly inFlightBytes: number | null;
  readonly shards: readonly ShardStatus[];
  readonly lastShutdown: LastShutdown | null;
}

export interface ShardProgress {
  readonly id: string;
  readonly state: string;
  readonly operation: string | null;
  readonly operationMs: number | null;
  readonly pendingRecords: number;
  readonly pendingBytes: number;
  readonly flushedRecords: number;
  readonly flushedBytes: number;
  readonly writeAgeMs: number | null;
  readonly detail: string | null;
}

export interface ChildProgress {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly detail: string | null;
}

export interface PastPhase {
  readonly phase: string;
  readonly durationMs: number;
  readonly budgetMs: number | null;
}

export interface Shutdown {
  readonly phase: string;
  readonly stopping: boolean;
  readonly phaseMs: number;
  readonly phaseBudgetMs: number | null;
  readonly reason: string | null;
  readonly mode: string | null;
  readonly requests: number | null;
  /** What is left until the report, ms; null while no shutdown was asked for. */
  readonly deadlineMs: number | null;
  readonly etaMs: number | null;
  readonly pendingBytes: number;
  readonly stalled: boolean;
  readonly sessions: number;
  readonly phases: readonly PastPhase[];
  readonly shards: readonly ShardProgress[];
  readonly children: readonly ChildProgress[];
}

type Fields = { readonly [key: string]: Json };

export function statusOf(json: Json): Status | null {
  const fields = fieldsOf(json);
  if (fields === null) return null;
  return {
    phase: text(fields['phase']) ?? 'unknown',
    version: text(fields['version']),
    uptimeMs: number(fields['uptimeMs']),
    port: number(fields['port']),
    data: text(fields['data']),
    sessions: number(fields['sessions']),
    topics: number(fields['topics']),
    inFlightBytes: number(fields['inFlightBytes']),
    shards: listOf(fields['shards']).map((shard) => ({
      id: text(shard['id']) ?? '?',
      state: text(shard['state']) ?? 'unknown',
      detail: text(shard['detail']),
      queueBytes: number(shard['queueBytes']),
      logBytes: number(shard['logBytes']),
      records: number(shard['records']),
      groups: number(shard['groups']),
      partitions: number(shard['partitions']),
      writeAgeMs: number(shard['writeAgeMs']),
      flushBytesPerSecond: number(shard['flushBytesPerSecond']),
      diskFull: shard['diskFull'] === true,
      diskFreeBytes: number(shard['diskFreeBytes']),
      ackMs: number(shard['ackP99Ms']) ?? number(shard['ackMs']),
    })),
    lastShutdown: lastShutdownOf(fields['lastShutdown']),
  };
}

export function shutdownOf(json: Json): Shutdown | null {
  const fields = fieldsOf(json);
  if (fields === null) return null;
  return {
    phase: text(fields['phase']) ?? 'unknown',
    stopping: fields['stopping'] === true,
    phaseMs: number(fields['phaseMs']) ?? 0,
    phaseBudgetMs: number(fields['phaseBudgetMs']),
    reason: text(fields['reason']),
    mode: text(fields['mode']),
    requests: number(fields['requests']),
    deadlineMs: number(fields['deadlineMs']),
    etaMs: number(fields['etaMs']),
    pendingBytes: number(fields['pendingBytes']) ?? 0,
    stalled: fields['stalled'] === true,
    sessions: number(fields['sessions']) ?? 0,
    phases: listOf(fields['phases']).map((phase) => ({
      phase: text(phase['phase']) ?? '?',
      durationMs: number(phase['durationMs']) ?? 0,
      budgetMs: number(phase['budgetMs']),
    })),
    shards: listOf(fields['shards']).map((shard) => ({
      id: text(shard['id']) ?? '?',
      state: text(shard['state']) ?? 'unknown',
      operation: text(shard['operation']),
      operationMs: number(shard['operationMs']),
      pendingRecords: number(shard['pendingRecords']) ?? 0,
      pendingBytes: number(shard['pendingBytes']) ?? 0,
      flushedRecords: number(shard['flushedRecords']) ?? 0,
      flushedBytes: number(shard['flushedBytes']) ?? 0,
      writeAgeMs: number(shard['writeAgeMs']),
      detail: text(shard['detail']),
    })),
    children: listOf(fields['children']).map((child) => ({
      id: text(child['id']) ?? '?',
      kind: text(child['kind']) ?? 'other',
      state: text(child['state']) ?? 'unknown',
      detail: text(child['detail']),
    })),
  };
}

function lastShutdownOf(json: Json | undefined): LastShutdown | null {
  const fields = fieldsOf(json);
  if (fields === null) return null;
  return {
    outcome: text(fields['outcome']) ?? 'unknown',
    reason: text(fields['reason']),
    exitCode: number(fields['exitCode']),
    durationMs: number(fields['durationMs']),
    endedAt: number(fields['endedAt']),
    lost: number(fields['lost']) ?? 0,
    unknown: number(fields['unknown']) ?? 0,
  };
}

/** States that a child does not leave. */
export function hasEnded(state: string): boolean {
  return state === 'released' || state === 'failed' || state === 'abandoned';
}

/** It has something to do that does not wait for others. */
export function isAtWork({ state, operation }: ShardProgress): boolean {
  return !hasEnded(state) && operation !== null && operation !== 'serve' && operation !== 'wait for the flush';
}

function fieldsOf(json: Json | undefined): Fields | null {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Fields) : null;
}

function listOf(json: Json | undefined): Fields[] {
  return Array.isArray(json) ? json.map(fieldsOf).filter((fields) => fields !== null) : [];
}

function text(json: Json | undefined): string | null {
  return typeof json === 'string' ? json : null;
}

function number(json: Json | undefined): number | null {
  return typeof json === 'number' && Number.isFinite(json) ? json : null;
}
