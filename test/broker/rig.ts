/**
 * A whole broker in memory: the real broker on a told clock, a network, a disk and a meta store in memory. Time stands
 * still unless a test moves it; `turns` lets everything run that needs no time.
 */
import { setImmediate } from 'node:timers/promises';
import { expect } from 'vitest';
import {
  type Broker,
  type BrokerOptions,
  type BrokerParts,
  createBroker,
  type ShutdownReport,
} from '../../src/broker.ts';
import type { Config } from '../../src/config.ts';
import { homeShardOf } from '../../src/domain/partition.ts';
import { BrokerError } from '../../src/errors.ts';
import type { Connection } from '../../src/ports/connection.ts';
import type { Random } from '../../src/ports/random.ts';
import type { AcquireDataLock } from '../../src/storage/data-lock.ts';
import {
  type CrashMode,
  type DialOptions,
  MemoryDisk,
  MemoryMeta,
  type MemoryNetwork,
  memoryNetwork,
  RecordingLogger,
  SimulatedClock,
} from '../../src/testing/index.ts';
import { damage, failWrites, type Hold, holdWrites } from './disk-fault.ts';
import { WireClient } from './wire-client.ts';

export const DATA = '/memory/data';

const settings: Partial<Config> = {
  data: DATA,
  port: 0,
  adminPort: 0,
  shards: 2,
  partitions: 2,
  reserveBytes: 0,
};

/** Lets everything run that needs no time. */
export async function turns(count = 6): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await setImmediate();
}

export interface RigOptions extends Omit<BrokerOptions, 'config'> {
  readonly config?: Partial<Config>;
}

export class Rig {
  clock = new SimulatedClock();
  network: MemoryNetwork = memoryNetwork({ clock: this.clock });
  disk = new MemoryDisk();
  meta = new MemoryMeta();
  logger = new RecordingLogger();
  /** What a kill leaves of what was not synced. */
  powerCut: CrashMode = { keep: 'none' };
  broker: Broker;
  /** Sees the broker's end of every connection, to look at what is sent or to change how it behaves. */
  onConnection: ((connection: Connection) => void) | null = null;
  readonly #options: RigOptions;
  #clients: WireClient[] = [];
  #locked = new Set<string>();

  constructor(options: RigOptions = {}) {
    this.#options = options;
    this.broker = this.#make();
  }

  static async start(config: Partial<Config> = {}, options: Omit<RigOptions, 'config'> = {}): Promise<Rig> {
    const rig = new Rig({ ...options, config });
    await rig.broker.start();
    return rig;
  }

  #make(config: Partial<Config> = {}): Broker {
    const { config: own = {}, ...options } = this.#options;
    const parts: BrokerParts = {
      clock: this.clock,
      random: seededRandom(),
      logger: this.logger,
      disk: this.disk,
      meta: this.meta,
      lock: this.#lock,
      listen: (listening) =>
        this.network.listen({
          ...listening,
          onConnection: (connection, request) => {
            this.onConnection?.(connection);
            listening.onConnection(connection, request);
          },
        }),
    };
    return createBroker({ admin: false, ...options, ...settings, ...own, ...config }, parts);
  }

  readonly #lock: AcquireDataLock = async (path) => {
    const locked = this.#locked;
    if (locked.has(path)) throw new BrokerError('DATA_DIR_LOCKED', `${path} is held`);
    locked.add(path);
    return { release: async () => void locked.delete(path) };
  };

  holdWrites(part: string): Hold {
    return holdWrites(this.disk, part);
  }

  failWrites(part: string, code: string): void {
    failWrites(this.disk, part, code);
  }

  damage(path: string, at: number): void {
    damage(this.disk, path, at);
  }

  /** A client whose connection is open and welcomed, unless it was refused. */
  async client(options: DialOptions = {}): Promise<WireClient> {
    const client = new WireClient(this.network.dial(options));
    this.#clients.push(client);
    await turns();
    return client;
  }

  /** Moves time in small steps, letting everything run in between. */
  async pass(ms: number, stepMs = Math.max(1, Math.min(ms, 100))): Promise<void> {
    await turns();
    for (let left = ms; left > 0; left -= stepMs) {
      await this.clock.advance(Math.min(stepMs, left));
      await turns(2);
    }
  }

  /** Asks for a stop and moves time until it is done, at most `withinMs`. */
  async stop(options: Parameters<Broker['stop']>[0] = {}, withinMs = 60_000): Promise<ShutdownReport> {
    return this.until(this.broker.stop(options), withinMs);
  }

  /** Moves time until `promise` settles, at most `withinMs`. */
  async until<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    promise.then(mark, mark);
    await turns();
    for (let waited = 0; !settled && waited < withinMs; waited += 20) {
      await this.clock.advance(20);
      await turns(2);
    }
    if (!settled) throw new Error(`nothing came of it within ${withinMs} ms`);
    return promise;
  }

  /** A new process on what a kill leaves: the old one stands still for good. Records of async topics may be lost. */
  async crash(config: Partial<Config> = {}): Promise<void> {
    this.crashed(config);
    await this.broker.start();
  }

  /** The same, without starting it. */
  crashed(config: Partial<Config> = {}): void {
    this.disk = this.disk.crash(this.powerCut);
    for (let shard = 0; shard < 2; shard += 1) {
      const meta = this.meta.disk(`${DATA}/shards/0${shard}/meta`);
      meta.loseUnsynced();
      meta.letGo();
    }
    this.#renew(config);
  }

  /** A new broker on the same disk, on a clock of its own, a second later. */
  async again(config: Partial<Config> = {}): Promise<void> {
    this.#renew(config);
    await this.broker.start();
  }

  #renew(config: Partial<Config>): void {
    this.clock = new SimulatedClock(this.clock.now() + 1000);
    this.network = memoryNetwork({ clock: this.clock });
    this.#locked = new Set();
    this.#clients = [];
    this.broker = this.#make(config);
  }

  /** A clean stop and a new start. */
  async restart(config: Partial<Config> = {}): Promise<ShutdownReport> {
    const report = await this.stop();
    await this.again(config);
    return report;
  }
}

/** The name of a topic whose home, of two shards, is this one: with one partition it lies there whole. */
export function topicOn(shard: number): string {
  for (let n = 0; ; n += 1) if (homeShardOf(`t${n}`, 2) === shard) return `t${n}`;
}

/** Nothing of the broker is left but what it wrote: no file, no timer, no listener. */
export async function expectNothingLeft(rig: Rig): Promise<void> {
  expect(rig.disk.openFiles).toBe(0);
  expect(rig.clock.pending).toBe(0);
  const client = rig.network.dial();
  await turns();
  expect(client.refusal).toMatchObject({ status: 0 });
}

/** Numbers that look random and are the same in every run. */
export function seededRandom(seed = 1): Random {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  let ids = 0;
  return {
    next,
    id: () => {
      ids += 1;
      return `id-${String(ids).padStart(19, '0')}`;
    },
  };
}
