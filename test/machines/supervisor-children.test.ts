/** The supervisor with the charts of its real children, whose steps the test fails, hangs or breaks. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createActor, fromPromise } from 'xstate';
import { adminMachine } from '../../src/machines/admin.ts';
import { gatewayMachine } from '../../src/machines/gateway.ts';
import { noCounts, type SupervisorReport } from '../../src/machines/report.ts';
import { type ShardStep, shardMachine } from '../../src/machines/shard.ts';
import { supervisorMachine } from '../../src/machines/supervisor.ts';
import { SimulatedClock, settle } from '../../src/testing/simulated-clock.ts';

const BUDGET_MS = 27_000;
const shardSteps = ['open', 'recover', 'settle', 'writeRemaining', 'checkpoint', 'mark', 'release'] as const;
const endpointSteps = ['bind', 'commitsSettled', 'close'] as const;
type StepName = (typeof shardSteps)[number] | (typeof endpointSteps)[number];
/** What becomes of a step: done after so many ms, failed, or never done. */
type Fate = number | 'fail' | 'hang';
/** By `shard-00 mark`, `gateway bind`, …; a step that is not named is done at once. */
type Fates = Readonly<Record<string, Fate>>;

class World {
  readonly clock = new SimulatedClock();
  readonly did: string[] = [];
  readonly broke: string[] = [];
  readonly actor;

  constructor(fates: Fates = {}, throwing: readonly string[] = []) {
    const run = (name: string): Promise<void> => {
      this.did.push(name);
      const fate = fates[name] ?? 0;
      if (fate === 'fail') return Promise.reject(new Error(`${name} failed`));
      if (fate === 0) return Promise.resolve();
      return new Promise((resolve) => {
        if (fate !== 'hang') this.clock.setTimeout(resolve, fate);
      });
    };
    const act = (name: string): void => {
      this.did.push(name);
      if (throwing.includes(name)) throw new Error(`${name} threw`);
    };
    const ofShard = ({ shard }: ShardStep): string => `shard-0${shard}`;
    const shard = shardMachine.provide({
      actors: Object.fromEntries(
        shardSteps.map((step) => [step, fromPromise<void, ShardStep>(({ input }) => run(`${ofShard(input)} ${step}`))]),
      ) as never,
      actions: Object.fromEntries(
        (['openGate', 'closeGate', 'fence'] as const).map((name) => [
          name,
          ({ context }: { context: ShardStep }) => act(`${ofShard(context)} ${name}`),
        ]),
      ) as never,
    });
    const endpoint = (id: string) =>
      Object.fromEntries(
        endpointSteps.map((step: StepName) => [step, fromPromise<void, never>(() => run(`${id} ${step}`))]),
      );
    const logic = supervisorMachine.provide({
      actors: {
        shard,
        gateway: gatewayMachine.provide({ actors: endpoint('gateway') as never }),
        admin: adminMachine.provide({ actors: endpoint('admin') as never }),
      },
      actions: { childBroke: (_, { id }) => this.broke.push(id) },
    });
    this.actor = createActor(logic, {
      clock: this.clock,
      input: {
        shards: 2,
        grace: { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 0 },
        now: () => this.clock.monotonic(),
        load: () => ({ pendingBytes: 0, flushBytesPerSecond: null }),
        shardCounts: () => noCounts,
        gateway: true,
        admin: true,
        guests: [],
      },
    });
    // An observer for errors: without one XState throws them on the loop.
    this.actor.subscribe({ error: () => {} });
    this.actor.start();
  }

  stop(mode: 'graceful' | 'fast' | 'immediate' = 'graceful'): void {
    if (this.actor.getSnapshot().status === 'active') this.actor.send({ type: 'shutdown', mode, reason: 'test' });
  }

  get report(): SupervisorReport | undefined {
    return this.actor.getSnapshot().output;
  }

  childState(id: string): string | undefined {
    return this.actor.getSnapshot().context.children[id]?.state;
  }

  static async running(fates: Fates = {}, throwing: readonly string[] = []): Promise<World> {
    const world = new World(fates, throwing);
    await settle();
    expect(world.actor.getSnapshot().value).toBe('running');
    return world;
  }
}

describe('the supervisor with its children', () => {
  const warnings: string[] = [];
  beforeEach(() => {
    vi.spyOn(console, 'warn').mockImplementation((text) => warnings.push(String(text)));
  });
  afterEach(() => {
    vi.restoreAllMocks();
    // XState's development build tells of the last child's completion, which comes behind its report. Of nothing else.
    expect(
      warnings.splice(0).filter((text) => !text.includes('"xstate.done.actor.admin" was sent to stopped')),
    ).toEqual([]);
  });

  it('starts and stops clean, with nothing left on the clock', async () => {
    const world = await World.running();
    world.stop();
    await world.clock.advance(0);
    expect(world.report).toMatchObject({ outcome: 'clean', exitCode: 0, unaccounted: [] });
    expect(world.clock.pending).toBe(0);
    expect(world.clock.monotonic()).toBe(0);
  });

  it('shuts the gate of every shard before the first one writes', async () => {
    const world = await World.running();
    world.stop();
    await world.clock.advance(0);
    const last = Math.max(world.did.indexOf('shard-00 closeGate'), world.did.indexOf('shard-01 closeGate'));
    expect(last).toBeLessThan(world.did.findIndex((what) => what.endsWith('writeRemaining')));
  });

  it('a hung shard is abandoned and named 250 ms before the deadline of the flush, its sibling is released', async () => {
    const world = await World.running({ 'shard-00 writeRemaining': 'hang' });
    world.stop();
    await world.clock.advance(BUDGET_MS - 2250);
    expect(world.report).toMatchObject({ outcome: 'abandoned', exitCode: 20, unaccounted: [] });
    expect(world.report?.durationMs).toBe(BUDGET_MS - 2250);
    const children = world.report?.children.map(({ id, state, detail }) => [id, state, detail]);
    expect(children).toContainEqual(['shard-00', 'abandoned', `write, for ${BUDGET_MS - 2250} ms`]);
    expect(children).toContainEqual(['shard-01', 'released', null]);
    expect(world.did).toContain('shard-00 fence');
  });

  it('V9: shards are fenced before the budget ends it, even when it ends while they flush', async () => {
    const world = await World.running({ 'shard-00 release': 'hang', 'shard-01 writeRemaining': 'hang' });
    world.stop();
    await settle();
    world.actor.send({ type: 'budget.over' });
    await world.clock.advance(0);
    expect(world.did).toEqual(expect.arrayContaining(['shard-00 fence', 'shard-01 fence']));
    // The two that were not asked yet.
    expect(world.report).toMatchObject({ outcome: 'abandoned', unaccounted: ['admin', 'gateway'] });
    expect(world.clock.pending).toBe(0);
  });

  it.each(['shard-00 openGate', 'shard-00 closeGate', 'shard-00 fence'])(
    'V8: a chart that breaks in %s makes its shard failed, and its siblings are released',
    async (breaking) => {
      const fates: Fates = breaking.endsWith('fence') ? { 'shard-00 writeRemaining': 'fail' } : {};
      const world = new World(fates, [breaking]);
      await settle();
      world.stop();
      await world.clock.advance(0);
      expect(world.actor.getSnapshot().status).toBe('done');
      expect(world.report).toMatchObject({ outcome: 'failed', exitCode: 21 });
      expect(world.report?.children.find(({ id }) => id === 'shard-00')).toMatchObject({
        state: 'failed',
        detail: `its own chart: ${breaking} threw`,
      });
      expect(world.childState('shard-01')).toBe('released');
      expect(world.broke).toEqual(['shard-00']);
    },
  );

  it('names each child once: ids are given, and none is made twice', async () => {
    const world = await World.running();
    expect(Object.keys(world.actor.getSnapshot().children).sort()).toEqual([
      'admin',
      'gateway',
      'shard-00',
      'shard-01',
    ]);
    world.stop();
    await world.clock.advance(0);
    expect(world.report?.children.map(({ id }) => id).sort()).toEqual(['admin', 'gateway', 'shard-00', 'shard-01']);
  });

  it('I3, I8, I11: whatever fails, hangs or is slow, it ends within the budget and tells the truth', async () => {
    const names = [
      ...['shard-00', 'shard-01'].flatMap((id) => shardSteps.map((step) => `${id} ${step}`)),
      ...['gateway', 'admin'].flatMap((id) => endpointSteps.map((step) => `${id} ${step}`)),
    ];
    const fate: fc.Arbitrary<Fate> = fc.oneof(
      fc.integer({ min: 1, max: 30_000 }),
      fc.constantFrom('fail' as const, 'hang' as const),
    );
    const fates = fc.dictionary(fc.constantFrom(...names), fate, { maxKeys: 4 });
    const stops = fc.array(
      fc.record({
        mode: fc.constantFrom('graceful' as const, 'fast' as const, 'immediate' as const),
        afterMs: fc.integer({ min: 0, max: 12_000 }),
      }),
      { minLength: 1, maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(fates, stops, async (given, asked) => {
        const world = new World(given);
        for (const { mode, afterMs } of asked) {
          await world.clock.advance(afterMs);
          world.stop(mode);
        }
        await world.clock.advance(BUDGET_MS + 30_000);
        const { report } = world;
        expect(world.actor.getSnapshot().status).toBe('done');
        if (report === undefined) return;
        expect(report.durationMs).toBeLessThanOrEqual(BUDGET_MS);
        for (const { id, kind, state } of report.children) {
          if (kind !== 'shard' || state !== 'released') continue;
          // A step that failed or never ended may not have been needed; one that was begun has to have been done.
          const bad = shardSteps.filter((step) => ['fail', 'hang'].includes(String(given[`${id} ${step}`])));
          for (const step of bad.filter((name) => name !== 'settle')) expect(world.did).not.toContain(`${id} ${step}`);
        }
        if (report.exitCode !== 0) return;
        expect(report.children.every(({ state }) => state === 'released')).toBe(true);
        expect([report.lost, report.unknown, report.unaccounted]).toEqual([0, 0, []]);
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});
