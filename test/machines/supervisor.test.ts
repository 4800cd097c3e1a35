import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createActor, fromCallback } from 'xstate';
import type { EndpointEvent } from '../../src/machines/endpoint.ts';
import { type ChildReport, noCounts, type SupervisorReport } from '../../src/machines/report.ts';
import { type ShardEvent, type ShardInput, shardId } from '../../src/machines/shard.ts';
import { type SupervisorEvent, supervisorMachine } from '../../src/machines/supervisor.ts';
import { SimulatedClock, settle } from '../../src/testing/simulated-clock.ts';

const GRACE_MS = 30_000;
const BUDGET_MS = 27_000;

/** A supervisor whose children the test plays: what each was told, in order, and what it reports when the test says so. */
class Rig {
  readonly clock = new SimulatedClock();
  readonly told: string[] = [];
  readonly actor;

  constructor(options: { shards?: number; announceMs?: number; guests?: string[] } = {}) {
    const { shards = 2, announceMs = 0, guests = [] } = options;
    const child = (id: string) => (event: { type: string }) => this.told.push(`${id} ${event.type}`);
    const endpoint = (id: string) =>
      fromCallback<EndpointEvent>(({ receive }) => {
        this.told.push(`${id} spawned`);
        receive(child(id));
      });
    const logic = supervisorMachine.provide({
      actors: {
        shard: fromCallback<ShardEvent, ShardInput>(({ receive, input }) => {
          this.told.push(`${shardId(input.shard)} spawned`);
          receive(child(shardId(input.shard)));
        }) as never,
        gateway: endpoint('gateway') as never,
        admin: endpoint('admin') as never,
      },
    });
    this.actor = createActor(logic, {
      clock: this.clock,
      input: {
        shards,
        grace: { gracePeriodMs: GRACE_MS, preStopMs: 0, announceMs },
        now: () => this.clock.monotonic(),
        load: () => ({ pendingBytes: 0, flushBytesPerSecond: null }),
        shardCounts: () => noCounts,
        gateway: true,
        admin: true,
        guests: guests.map((id) => ({ id, ref: createActor(endpoint(id)).start() })),
      },
    });
    this.actor.start();
  }

  send(...events: SupervisorEvent[]): void {
    for (const event of events) if (this.actor.getSnapshot().status === 'active') this.actor.send(event);
  }

  report(type: 'ready' | 'drained' | 'released', ...ids: string[]): void {
    for (const id of ids) this.send({ type: `child.${type}`, id } as ChildReport);
  }

  fail(id: string, during = 'write', detail = 'EIO'): void {
    this.send({ type: 'child.failed', id, during, detail });
  }

  get phase(): string {
    const { value } = this.actor.getSnapshot();
    return typeof value === 'string' ? value : (Object.keys(value)[0] ?? '');
  }

  get output(): SupervisorReport | undefined {
    return this.actor.getSnapshot().output;
  }

  static running(options: ConstructorParameters<typeof Rig>[0] = {}): Rig {
    const rig = new Rig(options);
    rig.report(
      'ready',
      'admin',
      ...Array.from({ length: options?.shards ?? 2 }, (_, shard) => shardId(shard)),
      'gateway',
    );
    expect(rig.phase).toBe('running');
    rig.told.length = 0;
    return rig;
  }
}

const shutdown = (mode: 'graceful' | 'fast' | 'immediate' = 'graceful', reason = 'SIGTERM'): SupervisorEvent => ({
  type: 'shutdown',
  mode,
  reason,
});
const shards = ['shard-00', 'shard-01'];

describe('the chart of the supervisor', () => {
  it('V5: starts the admin endpoint first, then the shards, then the gateway', () => {
    const rig = new Rig();
    expect(rig.told).toEqual(['admin spawned']);
    rig.report('ready', 'admin');
    expect(rig.told.slice(1)).toEqual(['shard-00 spawned', 'shard-01 spawned']);
    rig.report('ready', 'shard-01');
    expect(rig.told).not.toContain('gateway spawned');
    rig.report('ready', 'shard-00');
    expect(rig.told.at(-1)).toBe('gateway spawned');
    rig.report('ready', 'gateway');
    expect(rig.phase).toBe('running');
  });

  it('V2, V5: goes down in order: barrier, flush, close, admin last, and is clean', async () => {
    const rig = Rig.running();
    rig.send(shutdown());
    await rig.clock.advance(0);
    expect(rig.told.slice(0, 3)).toEqual(['shard-00 shard.drain', 'shard-01 shard.drain', 'gateway shutdown.drain']);
    rig.report('drained', ...shards, 'gateway');
    expect(rig.phase).toBe('flushing');
    expect(rig.told.slice(-3)).toEqual(['shard-00 shard.flush', 'shard-01 shard.flush', 'gateway shutdown.close']);
    rig.report('released', 'shard-00', 'gateway');
    expect(rig.phase).toBe('flushing');
    rig.report('released', 'shard-01');
    expect(rig.told.at(-1)).toBe('admin shutdown.close');
    expect(rig.output).toBeUndefined();
    rig.report('released', 'admin');
    expect(rig.output).toMatchObject({ outcome: 'clean', exitCode: 0, reason: 'SIGTERM', unaccounted: [] });
    expect(rig.output?.phases.map(({ phase }) => phase)).toEqual([
      'starting',
      'running',
      'announcing',
      'draining',
      'flushing',
      'releasing',
    ]);
    expect(rig.clock.pending).toBe(0);
  });

  it('announces for as long as it was told, and a harder request cuts that short', async () => {
    const rig = Rig.running({ announceMs: 5000 });
    rig.send(shutdown());
    await rig.clock.advance(4999);
    expect(rig.phase).toBe('announcing');
    await rig.clock.advance(1);
    expect(rig.phase).toBe('draining');
    const hurried = Rig.running({ announceMs: 5000 });
    hurried.send(shutdown(), shutdown('fast', 'SIGINT'));
    expect(hurried.phase).toBe('draining');
  });

  it('V1: ends at the deadline and names the children that never answered', async () => {
    const rig = Rig.running();
    rig.send(shutdown());
    await rig.clock.advance(0);
    rig.report('drained', ...shards);
    rig.report('released', 'shard-00');
    await rig.clock.advance(BUDGET_MS);
    expect(rig.output).toMatchObject({ outcome: 'abandoned', exitCode: 20 });
    expect([...(rig.output?.unaccounted ?? [])].sort()).toEqual(['admin', 'gateway', 'shard-01']);
    expect(rig.clock.monotonic()).toBeLessThanOrEqual(BUDGET_MS);
  });

  it('V2: one failed shard makes it failed, and its sibling is still flushed', async () => {
    const rig = Rig.running();
    rig.send(shutdown());
    await rig.clock.advance(0);
    rig.report('drained', ...shards, 'gateway');
    rig.fail('shard-00');
    rig.report('released', 'shard-01', 'gateway', 'admin');
    expect(rig.output).toMatchObject({ outcome: 'failed', exitCode: 21 });
    expect(rig.output?.children.find(({ id }) => id === 'shard-00')).toMatchObject({
      state: 'failed',
      detail: 'write: EIO',
    });
  });

  it('an end is told once: a late report changes nothing', async () => {
    const rig = Rig.running();
    rig.fail('shard-00');
    rig.report('released', 'shard-00');
    rig.report('ready', 'shard-00');
    rig.report('released', 'nobody');
    expect(rig.actor.getSnapshot().context.children['shard-00']?.state).toBe('failed');
    expect(Object.keys(rig.actor.getSnapshot().context.children)).not.toContain('nobody');
  });

  it('V3: only escalates, and counts every request', async () => {
    const rig = Rig.running();
    rig.send(shutdown('fast'), shutdown('graceful'), shutdown('graceful'));
    expect(rig.actor.getSnapshot().context).toMatchObject({ mode: 'fast', requests: 3 });
    rig.send(shutdown('immediate'));
    expect(rig.phase).toBe('flushing');
    expect(rig.told.filter((line) => line.endsWith('shard.abandon'))).toHaveLength(2);
    for (const id of shards) rig.send({ type: 'child.abandoned', id, operation: 'forced', ageMs: 0 });
    rig.report('released', 'gateway', 'admin');
    expect(rig.output).toMatchObject({ outcome: 'forced', exitCode: 22 });
  });

  it('V3: a thousand repeated signals are counted, and change nothing else', async () => {
    const rig = Rig.running({ announceMs: 5000 });
    for (let signal = 0; signal < 500; signal += 1) rig.send(shutdown());
    expect(rig.phase).toBe('announcing');
    await rig.clock.advance(5000);
    const told = [...rig.told];
    for (let signal = 0; signal < 500; signal += 1) rig.send(shutdown());
    expect(rig.phase).toBe('draining');
    expect(rig.told).toEqual(told);
    expect(rig.actor.getSnapshot().context.requests).toBe(1000);
    rig.report('drained', ...shards, 'gateway');
    rig.report('released', ...shards, 'gateway', 'admin');
    expect(rig.output).toMatchObject({ outcome: 'clean', requests: 1000 });
  });

  it('V2: pressed to the utmost when everything is released, it is clean all the same', async () => {
    const rig = Rig.running();
    rig.send(shutdown());
    await rig.clock.advance(0);
    rig.report('drained', ...shards, 'gateway');
    rig.report('released', ...shards, 'gateway');
    rig.send(shutdown('immediate', 'SIGINT'));
    rig.report('released', 'admin');
    expect(rig.output).toMatchObject({ outcome: 'clean', exitCode: 0, mode: 'immediate' });
  });

  it('tells the gateway to spend no time on its pace when it is pressed while it closes', async () => {
    const rig = Rig.running();
    rig.send(shutdown());
    await rig.clock.advance(0);
    rig.report('drained', ...shards, 'gateway');
    rig.report('released', 'shard-00');
    rig.told.length = 0;
    rig.send(shutdown('fast', 'SIGINT'));
    expect(rig.told).toEqual(['shard-01 shard.flush', 'gateway shutdown.close']);
    rig.report('released', 'shard-01');
    expect(rig.phase).toBe('releasing');
    rig.told.length = 0;
    rig.send(shutdown('graceful'), shutdown('immediate', 'SIGINT'));
    expect(rig.told).toEqual(['gateway shutdown.close']);
  });

  it('ends at an earlier deadline when it is given one, then or later, and never at a later one', async () => {
    const early = Rig.running();
    early.send({ type: 'shutdown', mode: 'graceful', reason: 'stop', deadline: 5000 });
    await early.clock.advance(4999);
    expect(early.output).toBeUndefined();
    await early.clock.advance(1);
    expect(early.output).toMatchObject({ outcome: 'abandoned', durationMs: 5000 });
    const later = Rig.running();
    later.send(shutdown());
    await later.clock.advance(1000);
    later.send({ type: 'shutdown', mode: 'graceful', reason: 'stop', deadline: 90_000 });
    expect(later.actor.getSnapshot().context.plan?.reportUntil).toBe(BUDGET_MS);
    later.send({ type: 'shutdown', mode: 'graceful', reason: 'stop', deadline: 6000 });
    await later.clock.advance(5000);
    expect(later.output).toMatchObject({ outcome: 'abandoned', durationMs: 6000 });
  });

  it('immediate leaves time to let go, and no more', async () => {
    const rig = Rig.running();
    rig.send(shutdown());
    await rig.clock.advance(3000);
    rig.send(shutdown('immediate', 'SIGQUIT'));
    await rig.clock.advance(2000);
    expect(rig.output).toMatchObject({ outcome: 'forced', exitCode: 22, durationMs: 5000 });
  });

  it('a fatal error is told as one', async () => {
    const rig = Rig.running();
    rig.send({ type: 'shutdown', mode: 'fast', reason: 'fatal', fatal: true });
    await rig.clock.advance(0);
    rig.report('drained', ...shards, 'gateway');
    rig.report('released', ...shards, 'gateway', 'admin');
    expect(rig.output).toMatchObject({ outcome: 'fatal', exitCode: 23 });
  });

  it('V4: drains without exit, stays, and serves again when that is cancelled', async () => {
    const rig = Rig.running();
    rig.send({ type: 'drain', reason: 'SIGUSR2' });
    rig.report('drained', ...shards, 'gateway');
    await rig.clock.advance(100_000);
    expect(rig.phase).toBe('draining');
    rig.told.length = 0;
    rig.send({ type: 'drain.cancel' });
    expect(rig.phase).toBe('running');
    expect(rig.told).toEqual(['shard-00 shard.resume', 'shard-01 shard.resume', 'gateway shutdown.cancelled']);
    expect(rig.actor.getSnapshot().context.children['shard-00']?.state).toBe('ready');
  });

  it('V4: a drain becomes a shutdown, which can no longer be cancelled', async () => {
    const rig = Rig.running();
    rig.send({ type: 'drain', reason: 'SIGUSR2' });
    rig.report('drained', ...shards, 'gateway');
    rig.send(shutdown());
    expect(rig.phase).toBe('flushing');
    rig.send({ type: 'drain.cancel' });
    expect(rig.phase).toBe('flushing');
  });

  it('V6: serves with one shard failed at the start, and fails when none can serve', () => {
    const rig = new Rig();
    rig.report('ready', 'admin');
    rig.fail('shard-00', 'open', 'damaged');
    rig.report('ready', 'shard-01', 'gateway');
    expect(rig.phase).toBe('running');
    const none = new Rig();
    none.report('ready', 'admin');
    for (const id of shards) none.fail(id, 'open', 'damaged');
    none.report('released', 'admin');
    expect(none.output).toMatchObject({ outcome: 'start-failed', exitCode: 1 });
    expect(none.told).not.toContain('gateway spawned');
  });

  it('V6: a gateway that cannot listen takes the shards down with it, flushed', () => {
    const rig = new Rig();
    rig.report('ready', 'admin', ...shards);
    rig.fail('gateway', 'bind', 'EADDRINUSE');
    rig.report('drained', ...shards);
    expect(rig.told.filter((line) => line.endsWith('shard.flush'))).toHaveLength(2);
    rig.report('released', ...shards, 'admin');
    expect(rig.output).toMatchObject({ outcome: 'start-failed', exitCode: 1 });
  });

  it('V7: a shutdown while it starts is acted on at once, whatever has started', async () => {
    for (const ready of [[], ['admin'], ['admin', 'shard-00'], ['admin', ...shards]]) {
      const rig = new Rig();
      rig.report('ready', ...ready);
      rig.send(shutdown());
      await rig.clock.advance(0);
      const spawned = rig.told.filter((line) => line.endsWith('spawned')).map((line) => line.split(' ')[0] as string);
      rig.report('drained', ...spawned);
      rig.report('released', ...spawned);
      expect(rig.output, ready.join()).toMatchObject({ outcome: 'clean', exitCode: 0, unaccounted: [] });
    }
  });

  it('waits for guests like for its own, and names one that does not answer', async () => {
    const rig = Rig.running({ guests: ['worker'] });
    rig.send(shutdown());
    await rig.clock.advance(0);
    rig.report('drained', ...shards, 'gateway');
    expect(rig.phase).toBe('draining');
    expect(rig.told).toContain('worker shutdown');
    rig.report('drained', 'worker');
    rig.report('released', ...shards, 'gateway');
    await rig.clock.advance(BUDGET_MS);
    expect(rig.output?.unaccounted).toContain('worker');
  });

  it('V1–V4: any order of events ends in a whole state, at most the budget after the first request', async () => {
    const ids = ['admin', ...shards, 'gateway'];
    const event = fc.oneof(
      fc.record({
        type: fc.constantFrom('child.ready', 'child.drained', 'child.released'),
        id: fc.constantFrom(...ids),
      }),
      fc.record({
        type: fc.constant('child.failed'),
        id: fc.constantFrom(...ids),
        during: fc.constant('write'),
        detail: fc.constant('EIO'),
      }),
      fc.record({
        type: fc.constant('child.abandoned'),
        id: fc.constantFrom(...ids),
        operation: fc.constant('write'),
        ageMs: fc.constant(9),
      }),
      fc.record({
        type: fc.constant('shutdown'),
        mode: fc.constantFrom('graceful', 'fast', 'immediate'),
        reason: fc.constant('test'),
      }),
      fc.constant({ type: 'drain', reason: 'test' }),
      fc.constant({ type: 'drain.cancel' }),
      fc.record({ type: fc.constant('wait'), ms: fc.integer({ min: 0, max: 9000 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 25 }), async (events) => {
        const rig = new Rig();
        let askedAt: number | null = null;
        for (const next of events) {
          if (next.type === 'wait') await rig.clock.advance((next as { ms: number }).ms);
          else {
            if (next.type === 'shutdown') askedAt ??= rig.clock.monotonic();
            rig.send(next as SupervisorEvent);
          }
          expect(rig.actor.getSnapshot().status).not.toBe('error');
        }
        await settle();
        if (rig.output === undefined) {
          askedAt ??= rig.clock.monotonic();
          rig.send(shutdown());
          await rig.clock.advance(BUDGET_MS);
        }
        checkReport(rig.output);
        if (askedAt !== null) expect(rig.output?.durationMs).toBeLessThanOrEqual(BUDGET_MS);
      }),
      { numRuns: 400 },
    );
  }, 60_000);
});

/** I3 and I11: clean means that every child reported its release, and nothing else does. */
function checkReport(report: SupervisorReport | undefined): void {
  expect(report).toBeDefined();
  if (report === undefined) return;
  const states = report.children.map(({ state }) => state);
  const clean = states.every((state) => state === 'released') && report.unaccounted.length === 0;
  if (report.exitCode === 0) expect(clean).toBe(true);
  expect(report.exitCode === 0).toBe(report.outcome === 'clean');
  expect(report.unaccounted).toEqual(
    report.children.filter(({ state }) => !['released', 'failed', 'abandoned'].includes(state)).map(({ id }) => id),
  );
}
