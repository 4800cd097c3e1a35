/**
 * What the rows of a checkpoint hold, checked as they are read. A CRC says that a row is as it was written; that it is
 * what this version writes is said here, so that a row that is not leads to a rebuild and never to a state that is
 * wrong. Called by `checkpoint.ts`. Everything throws on a row that does not read as one.
 */
import { z } from 'zod';
import { ProducerWindow } from '../domain/producer-window.ts';
import { groupBody } from './control-entry.ts';

export const CHECKPOINT_VERSION = 1;

const count = z.number().int().nonnegative();
const durability = z.enum(['sync', 'async']);
const address = z.object({ segment: count, position: count });

export const checkpointRow = z.object({
  version: z.literal(CHECKPOINT_VERSION),
  applied: count,
  /** Where the entry behind `applied` lies. */
  address,
  epoch: count,
  lastTime: count,
  nextHandle: count,
});
export type CheckpointRow = z.infer<typeof checkpointRow>;

export const topicRow = z.object({
  name: z.string(),
  id: count,
  createdAt: count,
  partitions: count,
  durability,
  retention: z.object({ ms: count.nullable(), bytes: count.nullable() }),
});

export const partitionRow = z
  .object({
    topic: z.string(),
    topicId: count,
    partition: count,
    durability,
    epochs: z.array(z.object({ epoch: count.min(1), start: count })).min(1),
    start: count,
    durable: count,
    lastPoint: address.nullable(),
  })
  .refine(({ start, durable }) => start <= durable, 'a partition starts before it ends');
export type PartitionRow = z.infer<typeof partitionRow>;

export const groupRow = groupBody.options[0];

/** A table, its separator and a name, or the one row that has none. */
const keyPattern = /^(?:(c)|([todpqg])\/(.+))$/s;

export interface RowKey {
  readonly table: string;
  /** What stands behind `<table>/`; empty for the checkpoint's own row. */
  readonly name: string;
}

export function rowKey(key: string): RowKey {
  const match = keyPattern.exec(key);
  if (match === null) throw new RangeError(`unknown row ${JSON.stringify(key.slice(0, 80))}`);
  return { table: match[1] ?? match[2] ?? '', name: match[3] ?? '' };
}

export function handleRow(name: string): number {
  const handle = Number(name);
  if (!isCount(handle) || String(handle) !== name) throw new RangeError(`${JSON.stringify(name)} is no handle`);
  return handle;
}

/** By hand, as are windows: there may be hundreds of thousands of each. */
export function offsetRow(value: unknown): number {
  if (!isCount(value)) throw new RangeError('an offset that is none');
  return value;
}

export function windowRow(value: unknown): ProducerWindow {
  if (!Array.isArray(value) || value.length < 2 || value.length % 3 !== 2 || !value.every(isWindowNumber)) {
    throw new RangeError('a producer window that is none');
  }
  return ProducerWindow.fromNumbers(value as number[]);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A window that has stored nothing says −1. */
function isWindowNumber(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= -1;
}
