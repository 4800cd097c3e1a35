import { describe, expect, it } from 'vitest';
import { createActor, fromPromise, fromTransition } from 'xstate';
import { type ChildReport, noCounts } from '../../src/machines/report.ts';
import { type ShardEvent, type ShardStep, shardMachine } from '../../src/machines/shard.ts';
import { SimulatedClock, settle } from '../../src/testing/simulated-clock.ts';

const steps = ['open', 'recover', 'settle', 'writeRemaining', 'checkpoint', 'mark', 'release'] as const;
type Step = (typeof steps)[number];

/** A shard's chart whose steps the test completes, with what it did and said in order. */
class Rig {
  readonly clock = new SimulatedClock();
  readonly did: string[] = [];
  readonly reports: ChildReport[] = [];
  readonly #held = new Map<Step, { resolve: () => void; reject: (error: Error) => void }>();
  readonly actor;

  constructor(held: readonly Step[] = []) {
    const hold = (name: Step) =>
      fromPromise<void, ShardStep>(() => {
        this.did.push(name);
        if (!held.includes(name)) return Promise.resolve();
        return new Promise<void>((resolve, reject) => this.#held.set(name, { resolve, reject }));
      });
    const parent = createActor(fromTransition((_, report: ChildReport) => void this.reports.push(report), undefined));
    parent.start();
    const logic = shardMachine.provide({
      actors: Object.fromEntries(steps.map((name) => [name, hold(name)])) as never,
      actions: {
        openGate: () => this.did.push('openGate'),
        closeGate: () => this.did.push('closeGate'),
        abortRecovery: () => this.did.push('abortRecovery'),
        fence: () => this.did.push('fence'),
      },
    });
    this.actor = createActor(logic, {
      clock: this.clock,
      input: { shard: 3, now: () => this.clock.monotonic(), parent, counts: () => noCounts },
    });
    this.actor.start();
  }

  async send(...events: ShardEvent[]): Promise<void> {
    // XState warns of every event to an actor that has ended.
    for (const event of events) if (this.actor.getSnapshot().status === 'active') this.actor.send(event);
    await settle();
  }

  async finish(step: Step, error?: Error): Promise<void> {
    const held = this.#held.get(step);
    if (error === undefined) held?.resolve();
    else held?.reject(error);
    await settle();
  }

  get state(): string {
    const { value } = this.actor.getSnapshot();
    return typeof value === 'string'
      ? value
      : (Object.entries(value).map(([outer, inner]) => `${outer}.${inner}`)[0] ?? '');
  }

  get ends(): string[] {
    return this.reports.map(({ type }) => type).filter((type) => /released|failed|abandoned/.test(type));
  }
}

const drain: ShardEvent = { type: 'shard.drain', retryAfterMs: 500 };
const flushBy = (deadline: number): ShardEvent => ({ type: 'shard.flush', deadline });

async function running(held: readonly Step[] = []): Promise<Rig> {
  const rig = new Rig(held);
  await settle();
  expect(rig.state).toBe('running');
  return rig;
}

describe('the chart of a shard', () => {
  it('opens, recovers, opens its gate and says that it is ready', async () => {
    const rig = await running();
    expect(rig.did).toEqual(['open', 'recover', 'openGate']);
    expect(rig.reports).toEqual([{ type: 'child.ready', id: 'shard-03' }]);
  });

  it('H1: shuts the gate before anything else on a drain', async () => {
    const rig = await running(['settle']);
    rig.did.length = 0;
    await rig.send(drain);
    expect(rig.did[0]).toBe('closeGate');
    expect(rig.state).toBe('draining.settling');
    expect(rig.actor.getSnapshot().hasTag('accepting')).toBe(false);
  });

  it('H2: releases only behind write, checkpoint, mark and release, in that order', async () => {
    const rig = await running();
    await rig.send(drain);
    expect(rig.reports.at(-1)?.type).toBe('child.drained');
    rig.did.length = 0;
    await rig.send(flushBy(10_000));
    expect(rig.did).toEqual(['writeRemaining', 'checkpoint', 'mark', 'release']);
    expect(rig.state).toBe('released');
    expect(rig.ends).toEqual(['child.released']);
  });

  it.each(['writeRemaining', 'checkpoint', 'mark', 'release'] as const)(
    'H3, H4: a failed %s is failed, fenced, and never released',
    async (step) => {
      const rig = await running([step]);
      await rig.send(drain, flushBy(10_000));
      await rig.finish(step, new Error('EIO'));
      await rig.clock.advance(2000);
      expect(rig.state).toBe('failed');
      expect(rig.ends).toEqual(['child.failed']);
      expect(rig.actor.getSnapshot().output?.outcome).toBe('failed');
      expect(rig.did).toContain('fence');
    },
  );

  it.each(['writeRemaining', 'checkpoint', 'mark', 'release'] as const)(
    'H3, H4: a hung %s is abandoned 250 ms before the deadline, named, and a late completion changes nothing',
    async (step) => {
      const rig = await running([step]);
      await rig.send(drain, flushBy(5000));
      await rig.clock.advance(4749);
      expect(rig.ends).toEqual([]);
      await rig.clock.advance(1);
      expect(rig.state).toBe('abandoned');
      const report = rig.reports.at(-1);
      expect(report).toMatchObject({ type: 'child.abandoned', id: 'shard-03', ageMs: 4750 });
      const did = [...rig.did];
      await rig.finish(step);
      expect(rig.did).toEqual(did);
      expect(rig.ends).toEqual(['child.abandoned']);
    },
  );

  it('H5: a drain while it opens is acted on when the open completes, and nothing is left half open', async () => {
    const rig = new Rig(['open']);
    await rig.send(drain, flushBy(10_000));
    expect(rig.state).toBe('opening');
    await rig.finish('open');
    expect(rig.did).toEqual(['open', 'abortRecovery', 'release']);
    expect(rig.state).toBe('released');
  });

  it('H5: a drain while a long log is checked ends the check and releases', async () => {
    const rig = new Rig(['open']);
    await rig.send(drain);
    await rig.finish('open', new DOMException('This operation was aborted', 'AbortError'));
    expect(rig.did).toEqual(['open', 'abortRecovery', 'release']);
    expect(rig.state).toBe('released');
  });

  it('H5: a drain while it recovers aborts the replay and releases', async () => {
    const rig = new Rig(['recover']);
    await settle();
    await rig.send(drain);
    expect(rig.did).toContain('abortRecovery');
    await rig.finish('recover', new DOMException('This operation was aborted', 'AbortError'));
    expect(rig.state).toBe('released');
    expect(rig.did).not.toContain('openGate');
  });

  it('H3: a recovery that fails while it is being aborted is failed, never released', async () => {
    const rig = new Rig(['recover']);
    await settle();
    await rig.send(drain);
    await rig.finish('recover', new Error('the log is damaged'));
    expect(rig.ends).toEqual(['child.failed']);
  });

  it('H7: a failed shard is told only when its descriptors are let go', async () => {
    const rig = await running(['release']);
    await rig.send({ type: 'shard.fault', error: new Error('EIO') });
    expect(rig.did.slice(-2)).toEqual(['fence', 'release']);
    expect(rig.ends).toEqual([]);
    await rig.finish('release');
    expect(rig.ends).toEqual(['child.failed']);
  });

  it('a failed shard that does not let go is told at its deadline all the same', async () => {
    const rig = await running(['release', 'writeRemaining']);
    await rig.send(drain, flushBy(1000));
    await rig.clock.advance(500);
    await rig.finish('writeRemaining', new Error('EIO'));
    await rig.clock.advance(249);
    expect(rig.ends).toEqual([]);
    await rig.clock.advance(1);
    expect(rig.ends).toEqual(['child.failed']);
    expect(rig.clock.pending).toBe(0);
  });

  it('H6: a flush without a drain goes through the drain, gate first', async () => {
    const rig = await running();
    rig.did.length = 0;
    await rig.send(flushBy(10_000));
    expect(rig.did[0]).toBe('closeGate');
    expect(rig.ends).toEqual(['child.released']);
  });

  it('an open that hangs is abandoned at the deadline of the flush', async () => {
    const rig = new Rig(['open']);
    await rig.send(drain, flushBy(3000));
    await rig.clock.advance(3000);
    expect(rig.reports.at(-1)).toMatchObject({ type: 'child.abandoned', operation: 'open' });
  });

  it('an open that fails is failed', async () => {
    const rig = new Rig(['open']);
    await rig.finish('open', new Error('damaged'));
    await rig.clock.advance(2000);
    expect(rig.reports.at(-1)).toMatchObject({ type: 'child.failed', detail: 'open: damaged', during: 'open' });
  });

  it('resumes from a drain, and drains again', async () => {
    const rig = await running();
    await rig.send(drain, { type: 'shard.resume' });
    expect(rig.state).toBe('running');
    expect(rig.did.at(-1)).toBe('openGate');
    await rig.send(drain, flushBy(10_000));
    expect(rig.state).toBe('released');
  });

  it('a fault while it runs is failed, and its descriptors are let go', async () => {
    const rig = await running();
    await rig.send({ type: 'shard.fault', error: new Error('the log is gone') });
    expect(rig.state).toBe('failed');
    expect(rig.did.slice(-2)).toEqual(['fence', 'release']);
    expect(rig.ends).toEqual(['child.failed']);
  });

  it('H6, H7: every event in every state leaves it whole, with at most one end', async () => {
    const events: ShardEvent[] = [
      drain,
      flushBy(1000),
      { type: 'shard.resume' },
      { type: 'shard.abandon', reason: 'forced' },
      { type: 'shard.fault', error: 'broken' },
      { type: 'shard.late' },
    ];
    for (const held of [[], ...steps.map((step) => [step])] as Step[][]) {
      for (const first of events) {
        for (const second of events) {
          const rig = new Rig(held);
          await settle();
          await rig.send(first, second);
          await rig.clock.advance(2000);
          for (const step of held) await rig.finish(step);
          await rig.send(flushBy(rig.clock.monotonic() + 1000));
          await rig.clock.advance(5000);
          const what = `${held[0] ?? 'nothing'} held, ${first.type}, ${second.type}`;
          expect(rig.actor.getSnapshot().status, what).toBe('done');
          expect(rig.ends.length, what).toBe(1);
          const end = rig.ends[0];
          expect(end, what).toBe(`child.${rig.actor.getSnapshot().output?.outcome}`);
          if (end !== 'child.released') expect(rig.did, what).toContain('fence');
          expect(rig.clock.pending, what).toBe(0);
        }
      }
    }
  });
});
