/**
 * Runs a plan: the trouble, then a second phase without any, in which everything must come right; then a clean stop,
 * and the judgement. The same plan gives the same history, and so the same hash.
 */
import { setImmediate } from 'node:timers/promises';
import { readDataDirectory } from '../checker/data-directory.ts';
import { DATA } from './broker-process.ts';
import { check, type Violation } from './checkers/index.ts';
import type { ContentEvent, HistoryEvent } from './history.ts';
import { idOf } from './payload.ts';
import type { Plan, Step } from './plan.ts';
import type { Recording } from './recording.ts';
import { sourceOf } from './rotten-bits.ts';
import { World } from './world.ts';

export interface Run {
  readonly violations: readonly Violation[];
  readonly hash: string;
  readonly simulatedMs: number;
  readonly history: readonly HistoryEvent[];
  /** Timers fired, and disk calls that failed or hung as planned. */
  readonly events: number;
  readonly faulted: number;
}

export interface RunOptions {
  readonly recording?: Recording;
}

/** What setting up, coming right and reading back may take at most, simulated ms. */
const SETUP_MS = 30_000;
const CALM_MS = 180_000;
const LOOK_MS = 50;
const RESTARTS_MAX = 8;

export async function run(plan: Plan, options: RunOptions = {}): Promise<Run> {
  const world = new World(plan, options);
  const unhandled = (error: unknown): void => {
    world.history.add({ e: 'defect', text: `nobody handled: ${error instanceof Error ? error.stack : String(error)}` });
  };
  process.on('unhandledRejection', unhandled);
  process.on('uncaughtException', unhandled);
  try {
    await new Course(world).run();
    // Rejections that nobody handles are told at the end of a turn.
    await setImmediate();
  } finally {
    process.off('unhandledRejection', unhandled);
    process.off('uncaughtException', unhandled);
    world.end();
  }
  const { events: history } = world.history;
  return {
    violations: check(history, plan),
    hash: world.history.hash(),
    simulatedMs: world.clock.monotonic(),
    history,
    events: world.events,
    faulted: world.weather.faulted,
  };
}

/** What a run goes through, in order. */
class Course {
  readonly #world: World;
  readonly #plan: Plan;

  constructor(world: World) {
    this.#world = world;
    this.#plan = world.plan;
  }

  async run(): Promise<void> {
    if (!(await this.#setUp())) return this.#stuck('setting up');
    await this.#trouble();
    this.#world.calm();
    if (!(await this.#recover())) return;
    await this.#readBack();
    await this.#stopCleanly();
  }

  #stuck(text: string): void {
    this.#world.history.add({ e: 'stuck', text });
  }

  /** A broker that serves, with the topics of the plan, and every client connected. */
  async #setUp(): Promise<boolean> {
    const { clients, topics } = this.#plan;
    this.#world.start();
    for (const { name, kind, producer } of clients) {
      if (kind === 'app') this.#world.addApp(name, producer);
      else this.#world.addWire(name, producer);
    }
    const admin = this.#world.addApp('admin', 'p-admin');
    const apps = [...this.#world.apps.values()];
    if (!(await this.#until(SETUP_MS, () => apps.every(({ client }) => client !== null)))) return false;
    for (const { name, partitions, durability } of topics) admin.ask('create', name, partitions, durability);
    return this.#until(SETUP_MS, () => admin.waitsFor === '');
  }

  async #trouble(): Promise<void> {
    const began = this.#world.clock.monotonic();
    for (const [index, step] of this.#plan.steps.entries()) {
      this.#world.clock.setTimeout(() => this.#world.apply(step, index), step.at);
    }
    // The second of two stops may come later than all else; in the calm behind it would be trouble of nobody's.
    const endMs = Math.max(this.#plan.endMs, ...this.#plan.steps.map(({ at }) => at));
    await this.#world.run(began + endMs, () => false);
  }

  /** A broker that is whole, every client answered, every subscription where its topic ends. */
  async #recover(): Promise<boolean> {
    const world = this.#world;
    const until = world.clock.monotonic() + CALM_MS;
    // Derived state that was spoiled may fail reads for good; the remedy is in docs/storage.md.
    const spoiled = this.#plan.steps.some((step: Step) => step.do === 'meta');
    // A store that failed once is not written again by that broker, whose shard then can't end clean.
    const failedOnce = this.#plan.steps.some((step: Step) => step.do === 'meta-error');
    if (spoiled || failedOnce || world.process?.healthy !== true || world.weather.hungCalls > 0)
      await this.#restart(spoiled);
    for (let tries = 0; tries < RESTARTS_MAX; tries += 1) {
      const healthy = await this.#untilWithin(20_000, until, () => world.process?.healthy === true);
      if (healthy) break;
      await this.#restart(false);
    }
    if (world.process?.healthy !== true) {
      this.#stuck(`no broker serves: ${JSON.stringify(world.process?.broker.shutdownState.children ?? 'none')}`);
      return false;
    }
    if (await this.#settled(until)) return true;
    this.#stuck(this.#missing().join('; '));
    return false;
  }

  async #restart(removeMeta: boolean): Promise<void> {
    const world = this.#world;
    world.keepUp = false;
    world.process?.kill('kill');
    if (removeMeta) world.removeMeta();
    world.keepUp = true;
    world.start();
    // Whatever the kill left under way lands first.
    await setImmediate();
  }

  async #settled(untilMs: number): Promise<boolean> {
    const world = this.#world;
    for (;;) {
      if (this.#missing().length === 0) return true;
      if (world.clock.monotonic() >= untilMs) return false;
      await world.run(world.clock.monotonic() + LOOK_MS, () => false);
      await this.#lookAtWatermarks();
    }
  }

  #watermarks = new Map<string, number>();

  async #lookAtWatermarks(): Promise<void> {
    const client = this.#world.apps.get('admin')?.client;
    for (const { name } of this.#plan.topics) {
      client?.describe(name).then(
        ({ state }) => {
          for (const { partition, highWatermark } of state) this.#watermarks.set(`${name}/${partition}`, highWatermark);
        },
        () => {},
      );
    }
  }

  /** What has not come right yet, in words. */
  #missing(): string[] {
    const world = this.#world;
    const missing = [...world.apps.values(), ...world.wires.values()].map(({ waitsFor }) => waitsFor).filter(Boolean);
    for (const { name, partitions } of this.#plan.topics) {
      for (let partition = 0; partition < partitions; partition += 1) {
        const highWatermark = this.#watermarks.get(`${name}/${partition}`);
        if (highWatermark === undefined) missing.push(`${name}/${partition}: not described`);
        for (const app of world.apps.values()) {
          for (const subscription of app.subscriptions) {
            if (app.topicOf(subscription) !== name) continue;
            const at = app.positionOf(subscription, partition);
            if (at < (highWatermark ?? 0))
              missing.push(`${subscription} at ${at} of ${highWatermark} in ${name}/${partition}`);
          }
        }
      }
    }
    return [...missing, ...this.#groupsBehind()];
  }

  /** Partitions of groups that no member has read to the end. */
  #groupsBehind(): string[] {
    const behind: string[] = [];
    // Where the log has rotten a group ends, as a subscription does; that one is told of by its error, a group by none.
    const mayEnd = this.#plan.steps.some((step: Step) => step.do === 'rot');
    for (const group of new Set(this.#plan.members?.map((member) => member.group))) {
      const members = [...this.#world.members.values()].filter(({ plan }) => plan.group === group);
      const wanted = new Set(members.flatMap(({ plan }) => plan.topics));
      for (const { name, partitions } of this.#plan.topics.filter((topic) => wanted.has(topic.name))) {
        for (let partition = 0; partition < partitions; partition += 1) {
          const key = `${name}/${partition}`;
          const at = members.flatMap(({ positions }) => positions.get(key) ?? []);
          if (at.length !== 1) behind.push(`${key} is read by ${at.length} members of ${group}`);
          else if (!mayEnd && (at[0] ?? 0) < (this.#watermarks.get(key) ?? 0))
            behind.push(`${group} at ${at[0]} of ${key}`);
        }
      }
    }
    return behind;
  }

  /** A fresh client reads everything there is. */
  async #readBack(): Promise<void> {
    const world = this.#world;
    const admin = world.apps.get('admin');
    for (const { name: topic } of this.#plan.topics) {
      const subscription = `read-back-${topic}`;
      admin?.subscribe({
        do: 'subscribe',
        client: 'admin',
        subscription,
        topic,
        from: 'earliest',
        credit: 1000,
        commitEvery: 0,
        workMs: 0,
      });
    }
    await world.run(world.clock.monotonic() + 10, () => false);
    const until = world.clock.monotonic() + CALM_MS;
    if (!(await this.#settled(until))) this.#stuck(`reading back: ${this.#missing().join('; ')}`);
  }

  async #stopCleanly(): Promise<void> {
    const world = this.#world;
    world.keepUp = false;
    world.process?.stop('graceful', null);
    const gone = await this.#until(60_000, () => world.process === null);
    if (!gone) this.#stuck('the last stop');
    await world.run(world.clock.monotonic() + 100, () => false);
    world.history.add(contentOf(world));
  }

  #until(withinMs: number, done: () => boolean): Promise<boolean> {
    return this.#world.run(this.#world.clock.monotonic() + withinMs, done);
  }

  #untilWithin(withinMs: number, untilMs: number, done: () => boolean): Promise<boolean> {
    return this.#world.run(Math.min(untilMs, this.#world.clock.monotonic() + withinMs), done);
  }
}

function contentOf({ disk }: World): ContentEvent {
  const stored = readDataDirectory(sourceOf(disk, DATA));
  return {
    e: 'content',
    topics: [...stored.topics].map(([topic, { durability, partitions }]) => ({
      topic,
      durability,
      partitions: [...partitions].map(([partition, { epoch, records }]) => ({
        partition,
        epoch,
        records: records.map(({ value, producer, sequence, epoch }) => ({
          id: idOf(value?.toString('utf8') ?? ''),
          producer,
          sequence,
          epoch,
        })),
      })),
    })),
    commits: [...stored.commits],
    faults: stored.faults,
    clean: stored.shards.map(({ clean }) => clean),
  };
}
