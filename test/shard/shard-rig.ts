/** One shard over simulated parts: disk, meta store, clock; opened, killed and opened again as often as a test likes. */
import { decodeBatch, encodeBatch, readDeliveredBatches } from '../../src/domain/record-batch.ts';
import type { Topic } from '../../src/domain/topic.ts';
import type { BrokerError } from '../../src/errors.ts';
import type { Partition } from '../../src/shard/partition.ts';
import type { FetchedBatches, ReadHint } from '../../src/shard/partition-reader.ts';
import type { StoredBatch } from '../../src/shard/recent-batches.ts';
import { type EngineLimits, ShardEngine } from '../../src/shard/shard-engine.ts';
import { type OpenShard, openShard, type Recovered, recoverShard } from '../../src/shard/shard-recovery.ts';
import type { Log } from '../../src/storage/log.ts';
import { DiskReserve } from '../../src/storage/reserve.ts';
import { openSegmentLog } from '../../src/storage/segment-log.ts';
import { type CrashMode, MemoryDisk } from '../../src/testing/memory-disk.ts';
import { MemoryMeta } from '../../src/testing/memory-meta.ts';
import { RecordingLogger } from '../../src/testing/recording-logger.ts';
import { SimulatedClock } from '../../src/testing/simulated-clock.ts';

const KiB = 1024;

export const rigLimits: EngineLimits = {
  groupBytes: 1024 * KiB,
  flushMs: 20,
  flushBytes: 64 * KiB,
  shardQueueBytes: 256 * KiB,
  recentBytes: 64 * KiB,
  checkpointBytes: 64 * KiB,
  producersMax: 1000,
  producerExpiryMs: 3_600_000,
  diskCheckMs: 1000,
};

export interface RigOptions {
  readonly limits?: Partial<EngineLimits>;
  readonly segmentBytes?: number;
  readonly reserveBytes?: number;
  /** Stands in for the segment log. */
  readonly log?: Log;
}

const DIRECTORY = '/data/shards/00';
export const LOG_DIRECTORY = `${DIRECTORY}/log`;
export const META_DIRECTORY = `${DIRECTORY}/meta`;

export function topic(name: string, durability: 'sync' | 'async' = 'sync', id = idOf(name)): Topic {
  return { name, id, createdAt: 0, partitions: 1024, durability, retention: { ms: null, bytes: null } };
}

function idOf(name: string): number {
  let id = 1_000_000;
  for (const letter of name) id = id * 31 + (letter.codePointAt(0) ?? 0);
  return id % 1_000_000_007;
}

export function batchOf(...texts: readonly string[]): Uint8Array {
  return encodeBatch(
    texts.map((text) => ({ key: null, headers: null, value: Buffer.from(text), encoding: 'utf8' as const })),
  );
}

/** What became of a publish: null while it waits. */
export interface Outcome {
  is: null | { readonly offset: number; readonly epoch: number; readonly duplicate: boolean } | BrokerError;
  /** Times that it was told; more than one is a defect. */
  told: number;
}

export class ShardRig {
  clock = new SimulatedClock();
  disk = new MemoryDisk();
  readonly meta = new MemoryMeta();
  readonly logger = new RecordingLogger();
  readonly faults: BrokerError[] = [];
  diskFullSeen = 0;
  readonly #options: RigOptions;
  #engine: ShardEngine | null = null;
  #log: Log | null = null;
  opened: OpenShard | null = null;
  recovered: Recovered | null = null;
  /** Goes up with each crash: what the engine of an earlier one still says was heard by nobody. */
  #life = 0;

  constructor(options: RigOptions = {}) {
    this.#options = options;
  }

  static async open(options: RigOptions = {}): Promise<ShardRig> {
    const rig = new ShardRig(options);
    await rig.disk.makeDirectory(LOG_DIRECTORY);
    for (const path of [DIRECTORY, '/data/shards', '/data', '/']) await rig.disk.syncDirectory(path);
    await rig.start();
    return rig;
  }

  get engine(): ShardEngine {
    if (this.#engine === null) throw new Error('the shard is not open');
    return this.#engine;
  }

  get log(): Log {
    if (this.#log === null) throw new Error('the shard is not open');
    return this.#log;
  }

  /** Opens the shard and its gates. */
  async start(openGates = true): Promise<void> {
    const { disk, clock, logger } = this;
    const segmentBytes = this.#options.segmentBytes ?? 64 * KiB;
    const given = this.#options.log;
    const stores = {
      openLog: async (from: OpenShard['from']) =>
        given !== undefined
          ? { log: given, fromValid: true, cutBytes: 0 }
          : openSegmentLog({ disk, directory: LOG_DIRECTORY, shard: 0, segmentBytes, drawSalt: () => 5 }, from),
      meta: this.meta,
      metaDirectory: META_DIRECTORY,
    };
    this.opened = await openShard(0, stores, logger);
    this.recovered = await recoverShard(this.opened, clock.now(), new AbortController().signal);
    this.#log = this.opened.log;
    const reserve = new DiskReserve(disk, DIRECTORY, `${DIRECTORY}/reserve`, this.#options.reserveBytes ?? 0);
    await reserve.ensure();
    this.#engine = new ShardEngine({
      state: this.opened.state,
      log: this.opened.log,
      meta: this.opened.meta,
      clock,
      logger,
      limits: { ...rigLimits, ...this.#options.limits },
      giveReserveBack: () => reserve.giveBack(),
      onDiskFull: () => {
        this.diskFullSeen += 1;
      },
      onFault: (error) => this.faults.push(error),
    });
    if (!openGates) return;
    this.engine.publishGate.open();
    this.engine.commitGate.open();
  }

  /** A shutdown in order: everything written, checkpoint, clean mark. */
  async stop(): Promise<void> {
    const { engine } = this;
    engine.publishGate.shut('DRAINING', 'the test stops the shard');
    await engine.settle();
    engine.commitGate.shut('DRAINING', 'the test stops the shard');
    await engine.settle();
    await engine.checkpoint();
    await engine.markClean();
    await engine.release();
    this.#engine = null;
  }

  /** The process or the machine dies: the disk is what is left. The meta store keeps what it was given. */
  async crash(mode: CrashMode): Promise<void> {
    this.#life += 1;
    // The dead engine's next call never returns, so that nothing of it reaches the stores behind this point.
    this.disk.onCall = () => new Promise<never>(() => {});
    await quiet();
    this.disk = this.disk.crash(mode);
    this.meta.disk(META_DIRECTORY).letGo();
    this.#engine = null;
    this.clock = new SimulatedClock(this.clock.now() + 1000);
  }

  publish(of: Topic, partition: number, texts: readonly string[], producer: ProducerAt | null = null): Outcome {
    return this.publishBatch(of, partition, batchOf(...texts), texts.length, producer);
  }

  publishBatch(of: Topic, partition: number, batch: Uint8Array, count: number, producer: ProducerAt | null): Outcome {
    const outcome: Outcome = { is: null, told: 0 };
    const life = this.#life;
    const tell = (is: Outcome['is']): void => {
      if (life !== this.#life) return;
      outcome.is = is;
      outcome.told += 1;
    };
    this.engine.publish({
      topic: of,
      partition,
      batch,
      count,
      producer,
      outcome: {
        published: (offset, epoch, duplicate) => tell({ offset, epoch, duplicate }),
        refused: (error) => tell(error),
      },
    });
    return outcome;
  }

  commit(partition: Partition, group: string, offset: number): { is: null | 'committed' | BrokerError } {
    const outcome: { is: null | 'committed' | BrokerError } = { is: null };
    const life = this.#life;
    const tell = (is: 'committed' | BrokerError): void => {
      if (life === this.#life) outcome.is = is;
    };
    this.engine.offsets.commit(partition, group, offset, { committed: () => tell('committed'), refused: tell });
    return outcome;
  }

  partition(of: Topic, partition: number): Partition {
    return this.engine.partition(of, partition);
  }

  /** All values from `offset` on, read until the high watermark by fetches of about `bytesMax` bytes. */
  async values(of: Topic, partition: number, offset = 0, bytesMax = 4096): Promise<string[]> {
    return (await this.records(of, partition, offset, bytesMax)).map(({ value }) => value);
  }

  async records(of: Topic, partition: number, offset = 0, bytesMax = 4096): Promise<FoundRecord[]> {
    const target = this.partition(of, partition);
    const found: FoundRecord[] = [];
    let next = offset;
    let hint: ReadHint | null = null;
    while (next < target.highWatermark) {
      const fetched: FetchedBatches = await this.engine.fetch(target, next, bytesMax, hint);
      if (fetched.batches.length === 0) break;
      for (const batch of fetched.batches) {
        if (batch.baseOffset > next) throw new Error(`offset ${next} is missing`);
        found.push(...recordsOf(batch).filter((record) => record.offset >= next));
        next = batch.baseOffset + batch.count;
      }
      hint = fetched.hint;
    }
    return found;
  }
}

export interface ProducerAt {
  readonly id: string;
  readonly sequence: number;
}

export interface FoundRecord {
  readonly offset: number;
  readonly epoch: number;
  readonly time: number;
  readonly value: string;
}

function recordsOf(stored: StoredBatch): FoundRecord[] {
  const found: FoundRecord[] = [];
  for (const { baseOffset, epoch, time, batch } of readDeliveredBatches(Buffer.concat(stored.parts))) {
    for (const { index, value } of decodeBatch(batch)) {
      found.push({ offset: baseOffset + index, epoch, time, value: Buffer.from(value ?? []).toString() });
    }
  }
  return found;
}

/** Runs everything that is due without time going on. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export function codeOf(outcome: Outcome | { is: null | 'committed' | BrokerError }): string | null {
  const { is } = outcome;
  if (is === null || is === 'committed') return is;
  return 'code' in is ? is.code : `offset ${is.offset}`;
}
