/**
 * The simulated world: one disk, one network, one clock, clients, and one broker process after another. It applies the
 * steps of a plan, starts the broker again when it is gone, and notes all that happens. A run is a function of the plan.
 */
import { setImmediate } from 'node:timers';
import type { Clock } from '../../src/ports/clock.ts';
import { MemoryDisk } from '../../src/testing/memory-disk.ts';
import { MemoryMeta } from '../../src/testing/memory-meta.ts';
import {
  type DialOptions,
  type MemoryClient,
  type MemoryNetwork,
  memoryNetwork,
} from '../../src/testing/memory-sockets.ts';
import { memoryWebSocket } from '../../src/testing/memory-websocket.ts';
import { SimulatedClock } from '../../src/testing/simulated-clock.ts';
import { AppClient, type ClientHost } from './app-client.ts';
import { BrokerProcess, DATA } from './broker-process.ts';
import { Dice } from './dice.ts';
import { DiskWeather } from './disk-weather.ts';
import { History } from './history.ts';
import { MemberClient } from './member-client.ts';
import type { Plan, Step } from './plan.ts';
import type { Recording } from './recording.ts';
import { RottenBits } from './rotten-bits.ts';
import { effects } from './step-effects.ts';
import { WireClient } from './wire-client.ts';

const MEMORY_LOOK_MS = 500;
const SHORT_LIFE_MS = 300;
const RESTART_MS_MAX = 3000;

export interface WorldOptions {
  /** Of what it does; taken into it from its start. */
  readonly recording?: Recording | undefined;
}

export class World {
  readonly plan: Plan;
  readonly clock: SimulatedClock;
  readonly history: History;
  readonly network: MemoryNetwork;
  readonly weather: DiskWeather;
  readonly meta = new MemoryMeta();
  readonly apps = new Map<string, AppClient>();
  readonly wires = new Map<string, WireClient>();
  readonly members = new Map<string, MemberClient>();
  readonly #dice: Dice;
  readonly #options: WorldOptions;
  readonly #rot = new RottenBits();
  disk: MemoryDisk;
  process: BrokerProcess | null = null;
  #started = 0;
  #startedAt = 0;
  /** Brokers in a row that did not live long. */
  #shortLives = 0;
  #numbers = 0;
  #wallSkewMs = 0;
  /** Frames take at least so long until then. */
  #slowNetwork = { ms: 0, until: 0 };
  readonly #stalledUntil = new Map<string, number>();
  /** Connections of each client that were not seen to end. */
  readonly #links = new Map<string, MemoryClient[]>();
  #metaSteps: Extract<Step, { readonly do: 'meta' }>[] = [];
  /** The broker is started again when it is gone. */
  keepUp = true;
  #ended = false;
  /** Timers fired. */
  events = 0;

  constructor(plan: Plan, options: WorldOptions = {}) {
    this.plan = plan;
    this.#options = options;
    this.#dice = new Dice(plan.seed);
    const tie = this.#dice.seed();
    this.clock = new SimulatedClock(Date.UTC(2026, 0, 1), {
      tie: (ms) => Math.imul(Math.floor(ms * 1024) ^ tie, 0x9e3779b1),
    });
    options.recording?.begin(this.clock);
    this.history = new History(() => this.clock.monotonic());
    this.network = memoryNetwork({ clock: this.clock });
    this.disk = new MemoryDisk(plan.disk.capacityBytes);
    this.weather = new DiskWeather(this.clock, new Dice(this.#dice.seed()), plan.disk);
    this.weather.attach(this.disk);
    for (let shard = 0; shard < this.shards; shard += 1) this.metaOf(shard).onCall = () => this.weather.meta();
    this.#lookAtMemory();
  }

  get shards(): number {
    return this.plan.config.shards ?? 1;
  }

  metaOf(shard: number): ReturnType<MemoryMeta['disk']> {
    return this.meta.disk(`${DATA}/shards/${String(shard).padStart(2, '0')}/meta`);
  }

  // --- time ---

  /** Lets time pass until `done`, at most until `untilMs`; false when it never was. */
  run(untilMs: number, done: () => boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let over = false;
      // Time passes up to there, also where nothing happens.
      const end = this.clock.setTimeout(() => {
        over = true;
      }, untilMs - this.clock.monotonic());
      const turn = (): void => {
        try {
          const isDone = done();
          if (isDone || over) {
            this.clock.clearTimeout(end);
            resolve(isDone);
          } else {
            this.#options.recording?.pass(this.clock.next);
            this.clock.fireNext();
            this.events += 1;
            setImmediate(turn);
          }
        } catch (error) {
          reject(error);
        }
      };
      setImmediate(turn);
    });
  }

  #lookAtMemory(): void {
    if (this.#ended) return;
    this.process?.lookAtMemory();
    this.clock.setTimeout(() => this.#lookAtMemory(), MEMORY_LOOK_MS);
  }

  /** Looks no more, so that no timer is left of the world. */
  end(): void {
    this.#ended = true;
  }

  // --- the broker ---

  start(): void {
    if (this.process !== null) return;
    this.#started += 1;
    this.#startedAt = this.clock.monotonic();
    const number = this.#started;
    const process = new BrokerProcess({
      number,
      plan: this.plan,
      clock: this.clock,
      wallSkewMs: () => this.#wallSkewMs,
      network: this.network,
      disk: this.disk,
      meta: this.meta,
      weather: this.weather,
      history: this.history,
      onGone: () => this.#gone(),
      recording: this.#options.recording,
    });
    this.process = process;
    process.start();
  }

  #gone(): void {
    this.process = null;
    for (let shard = 0; shard < this.shards; shard += 1) this.metaOf(shard).letGo();
    for (const step of this.#metaSteps.splice(0)) this.#spoilMeta(step);
    // A crash loop slows down, as it does with every service manager.
    const waitMs = Math.min(this.plan.restartMs * 2 ** this.#shortLives, RESTART_MS_MAX);
    this.#shortLives = this.clock.monotonic() - this.#startedAt < SHORT_LIFE_MS ? this.#shortLives + 1 : 0;
    if (this.keepUp) this.clock.setTimeout(() => this.keepUp && this.start(), waitMs);
  }

  powerCut(keep: 'none' | 'all' | 'torn', seed: number): void {
    // Clients hear nothing of it: their connections fall silent, and end when they are tired of it.
    for (const link of this.#allLinks()) {
      link.stall();
      this.clock.setTimeout(() => link.gone(1006, ''), 500 + this.#dice.int(0, 1500));
    }
    const found = this.disk.crash(keep === 'torn' ? { keep, random: new Dice(seed) } : { keep });
    this.process?.kill('power-cut');
    this.disk = found;
    this.weather.attach(this.disk);
    for (let shard = 0; shard < this.shards; shard += 1) this.metaOf(shard).loseUnsynced();
  }

  #spoilMeta({ shard, fault, pick }: Extract<Step, { readonly do: 'meta' }>): void {
    if (shard >= this.shards) return;
    const meta = this.metaOf(shard);
    const batch = Math.floor(pick * meta.batchCount);
    const row = Math.floor(pick * meta.rows().size);
    if (meta.batchCount === 0) return;
    if (fault === 'lose-last') meta.loseLast(1 + Math.floor(pick * 3));
    else if (fault === 'lose-one') meta.loseBatch(batch);
    else if (fault === 'stale') meta.makeStale(batch);
    else if (fault === 'lose-all') meta.clear();
    else if (meta.rows().size > 0) meta.flipBit(row, fault === 'flip-key' ? 'key' : 'value', Math.floor(pick * 1000));
  }

  /** What an operator does about a damaged store of derived state: removes it while the broker is down. */
  removeMeta(): void {
    for (let shard = 0; shard < this.shards; shard += 1) this.metaOf(shard).clear();
  }

  // --- clients ---

  #host(): ClientHost {
    return {
      clock: this.clock,
      history: this.history,
      dice: new Dice(this.#dice.seed()),
      number: () => {
        this.#numbers += 1;
        return this.#numbers;
      },
    };
  }

  addApp(name: string, producer: string): AppClient {
    const dial = (options: DialOptions): MemoryClient => this.#dial(name, options);
    const app = new AppClient({ ...this.#host(), name, producer, WebSocket: memoryWebSocket(dial) });
    this.apps.set(name, app);
    return app;
  }

  addWire(name: string, producer: string): void {
    const dial = (): MemoryClient => this.#dial(name, {});
    this.wires.set(name, new WireClient({ ...this.#host(), name, producer, dial }));
  }

  /** A member of the plan begins. */
  join(name: string): void {
    const plan = this.plan.members?.find((each) => each.name === name);
    if (plan === undefined || this.members.has(name)) return;
    const dial = (options: DialOptions): MemoryClient => this.#dial(name, options);
    this.members.set(name, new MemberClient({ ...this.#host(), plan, WebSocket: memoryWebSocket(dial) }));
  }

  #dial(client: string, options: DialOptions): MemoryClient {
    const link = this.network.dial({ ...options, clock: this.#wireClock(client) });
    const links = (this.#links.get(client) ?? []).filter(({ state }) => state !== 'closed');
    this.#links.set(client, [...links, link]);
    return link;
  }

  /** Time as the frames of one client's connections take it. */
  #wireClock(client: string): Clock {
    const { clock } = this;
    const dice = new Dice(this.#dice.seed());
    const [low, high] = this.plan.network.latencyMs;
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
      clearTimeout: (handle) => clock.clearTimeout(handle),
      defer: (callback) => {
        const now = clock.monotonic();
        const slow = this.#slowNetwork.until > now ? this.#slowNetwork.ms * dice.next() : 0;
        const stalled = Math.max(0, (this.#stalledUntil.get(client) ?? 0) - now);
        const ms = low + dice.next() * (high - low) + slow + stalled;
        if (ms <= 0) queueMicrotask(callback);
        else clock.setTimeout(callback, ms);
      },
    };
  }

  linksOf(client: string): readonly MemoryClient[] {
    return (this.#links.get(client) ?? []).filter(({ state }) => state !== 'closed');
  }

  #allLinks(): readonly MemoryClient[] {
    return [...this.#links.keys()].flatMap((client) => this.linksOf(client));
  }

  // --- steps ---

  apply(step: Step, index: number): void {
    this.history.add({ e: 'step', index });
    const effect = effects[step.do] as (world: World, step: Step, index: number) => void;
    effect(this, step, index);
  }

  fillDisk(leaveBytes: number, forMs: number): void {
    this.disk.capacityBytes = this.disk.usedBytes + leaveBytes;
    this.clock.setTimeout(() => {
      this.disk.capacityBytes = this.plan.disk.capacityBytes;
    }, forMs);
  }

  stall(client: string, forMs: number): void {
    this.#stalledUntil.set(client, this.clock.monotonic() + forMs);
  }

  slowNetwork(ms: number, forMs: number): void {
    this.#slowNetwork = { ms, until: this.clock.monotonic() + forMs };
  }

  rot(step: Extract<Step, { readonly do: 'rot' }>): void {
    this.#rot.flip(this.disk, DATA, step);
  }

  /** Done the next time that no broker runs. */
  spoilMetaLater(step: Extract<Step, { readonly do: 'meta' }>): void {
    this.#metaSteps.push(step);
  }

  setWallClock(ms: number): void {
    this.#wallSkewMs += ms;
  }

  // --- the calm ---

  /** Nothing goes wrong any more: faults end, rotten bits are made good, and the disk has room. */
  calm(): void {
    this.history.add({ e: 'calm' });
    this.weather.clear();
    this.#slowNetwork = { ms: 0, until: 0 };
    this.#stalledUntil.clear();
    this.#metaSteps = [];
    this.disk.capacityBytes = Math.max(this.plan.disk.capacityBytes, 1 << 30);
    this.#rot.heal(this.disk);
  }
}
