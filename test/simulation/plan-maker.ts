/**
 * One seed makes one plan. Swarm: each class of faults is on in about half of the seeds, so that some seeds have one
 * kind of trouble alone and others nearly all at once; sizes and times are drawn over magnitudes.
 */
import type { Config } from '../../src/config.ts';
import { Dice } from './dice.ts';
import { hasGroups, withGroups } from './group-planner.ts';
import {
  type ClientPlan,
  type DiskOpName,
  type FaultClass,
  faultClasses,
  type GarbageKind,
  type MetaFaultName,
  PLAN_VERSION,
  type Plan,
  type PublishStep,
  type ShutdownModeName,
  type Step,
  type TopicPlan,
} from './plan.ts';

const KiB = 1024;

type Untimed<S> = S extends unknown ? Omit<S, 'at'> : never;

/** The plan of a seed. */
export function makePlan(seed: number): Plan {
  const dice = new Dice(seed);
  const plan = new PlanMaker(dice, new Dice(seed + LATER)).make(dice.seed());
  return hasGroups(seed) ? withGroups(plan, seed) : plan;
}

/** Dice of their own for what came to the plans later: the seeds known to find a bug go on finding it. */
const LATER = 2 ** 33;

class PlanMaker {
  readonly #dice: Dice;
  readonly #later: Dice;
  readonly #on: ReadonlySet<FaultClass>;
  readonly #endMs: number;
  readonly #shards: number;
  readonly #topics: readonly TopicPlan[];
  readonly #clients: readonly ClientPlan[];
  readonly #steps: Step[] = [];
  /** Values large enough that segments fill. */
  readonly #large: boolean;

  constructor(dice: Dice, later: Dice) {
    this.#dice = dice;
    this.#later = later;
    this.#on = new Set(faultClasses.filter(() => dice.chance(0.5)));
    this.#endMs = Math.round(dice.spread(1500, 10_000));
    this.#shards = dice.int(1, 3);
    this.#large = dice.chance(0.3);
    this.#topics = this.#makeTopics();
    const wires = dice.int(1, 2);
    this.#clients = [
      ...Array.from({ length: dice.int(1, 3) }, (_, at) => ({
        name: `app${at}`,
        kind: 'app' as const,
        producer: `p-app${at}`,
      })),
      ...Array.from({ length: wires }, (_, at) => ({
        name: `wire${at}`,
        kind: 'wire' as const,
        producer: `p-wire${at}`,
      })),
    ];
  }

  make(seed: number): Plan {
    const dice = this.#dice;
    this.#publishes();
    this.#consumers();
    for (const fault of this.#on) this.#faults(fault);
    this.#steps.sort((a, b) => a.at - b.at);
    const slowDisk = dice.chance(0.3);
    return {
      version: PLAN_VERSION,
      seed,
      faults: [...this.#on],
      config: this.#config(),
      disk: {
        capacityBytes: 64 * 1024 * KiB,
        writeMs: slowDisk ? [1, 20] : [0.05, 2],
        callMs: dice.chance(0.5) ? [0, 0] : [0, 1],
      },
      network: { latencyMs: dice.chance(0.3) ? [0, 0] : dice.chance(0.3) ? [1, 30] : [0.05, 2] },
      restartMs: Math.round(dice.spread(20, 1000)),
      topics: this.#topics,
      clients: this.#clients,
      steps: this.#steps,
      endMs: this.#endMs,
    };
  }

  #makeTopics(): TopicPlan[] {
    const dice = this.#dice;
    const many = (prefix: string, count: number, durability: 'sync' | 'async'): TopicPlan[] =>
      Array.from({ length: count }, (_, at) => ({ name: `${prefix}${at}`, partitions: dice.int(1, 3), durability }));
    return [...many('s', dice.int(1, 2), 'sync'), ...many('a', dice.int(0, 1), 'async')];
  }

  #config(): Partial<Config> {
    const dice = this.#dice;
    const draw = (low: number, high: number): number => Math.round(dice.spread(low, high));
    return {
      shards: this.#shards,
      partitions: dice.int(1, 3),
      flushMs: draw(5, 500),
      flushBytes: draw(1 * KiB, 64 * KiB),
      segmentBytes: 64 * KiB,
      groupBytes: draw(4 * KiB, 256 * KiB),
      shardQueueBytes: draw(64 * KiB, 512 * KiB),
      reserveBytes: dice.pick([0, 64 * KiB, 256 * KiB]),
      diskLowBytes: dice.pick([0, 32 * KiB, 256 * KiB]),
      diskCheckMs: draw(50, 1000),
      checkpointBytes: draw(64 * KiB, 512 * KiB),
      recentBytes: draw(64 * KiB, 512 * KiB),
      inFlightBytes: draw(64 * KiB, 512 * KiB),
      inFlightPublishes: dice.pick([4, 64, 1024]),
      socketBufferBytes: draw(16 * KiB, 128 * KiB),
      slowConsumerMs: draw(300, 3000),
      pingMs: draw(300, 5000),
      pingTimeoutMs: draw(300, 3000),
      gracePeriodMs: draw(8000, 20_000),
      announceMs: dice.chance(0.7) ? 0 : draw(50, 700),
    };
  }

  #add(at: number, step: Untimed<Step>): void {
    this.#steps.push({ at: Math.round(at * 10) / 10, ...step } as Step);
  }

  /** A time in the plan; early ones as likely as late ones. */
  #time(): number {
    return this.#dice.next() * this.#endMs;
  }

  #publishes(): void {
    const dice = this.#dice;
    const count = Math.round(dice.spread(8, 50));
    for (let n = 0; n < count; n += 1) {
      const at = this.#time();
      // Bursts pipeline; single ones find the broker idle.
      const burst = dice.chance(0.3) ? dice.int(2, 8) : 1;
      const client = dice.pick(this.#clients);
      const topic = dice.pick(this.#topics);
      for (let each = 0; each < burst; each += 1) this.#add(at + each * dice.next() * 3, this.#publish(client, topic));
    }
  }

  #publish(client: ClientPlan, topic: TopicPlan): PublishStep {
    const dice = this.#dice;
    const bytes = Math.round(this.#large ? dice.spread(200, 6000) : dice.spread(16, 400));
    const step = {
      do: 'publish',
      client: client.name,
      topic: topic.name,
      count: dice.int(1, dice.chance(0.2) ? 20 : 4),
      bytes,
    } as const;
    const partition = dice.int(0, topic.partitions - 1);
    if (client.kind === 'wire') return dice.chance(0.15) ? { ...step, partition, text: true } : { ...step, partition };
    const how = dice.int(0, 2);
    return how === 0 ? { ...step, partition } : how === 1 ? { ...step, key: dice.int(0, 50) } : step;
  }

  #consumers(): void {
    const dice = this.#dice;
    const apps = this.#clients.filter(({ kind }) => kind === 'app');
    const count = dice.int(1, 4);
    for (let n = 0; n < count; n += 1) {
      const group = dice.chance(0.7) ? `g${dice.int(0, 1)}` : undefined;
      const subscription = `sub${n}`;
      const client = dice.pick(apps).name;
      const at = this.#time() * 0.7;
      this.#add(at, {
        do: 'subscribe',
        client,
        subscription,
        topic: dice.pick(this.#topics).name,
        from:
          group === undefined
            ? dice.pick(['earliest', 'latest'] as const)
            : dice.pick(['committed', 'committed', 'earliest'] as const),
        ...(group === undefined ? {} : { group }),
        credit: Math.round(dice.spread(1, 500)),
        commitEvery: group === undefined ? 0 : dice.int(1, 10),
        workMs: dice.chance(0.7) ? 0 : dice.int(1, 20),
      });
      if (dice.chance(0.3)) this.#add(at + dice.next() * (this.#endMs - at), { do: 'leave', client, subscription });
    }
    for (let n = dice.int(0, 6); n > 0; n -= 1) {
      this.#add(this.#time(), { do: 'describe', client: dice.pick(apps).name, topic: dice.pick(this.#topics).name });
    }
    if (dice.chance(0.3)) {
      const client = dice.pick(apps).name;
      this.#add(this.#time(), {
        do: 'reopen',
        client,
        reopenMs: Math.round(dice.spread(1, 500)),
        drain: dice.chance(0.5),
      });
    }
  }

  #faults(fault: FaultClass): void {
    const dice = this.#dice;
    const times = dice.int(1, 3);
    for (let n = 0; n < times; n += 1) this.#fault(fault, this.#time());
  }

  #fault(fault: FaultClass, at: number): void {
    const dice = this.#dice;
    const forMs = Math.round(dice.spread(10, 3000));
    const client = dice.pick(this.#clients).name;
    const wire = dice.pick(this.#clients.filter(({ kind }) => kind === 'wire')).name;
    const app = dice.pick(this.#clients.filter(({ kind }) => kind === 'app')).name;
    const shard = dice.int(0, this.#shards - 1);
    switch (fault) {
      case 'stops': {
        const mode: ShutdownModeName = dice.pick(['graceful', 'graceful', 'graceful', 'fast', 'immediate'] as const);
        this.#add(at, { do: 'stop', mode, ...(dice.chance(0.1) ? { deadlineMs: dice.int(0, 3000) } : {}) });
        if (dice.chance(0.3))
          this.#add(at + dice.spread(0.1, 1000), {
            do: 'stop',
            mode: dice.pick(['fast', 'immediate', 'graceful'] as const),
          });
        // Too late: what was asked to stop stops.
        if (this.#later.chance(0.2)) this.#add(at + this.#later.spread(0.1, 1000), { do: 'cancel' });
        return;
      }
      case 'kills':
        this.#add(at, { do: 'kill' });
        return;
      case 'power':
        this.#add(at, {
          do: 'power-cut',
          keep: dice.pick(['none', 'torn', 'torn', 'all'] as const),
          seed: dice.seed(),
        });
        return;
      case 'drains':
        this.#add(at, { do: 'drain' });
        if (dice.chance(0.8)) this.#add(at + forMs, { do: 'cancel' });
        return;
      case 'disk-errors':
        this.#diskError(at, forMs, shard);
        return;
      case 'disk-full':
        this.#add(at, { do: 'disk-full', leaveBytes: dice.pick([0, 100, 4096, 65_536]), forMs });
        return;
      case 'disk-slow':
        this.#add(at, { do: 'disk-slow', ms: Math.round(dice.spread(5, 500)), forMs });
        return;
      case 'disk-hangs':
        this.#add(at, {
          do: 'disk-hang',
          op: dice.pick(['write', 'write', 'write', 'sync', 'syncDirectory', 'openWrite', 'read'] as const),
          where: dice.chance(0.5) ? '' : `shards/0${shard}/`,
          times: 1,
          forMs: dice.chance(0.4) ? null : Math.round(dice.spread(20, 8000)),
        });
        return;
      case 'disk-rot':
        this.#add(at, { do: 'rot', shard, atEntry: dice.next(), atByte: dice.next(), bit: dice.int(0, 7) });
        return;
      case 'meta': {
        if (dice.chance(0.3)) {
          this.#add(at, { do: 'meta-error', times: dice.int(1, 5) });
          return;
        }
        const names: readonly MetaFaultName[] = [
          'lose-last',
          'lose-one',
          'stale',
          'flip-value',
          'flip-key',
          'lose-all',
        ];
        this.#add(at, { do: 'meta', shard, fault: dice.pick(names), pick: dice.next() });
        return;
      }
      case 'network': {
        const kind = dice.int(0, 4);
        if (kind === 0) {
          this.#add(at, { do: 'half-open', client, forMs });
          return;
        }
        if (kind === 1) {
          this.#add(at, { do: 'stall', client, forMs });
          return;
        }
        if (kind === 2) {
          this.#add(at, { do: 'slow-network', ms: Math.round(dice.spread(5, 300)), forMs });
          return;
        }
        this.#add(at, { do: 'cut', client });
        return;
      }
      case 'deletes':
        this.#add(at, { do: 'create', client: app, topic: 'd0', partitions: dice.int(1, 2) });
        for (let n = dice.int(1, 4); n > 0; n -= 1) {
          const later = at + dice.next() * forMs;
          this.#add(later, { do: 'publish', client, topic: 'd0', count: dice.int(1, 5), bytes: 40, partition: 0 });
        }
        this.#add(at + forMs * 0.7, { do: 'delete', client: app, topic: 'd0' });
        return;
      case 'clock':
        this.#add(at, { do: 'clock-jump', ms: dice.pick([-3_600_000, -1000, 1000, 86_400_000]) });
        return;
      case 'rude-clients': {
        const kinds: readonly GarbageKind[] = [
          'short-header',
          'bad-json',
          'half-batch',
          'unknown-op',
          'half-frame-and-gone',
        ];
        if (dice.chance(0.4)) {
          this.#add(at, { do: 'garbage', client: wire, kind: dice.pick(kinds) });
          return;
        }
        if (dice.chance(0.3)) {
          this.#add(at, { do: 'pause', client: wire, forMs });
          return;
        }
        this.#add(at, { do: 'duplicate', client: wire, back: dice.int(0, 30) });
        return;
      }
      default:
        fault satisfies never;
    }
  }

  #diskError(at: number, forMs: number, shard: number): void {
    const dice = this.#dice;
    const ops: readonly DiskOpName[] = [
      'write',
      'write',
      'write',
      'sync',
      'syncDirectory',
      'openWrite',
      'openRead',
      'read',
      'truncate',
      'list',
    ];
    const op = dice.pick(ops);
    const late = op === 'write' && dice.chance(0.15);
    this.#add(at, {
      do: 'disk-error',
      code: dice.pick(['EIO', 'EIO', 'ENOSPC', 'EMFILE'] as const),
      op,
      where: dice.chance(0.3) ? '' : dice.chance(0.7) ? `shards/0${shard}/log` : `shards/0${shard}/`,
      times: dice.chance(0.6) ? 1 : dice.int(2, 8),
      forMs,
      landedBytes: dice.pick([0, 0, 100, 512, 4096]),
      unsyncable: op === 'write' && !late && dice.chance(0.25),
      late,
    });
  }
}
