/** The chart of a supervised actor: its budget, its pauses, its leaving; driven on a told clock. */
import { describe, expect, it } from 'vitest';
import { type AnyActorLogic, createActor, fromCallback, fromPromise, setup } from 'xstate';
import type { ChildReport } from '../../src/machines/report.ts';
import { type RestartPolicy, supervisedMachine } from '../../src/machines/supervised.ts';
import { SimulatedClock } from '../../src/testing/index.ts';

const usual: RestartPolicy = { restarts: 3, withinMs: 1000, backoff: { minMs: 10, maxMs: 40 } };

interface Watched {
  readonly clock: SimulatedClock;
  readonly reports: ChildReport[];
  readonly failures: unknown[];
  readonly actor: ReturnType<typeof createActor<typeof supervisedMachine>>;
}

function watch(logic: AnyActorLogic, policy: Partial<RestartPolicy> = {}, random = () => 1): Watched {
  const clock = new SimulatedClock();
  const reports: ChildReport[] = [];
  const failures: unknown[] = [];
  const parent = createActor(
    fromCallback<ChildReport>(({ receive }) => receive((report) => reports.push(report))),
  ).start();
  const actor = createActor(
    supervisedMachine.provide({
      actors: { actor: logic as never },
      actions: { failed: (_, { error }) => failures.push(error), gaveUp: (_, { error }) => failures.push(error) },
    }),
    {
      clock,
      input: { id: 'own', parent, policy: { ...usual, ...policy }, input: 7, now: () => clock.monotonic(), random },
    },
  );
  actor.start();
  return { clock, reports, failures, actor };
}

const failing = fromPromise(async () => {
  throw new Error('no');
});

const leave = (deadline: number) => ({ type: 'shutdown', reason: 'deploy', mode: 'graceful', deadline }) as const;

const politely = setup({ types: {} as { events: { type: 'shutdown' } } }).createMachine({
  initial: 'working',
  states: { working: { on: { shutdown: 'gone' } }, gone: { type: 'final' } },
});

describe('a supervised actor', () => {
  it('R1, R2: is begun again within its budget, each pause twice as long up to the most, and then given up', async () => {
    const { clock, reports, failures, actor } = watch(failing);
    const begun: number[] = [];
    actor.subscribe({
      next: (snapshot) => {
        if (snapshot.hasTag('alive')) begun.push(clock.monotonic());
      },
    });
    await clock.advance(1000);
    expect(begun).toEqual([10, 30, 70]);
    expect(failures).toHaveLength(4);
    expect(actor.getSnapshot().value).toBe('givenUp');
    expect(reports).toEqual([{ type: 'child.failed', id: 'own', during: 'its 4. run', detail: 'no' }]);
  });

  it('R1: failures that lie further back than the window no longer count', async () => {
    const { clock, actor } = watch(failing, { restarts: 2, withinMs: 25 });
    await clock.advance(5000);
    // 0 + 10, + 20: at 30 the first one is out of the window, so that there are never more than two within it.
    expect(actor.getSnapshot().status).toBe('active');
    expect(actor.getSnapshot().context.restarts).toBeGreaterThan(100);
    expect(actor.getSnapshot().context.failures.length).toBeLessThanOrEqual(2);
  });

  it('R2: waits half of the window at least', async () => {
    const { clock, actor } = watch(failing, {}, () => 0);
    await clock.advance(4);
    expect(actor.getSnapshot().value).toBe('pausing');
    await clock.advance(1);
    expect(actor.getSnapshot().context.restarts).toBe(2);
  });

  it('has no restart when its budget is 0', async () => {
    const { clock, actor, reports } = watch(failing, { restarts: 0 });
    await clock.advance(0);
    expect(actor.getSnapshot().value).toBe('givenUp');
    expect(reports).toHaveLength(1);
  });

  it('that ends by itself is done, and is not begun again', async () => {
    const { clock, actor, reports, failures } = watch(fromPromise(async () => 'whole'));
    await clock.advance(1000);
    expect(actor.getSnapshot().value).toBe('done');
    expect(reports).toEqual([{ type: 'child.released', id: 'own' }]);
    expect(failures).toEqual([]);
  });

  it('is given its input each time', async () => {
    const seen: unknown[] = [];
    const logic = fromPromise<void, number>(async ({ input }) => {
      seen.push(input);
      throw new Error('again');
    });
    const { clock } = watch(logic);
    await clock.advance(1000);
    expect(seen).toEqual([7, 7, 7, 7]);
  });

  it('R3: that was told to leave is let go by its own end', async () => {
    const { clock, actor, reports } = watch(politely);
    actor.send(leave(500));
    await clock.advance(0);
    expect(actor.getSnapshot().value).toBe('left');
    expect(reports).toEqual([{ type: 'child.released', id: 'own' }]);
    expect(clock.pending).toBe(0);
  });

  it('R3: that does not answer is stopped at its deadline, and reported as abandoned', async () => {
    let stopped = false;
    const { clock, actor, reports } = watch(
      fromCallback(() => () => {
        stopped = true;
      }),
    );
    await clock.advance(100);
    actor.send(leave(500));
    await clock.advance(399);
    expect(actor.getSnapshot().value).toEqual({ alive: 'leaving' });
    await clock.advance(1);
    expect(actor.getSnapshot().value).toBe('abandoned');
    expect(stopped).toBe(true);
    expect(reports).toEqual([{ type: 'child.abandoned', id: 'own', operation: 'shutdown', ageMs: 400 }]);
  });

  it('R3: told again, the nearer deadline holds', async () => {
    const { clock, actor } = watch(fromCallback(() => {}));
    actor.send(leave(10_000));
    actor.send(leave(50));
    await clock.advance(50);
    expect(actor.getSnapshot().value).toBe('abandoned');
  });

  it('R3: that pauses when it is told to leave is gone at once, and one that fails on its way is not begun again', async () => {
    const pausing = watch(failing);
    await pausing.clock.advance(0);
    expect(pausing.actor.getSnapshot().value).toBe('pausing');
    pausing.actor.send(leave(500));
    expect(pausing.reports).toEqual([{ type: 'child.released', id: 'own' }]);
    expect(pausing.clock.pending).toBe(0);
    const clumsy = fromPromise(
      ({ signal: _ }) => new Promise((__, reject) => setImmediate(() => reject(new Error('fell')))),
    );
    const leaving = watch(clumsy);
    leaving.actor.send(leave(500));
    await new Promise((resolve) => setImmediate(resolve));
    await leaving.clock.advance(10);
    expect(leaving.reports).toEqual([{ type: 'child.failed', id: 'own', during: 'shutdown', detail: 'fell' }]);
  });

  it('R4: whatever fires, in whatever state, it is never in error', async () => {
    for (const logic of [failing, politely, fromCallback(() => {}), fromPromise(async () => 1)]) {
      for (const told of [0, 1, 2]) {
        const { clock, actor } = watch(logic);
        for (let at = 0; at < 6; at += 1) {
          if (at >= told && actor.getSnapshot().status === 'active') actor.send(leave(30));
          await clock.advance(9);
        }
        expect(actor.getSnapshot().status).not.toBe('error');
      }
    }
  });
});
