/**
 * Opens a shard: the log is the truth, the meta store a saved state of it. Meta that is missing, damaged, behind or
 * ahead is made good from the log; the log itself is never made to fit anything. Called once per start by the shard
 * actor: `openShard`, then `recoverShard`.
 */
import { BrokerError, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { EntryKind, type Log, type LogAddress } from '../storage/log.ts';
import type { MetaFactory, MetaStore } from '../storage/meta.ts';
import { loadCheckpoint } from './checkpoint.ts';
import { writeControl } from './control-entry.ts';
import { ShardState } from './shard-state.ts';

/** Where a checkpoint trusts the log to go on. */
export interface LogStart {
  readonly sequence: number;
  readonly address: LogAddress;
}

export interface OpenedLog {
  readonly log: Log;
  /** False when `from` does not lead to its entry nor to the end of the log: the checkpoint is of another log. */
  readonly fromValid: boolean;
  /** Bytes of a torn, never acknowledged end that were cut. */
  readonly cutBytes: number;
}

export interface ShardStores {
  /** Opens the log, checking it from `from` on; all of it for null. Aborted, it rejects with the signal's reason. */
  readonly openLog: (from: LogStart | null, signal: AbortSignal) => Promise<OpenedLog>;
  readonly meta: MetaFactory;
  readonly metaDirectory: string;
}

export interface OpenShard {
  readonly state: ShardState;
  readonly log: Log;
  readonly meta: MetaStore;
  /** Where to replay from; null for the beginning. */
  readonly from: LogStart | null;
  readonly cutBytes: number;
  /** The log came back without entries that a checkpoint had seen durable. */
  readonly shorter: boolean;
  /** Why the meta store was made anew; null when it was good. */
  readonly rebuilt: string | null;
}

/** Opens meta and log. LOG_CORRUPT, LOG_READ_FAILED, LOG_VERSION; whatever it opened is closed again when it rejects. */
export async function openShard(
  shard: number,
  stores: ShardStores,
  logger: Logger,
  signal: AbortSignal = new AbortController().signal,
): Promise<OpenShard> {
  const loaded = await openMeta(shard, stores, logger);
  try {
    const { log, fromValid, cutBytes } = await stores.openLog(loaded.from, signal);
    const { from } = loaded;
    if (from === null || fromValid) return { ...loaded, log, cutBytes, shorter: false };
    const shorter = from.sequence > log.nextSequence;
    const rebuilt = shorter
      ? `the log ends before entry ${log.nextSequence}, the checkpoint stands at ${from.sequence - 1}`
      : `the checkpoint at entry ${from.sequence - 1} does not fit the log`;
    logger.warn({ shard, reason: rebuilt }, 'derived state is thrown away and rebuilt from the log');
    await loaded.meta.close();
    const meta = await freshMeta(stores);
    const state = new ShardState(shard);
    // The owner's epoch rises even when the entries that told it are gone.
    state.epoch = loaded.state.epoch;
    return { state, log, meta, from: null, cutBytes, shorter, rebuilt };
  } catch (error) {
    await loaded.meta.close();
    throw error;
  }
}

type LoadedMeta = Pick<OpenShard, 'state' | 'meta' | 'from' | 'rebuilt'>;

async function openMeta(shard: number, stores: ShardStores, logger: Logger): Promise<LoadedMeta> {
  let meta: MetaStore | null = null;
  try {
    meta = await stores.meta.open(stores.metaDirectory);
    return { ...(await loadCheckpoint(meta, shard)), meta, rebuilt: null };
  } catch (error) {
    await meta?.close();
    if (!(error instanceof BrokerError) || error.code !== 'META_DAMAGED') throw error;
    const rebuilt = messageOf(error);
    logger.warn({ shard, reason: rebuilt }, 'derived state is damaged: thrown away and rebuilt from the log');
    return { state: new ShardState(shard), meta: await freshMeta(stores), from: null, rebuilt };
  }
}

async function freshMeta(stores: ShardStores): Promise<MetaStore> {
  await stores.meta.destroy(stores.metaDirectory);
  const meta = await stores.meta.open(stores.metaDirectory);
  await meta.load();
  return meta;
}

export interface Recovered {
  /** Entries replayed behind the checkpoint. */
  readonly replayed: number;
  /** The log ended with a clean mark (or was new). */
  readonly clean: boolean;
}

const REPLAY_READ_BYTES = 1024 * 1024;

/**
 * Replays the log behind the checkpoint, then takes the shard over: a new owner's epoch is written, and with it the
 * new epochs of partitions that may have lost what they had shown. Nothing is accepted before that is durable.
 */
export async function recoverShard(open: OpenShard, now: number, signal: AbortSignal): Promise<Recovered> {
  const { state, log } = open;
  const first = log.firstSequence;
  if (state.applied === 0 && first > 1) state.applied = first - 1;
  const before = state.applied;
  let at: LogAddress | null = open.from?.address ?? null;
  while (state.applied + 1 < log.nextSequence) {
    signal.throwIfAborted();
    const read = await log.read(at, REPLAY_READ_BYTES);
    for (const entry of read.entries) if (entry.sequence > state.applied) state.apply(entry);
    if (read.next === null) break;
    at = read.next;
  }
  if (state.applied + 1 !== log.nextSequence) {
    throw new BrokerError(
      'LOG_CORRUPT',
      `shard ${state.shard}: replay ended at entry ${state.applied}, the log at ${log.nextSequence - 1}`,
    );
  }
  signal.throwIfAborted();
  const replayed = state.applied - before;
  // A clean mark is the one entry behind its checkpoint, so a replay of nothing means that there was none.
  const clean = state.clean || state.applied === 0;
  await takeOver(open, now, clean);
  return { replayed, clean };
}

async function takeOver(open: OpenShard, now: number, clean: boolean): Promise<void> {
  const { state, log, shorter } = open;
  const epoch = state.epoch + 1;
  log.epoch = epoch;
  const body = { epoch, time: Math.max(now, state.lastTime), clean, shorter };
  const appended = await log.append([{ kind: EntryKind.opened, parts: [writeControl(EntryKind.opened, body)] }]);
  state.applyOpened(body, appended.firstSequence);
}
