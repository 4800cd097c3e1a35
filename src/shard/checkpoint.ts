/**
 * The checkpoint: the shard's state as rows of the meta store, "applied up to entry s". Only what changed is written,
 * as one step. Rows are JSON under readable keys; the index has binary keys, since it is searched by them.
 *
 *   resident  c                    {version, applied, address, epoch, lastTime, nextHandle}
 *             t/<topic>            the topic
 *             p/<handle>           the partition
 *             o/<handle>/<group>   committed offset
 *             d/<handle>/<group>   up to where the group was given what it has not committed
 *             q/<handle>/<producer>  producer window, as numbers
 *             g/<group>            members, owners and generation of a group; g/* the highest of those forgotten
 *   index     u32 handle, u64 offset   →   u64 time, u64 segment, u64 position
 */
import type { ProducerWindow } from '../domain/producer-window.ts';
import { getUint64, setUint64 } from '../domain/record-batch.ts';
import { BrokerError } from '../errors.ts';
import type { LogAddress } from '../storage/log.ts';
import type { MetaStore, MetaWrite } from '../storage/meta.ts';
import {
  CHECKPOINT_VERSION,
  type CheckpointRow,
  checkpointRow,
  groupRow,
  handleRow,
  offsetRow,
  type PartitionRow,
  partitionRow,
  rowKey,
  topicRow,
  windowRow,
} from './checkpoint-row.ts';
import { groupBodyOf, groupRecordOf } from './group-record.ts';
import { type IndexPoint, Partition } from './partition.ts';
import { ShardState } from './shard-state.ts';

/** Stands for all groups that were forgotten: no name of one. */
const FORGOTTEN = '*';

export interface LoadedCheckpoint {
  readonly state: ShardState;
  /** Where to replay from; null in an empty store. */
  readonly from: { readonly sequence: number; readonly address: LogAddress } | null;
}

/** Reads the checkpoint. META_DAMAGED when a row does not read as one; the log then rebuilds it. */
export async function loadCheckpoint(meta: MetaStore, shard: number): Promise<LoadedCheckpoint> {
  const rows = await meta.load();
  try {
    return readRows(rows, shard);
  } catch (error) {
    throw BrokerError.from(error, 'META_DAMAGED', `the checkpoint of shard ${shard} does not read`);
  }
}

function readRows(rows: readonly { key: Uint8Array; value: Uint8Array }[], shard: number): LoadedCheckpoint {
  const state = new ShardState(shard);
  const windows: [string, ProducerWindow][] = [];
  let from: LoadedCheckpoint['from'] = null;
  for (const row of rows) {
    const { table, name } = rowKey(text(row.key));
    const value: unknown = JSON.parse(text(row.value));
    switch (table) {
      case 'c':
        from = restoreHead(state, checkpointRow.parse(value));
        break;
      case 't':
        state.topics.set(name, topicRow.parse(value));
        break;
      case 'p':
        state.restorePartition(partitionFrom(handleRow(name), partitionRow.parse(value)));
        break;
      case 'o':
        state.offsets.set(name, offsetRow(value));
        break;
      case 'd':
        state.delivered.set(name, offsetRow(value));
        break;
      case 'q':
        windows.push([name, windowRow(value)]);
        break;
      case 'g':
        if (name === FORGOTTEN) state.groups.forgotten = offsetRow(value);
        else state.groups.set(name, groupRecordOf(groupRow.parse(value)));
        break;
    }
  }
  windows.sort(([, a], [, b]) => a.lastTime - b.lastTime);
  for (const [key, window] of windows) state.producers.set(key, window);
  if (from === null && rows.length > 0) throw new BrokerError('META_DAMAGED', 'the checkpoint row is missing');
  return { state, from };
}

function restoreHead(state: ShardState, row: CheckpointRow): LoadedCheckpoint['from'] {
  state.applied = row.applied;
  state.epoch = row.epoch;
  state.lastTime = row.lastTime;
  state.nextHandle = row.nextHandle;
  return { sequence: row.applied + 1, address: row.address };
}

function partitionFrom(handle: number, row: PartitionRow): Partition {
  const partition = new Partition(row.topic, row.topicId, row.partition, row.durability);
  partition.handle = handle;
  partition.epochs = row.epochs;
  partition.start = row.start;
  partition.durable = row.durable;
  partition.accepted = row.durable;
  partition.lastPoint = row.lastPoint;
  return partition;
}

export interface TakenCheckpoint {
  readonly writes: readonly MetaWrite[];
  /** Handles of closed partitions, whose index rows are to be cleared behind the writes. */
  readonly closed: readonly number[];
  /** To be called once the writes are in the store: index points then need no memory any more. */
  readonly saved: () => void;
}

/**
 * Takes what changed since the last call as writes, and forgets that it changed. The state must stand exactly at
 * `state.applied` (between two groups), and `address` must be where the entry behind it will lie.
 */
export function takeCheckpoint(state: ShardState, address: LogAddress): TakenCheckpoint {
  const { changes } = state;
  const writes: MetaWrite[] = [];
  const points: { partition: Partition; taken: number }[] = [];
  const closed: number[] = [];
  const row = (key: string, value: unknown): void => {
    writes.push({ table: 'resident', key: Buffer.from(key), value: value === undefined ? null : json(value) });
  };
  for (const name of changes.topics) row(`t/${name}`, state.topics.get(name));
  for (const partition of changes.partitions) {
    row(`p/${partition.handle}`, partition.closed ? undefined : rowOf(partition));
    if (partition.closed) closed.push(partition.handle);
    if (partition.closed || partition.unsavedPoints.length === 0) continue;
    points.push({ partition, taken: partition.unsavedPoints.length });
    for (const point of partition.unsavedPoints) {
      writes.push({ table: 'index', key: indexKey(partition.handle, point.offset), value: indexValue(point) });
    }
  }
  for (const key of changes.offsets) row(`o/${key}`, state.offsets.get(key));
  for (const key of changes.delivered) row(`d/${key}`, state.delivered.get(key));
  for (const key of changes.producers) row(`q/${key}`, state.producers.get(key)?.toNumbers());
  for (const group of changes.groups) {
    const record = state.groups.records.get(group);
    row(`g/${group}`, record === undefined ? undefined : groupBodyOf(group, record));
  }
  if (changes.groups.size > 0) row(`g/${FORGOTTEN}`, state.groups.forgotten);
  const head: CheckpointRow = {
    version: CHECKPOINT_VERSION,
    applied: state.applied,
    address,
    epoch: state.epoch,
    lastTime: state.lastTime,
    nextHandle: state.nextHandle,
  };
  row('c', head);
  changes.clear();
  const saved = (): void => {
    for (const { partition, taken } of points) partition.unsavedPoints.splice(0, taken);
  };
  return { writes, closed, saved };
}

function rowOf(partition: Partition): PartitionRow {
  const { topic, topicId, durability, epochs, start, durable, lastPoint } = partition;
  return { topic, topicId, partition: partition.partition, durability, epochs: [...epochs], start, durable, lastPoint };
}

export function indexKey(handle: number, offset: number): Uint8Array {
  const key = new Uint8Array(12);
  const view = new DataView(key.buffer);
  view.setUint32(0, handle);
  setUint64(view, 4, offset);
  return key;
}

function indexValue(point: IndexPoint): Uint8Array {
  const value = new Uint8Array(24);
  const view = new DataView(value.buffer);
  setUint64(view, 0, point.time);
  setUint64(view, 8, point.address.segment);
  setUint64(view, 16, point.address.position);
  return value;
}

export function readIndexRow(row: { readonly key: Uint8Array; readonly value: Uint8Array }): IndexPoint {
  const key = new DataView(row.key.buffer, row.key.byteOffset, row.key.byteLength);
  const value = new DataView(row.value.buffer, row.value.byteOffset, row.value.byteLength);
  return {
    offset: getUint64(key, 4),
    time: getUint64(value, 0),
    address: { segment: getUint64(value, 8), position: getUint64(value, 16) },
  };
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
