/**
 * A whole broker in memory for tests of the programs around it: the real one, on a clock that the test moves, with a
 * disk, a network and faults in memory. It crashes and comes back as a process does: what was not synced may be gone.
 *
 * Time stands still but for `advance`, and for what waits for it: `until`, `stop`, `restart`, `client`.
 */
import { setImmediate } from 'node:timers/promises';
import { type Broker, type BrokerOptions, createBroker, type ShutdownReport, type StopOptions } from '../broker.ts';
import { type Client, type ConnectOptions, connect } from '../client/index.ts';
import type { LocalClientOptions } from '../embedding/local-clients.ts';
import { BrokerError } from '../errors.ts';
import type { Connection, Listen, Listener } from '../ports/connection.ts';
import type { AcquireDataLock } from '../storage/data-lock.ts';
import { DiskFaults } from './disk-faults.ts';
import { type CrashMode, MemoryDisk } from './memory-disk.ts';
import { MemoryMeta } from './memory-meta.ts';
import { memoryNetwork } from './memory-sockets.ts';
import { ProcessClock } from './process-clock.ts';
import { RecordingLogger } from './recording-logger.ts';
import { seededRandom } from './seeded-random.ts';
import { SimulatedClock } from './simulated-clock.ts';

export interface TestBrokerOptions extends Omit<BrokerOptions, 'data' | 'signal'> {
  /** Called with the first broker and with each that comes after it, before it starts: for what is set up with it. */
  readonly setUp?: (broker: Broker) => void;
  /** What chance is drawn from. Default 1. */
  readonly seed?: number;
}

export interface CrashOptions {
  /**
   * `kill`: the process alone dies · `power-cut`: what was not synced is gone · `torn`: of that, some sectors and names
   * are there all the same, as chance has it. Default `power-cut`, the hardest on what was promised.
   */
  readonly how?: 'kill' | 'power-cut' | 'torn';
}

const DATA = '/memory/data';
const PORT = 7070;
const settings = { port: PORT, adminPort: 0, shards: 2, partitions: 2, reserveBytes: 0 } as const;
const STEP_MS = 20;

/** Starts one. */
export async function createTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const test = new TestBroker(options);
  await test.until(test.broker.start());
  return test;
}

/** One process of it. */
interface Process {
  readonly broker: Broker;
  readonly clock: ProcessClock;
  readonly connections: Set<Connection>;
  readonly listeners: Set<Listener>;
}

export class TestBroker implements AsyncDisposable {
  /** The time of everything: of the broker, of its clients, and for the actors of a test to run on. */
  readonly clock = new SimulatedClock();
  /** What the brokers logged, oldest first. */
  readonly logger = new RecordingLogger();
  readonly faults = new DiskFaults(() => this.#disk);
  readonly #options: TestBrokerOptions;
  readonly #network = memoryNetwork({ clock: this.clock });
  readonly #meta = new MemoryMeta();
  #disk = new MemoryDisk();
  #process: Process;
  #processes = 0;

  constructor(options: TestBrokerOptions) {
    this.#options = options;
    this.#process = this.#begin();
  }

  /** The broker as it runs now; behind a crash or a restart it is another one. */
  get broker(): Broker {
    return this.#process.broker;
  }

  /** The disk as it is now. */
  get disk(): MemoryDisk {
    return this.#disk;
  }

  // --- clients ---

  /** A client in the broker's process: what it waits for when that crashes never settles, as nothing does in the dead. */
  client(options: LocalClientOptions = {}): Promise<Client> {
    return this.until(this.broker.client(options));
  }

  /** A client of another process, over a network in memory: it outlives a crash and comes back by itself. */
  connect(options: ConnectOptions = {}): Promise<Client> {
    const random = seededRandom(this.#seed + 7919);
    const { WebSocket } = this.#network;
    return this.until(
      connect(`ws://memory:${PORT}/v1`, { WebSocket, clock: this.clock, random: () => random.next(), ...options }),
    );
  }

  // --- time ---

  /** Moves time on by `ms`; all that becomes due happens in its order. */
  async advance(ms: number): Promise<void> {
    await turns();
    for (let left = ms; left > 0; left -= STEP_MS) {
      await this.clock.advance(Math.min(left, STEP_MS));
      await turns();
    }
  }

  /** Moves time until `promise` settles, and gives what came of it. Throws when nothing does within `withinMs`. */
  async until<T>(promise: PromiseLike<T>, withinMs = 60_000): Promise<T> {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    promise.then(mark, mark);
    await turns();
    for (let waited = 0; !settled && waited < withinMs; waited += STEP_MS) await this.advance(STEP_MS);
    if (!settled) throw new Error(`nothing came of it within ${withinMs} ms`);
    return await promise;
  }

  // --- the life of the process ---

  /** A shutdown; resolves with its report. */
  stop(options: StopOptions = {}): Promise<ShutdownReport> {
    return this.until(this.broker.stop(options));
  }

  /** A shutdown and a new start on the same disk; resolves with the report of the shutdown. */
  async restart(options: StopOptions = {}): Promise<ShutdownReport> {
    const report = await this.stop(options);
    this.#end();
    await this.#again();
    return report;
  }

  /** The process dies at once, without a word, and another starts on what it left. */
  async crash({ how = 'power-cut' }: CrashOptions = {}): Promise<void> {
    const left = this.#disk.crash(this.#crashMode(how));
    this.#meta.crash(how !== 'kill');
    this.#end();
    this.#disk = left;
    await this.#again();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop({ reason: 'disposed', mode: 'fast' });
    this.#end();
  }

  get #seed(): number {
    return this.#options.seed ?? 1;
  }

  #crashMode(how: 'kill' | 'power-cut' | 'torn'): CrashMode {
    if (how === 'kill') return { keep: 'all' };
    if (how === 'power-cut') return { keep: 'none' };
    return { keep: 'torn', random: seededRandom(this.#seed + this.#processes) };
  }

  #begin(): Process {
    const { setUp, seed: _, ...options } = this.#options;
    const clock = new ProcessClock(this.clock);
    const connections = new Set<Connection>();
    const listeners = new Set<Listener>();
    const listen: Listen = async (asked) => {
      const listener = await this.#network.listen({
        ...asked,
        onConnection: (connection, request) => {
          connections.add(connection);
          asked.onConnection(connection, request);
        },
      });
      listeners.add(listener);
      return listener;
    };
    this.#processes += 1;
    const broker = createBroker(
      { admin: false, ...settings, ...options, data: DATA },
      {
        clock,
        random: seededRandom(this.#seed + this.#processes),
        logger: this.logger,
        disk: this.#disk,
        meta: this.#meta,
        lock: dataLock(),
        listen,
      },
    );
    setUp?.(broker);
    return { broker, clock, connections, listeners };
  }

  /** The process is gone: no timer of it fires any more, and whoever is connected learns of it. */
  #end(): void {
    const { clock, connections, listeners } = this.#process;
    clock.stop();
    for (const connection of connections) connection.terminate();
    for (const listener of listeners) void listener.close();
  }

  async #again(): Promise<void> {
    await turns();
    this.#process = this.#begin();
    await this.until(this.broker.start());
  }
}

/** The lock of one process: there is no other that could hold it. */
function dataLock(): AcquireDataLock {
  const held = new Set<string>();
  return async (path) => {
    if (held.has(path)) throw new BrokerError('DATA_DIR_LOCKED', `${path} is held`);
    held.add(path);
    return { release: async () => void held.delete(path) };
  };
}

/** Lets everything run that needs no time. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await setImmediate();
}
