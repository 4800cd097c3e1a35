/** What the gateway and the admin endpoint say of themselves, word for word, and what their parts are told. */
import { describe, expect, it } from 'vitest';
import { type AnyStateMachine, createActor, fromPromise, fromTransition } from 'xstate';
import { adminMachine } from '../../src/machines/admin.ts';
import { planBudget } from '../../src/machines/budget.ts';
import type { EndpointEvent } from '../../src/machines/endpoint.ts';
import { gatewayMachine } from '../../src/machines/gateway.ts';
import { type ChildReport, noCounts } from '../../src/machines/report.ts';
import { SimulatedClock, settle } from '../../src/testing/simulated-clock.ts';

const grace = { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 0 };
const plan = planBudget({ ...grace, pendingBytes: 0, flushBytesPerSecond: null, now: 1000, mode: 'graceful' });

function word(type: EndpointEvent['type'], given: Partial<EndpointEvent> = {}): EndpointEvent {
  return { type, plan, mode: 'graceful', reason: 'test', leaving: true, returning: true, ...given };
}

interface Given {
  readonly failing?: Readonly<Record<string, unknown>>;
  readonly held?: readonly string[];
  readonly closed?: object;
}

/** An endpoint at 1000 ms, whose steps fail, are held or are done; what it said and what its parts were told. */
async function start(machine: AnyStateMachine, { failing = {}, held = [], closed }: Given = {}) {
  const clock = new SimulatedClock();
  await clock.advance(1000);
  const reports: ChildReport[] = [];
  const told: unknown[] = [];
  const letGo = new Map<string, () => void>();
  const step = (name: string) =>
    fromPromise(async ({ input }) => {
      told.push([name, (input as { told?: EndpointEvent | null } | undefined)?.told?.type]);
      if (held.includes(name)) await new Promise<void>((resolve) => letGo.set(name, resolve));
      if (name in failing) throw failing[name];
      return closed;
    });
  const note =
    (name: string) =>
    (_: unknown, params?: { told: EndpointEvent }): void =>
      void told.push([name, params?.told.type]);
  const parent = createActor(fromTransition((_, report: ChildReport) => void reports.push(report), undefined)).start();
  const actor = createActor(
    machine.provide({
      actors: { bind: step('bind'), commitsSettled: step('commitsSettled'), close: step('close') },
      actions: { accept: note('accept'), announce: note('announce'), refuse: note('refuse'), hurry: note('hurry') },
    } as never),
    { clock, input: { parent, now: () => clock.monotonic() } },
  );
  actor.start();
  await settle();
  const send = async (...events: EndpointEvent[]): Promise<void> => {
    for (const event of events) actor.send(event);
    await settle();
  };
  const release = async (name: string): Promise<void> => {
    letGo.get(name)?.();
    await settle();
  };
  return { actor, clock, reports, told, send, release };
}

describe.each([
  ['gateway', gatewayMachine as AnyStateMachine, plan.releaseUntil],
  ['admin', adminMachine as AnyStateMachine, plan.reportUntil],
] as const)('the %s', (id, machine, deadline) => {
  it('says under its own name that it serves and that it is closed', async () => {
    const endpoint = await start(machine);
    expect(endpoint.reports).toEqual([{ type: 'child.ready', id }]);
    await endpoint.send(word('shutdown.close'));
    expect(endpoint.reports.at(-1)).toMatchObject({ type: 'child.released', id });
    expect(endpoint.actor.getSnapshot().value).toBe('closed');
    expect(endpoint.clock.pending).toBe(0);
  });

  it.each([
    ['bind', new Error('EADDRINUSE'), 'EADDRINUSE'],
    ['bind', 'only a text', 'only a text'],
    ['close', new Error('EIO'), 'EIO'],
    ['close', 17, '17'],
  ])('names what failed: %s', async (step, error, detail) => {
    const endpoint = await start(machine, { failing: { [step]: error } });
    if (step === 'close') await endpoint.send(word('shutdown.close'));
    expect(endpoint.reports.at(-1)).toEqual({ type: 'child.failed', id, during: step, detail });
    expect(endpoint.actor.getSnapshot().value).toBe('failed');
  });

  it('names what hung and for how long, a margin before its parent would', async () => {
    const endpoint = await start(machine, { held: ['close'] });
    await endpoint.clock.advance(500);
    await endpoint.send(word('shutdown.close'));
    await endpoint.clock.advance(deadline - 250 - 1501);
    expect(endpoint.reports).toHaveLength(1);
    await endpoint.clock.advance(1);
    expect(endpoint.reports.at(-1)).toEqual({
      type: 'child.abandoned',
      id,
      operation: 'close',
      ageMs: deadline - 250 - 1500,
    });
    expect(endpoint.actor.getSnapshot().value).toBe('abandoned');
  });

  it('is abandoned at once when its time was over before it began to close', async () => {
    const endpoint = await start(machine, { held: ['close'] });
    await endpoint.clock.advance(60_000);
    await endpoint.send(word('shutdown.close'));
    await endpoint.clock.advance(0);
    expect(endpoint.reports.at(-1)).toMatchObject({ type: 'child.abandoned', ageMs: 0 });
  });

  it('counts its age in whole ms', async () => {
    const endpoint = await start(machine, { held: ['close'] });
    const early = planBudget({ ...grace, pendingBytes: 0, flushBytesPerSecond: null, now: 1000.4, mode: 'graceful' });
    await endpoint.send(word('shutdown.close', { plan: early }));
    await endpoint.clock.advance(40_000);
    expect(Number.isInteger((endpoint.reports.at(-1) as { ageMs?: number }).ageMs)).toBe(true);
  });

  it('closes once its port is bound, when it was told to while it was being bound', async () => {
    const endpoint = await start(machine, { held: ['bind'] });
    await endpoint.send(word('shutdown.announced'), word('shutdown.close'));
    expect(endpoint.actor.getSnapshot().value).toBe('binding');
    await endpoint.release('bind');
    expect(endpoint.reports.map(({ type }) => type)).toEqual(['child.released']);
  });

  it('serves once its port is bound, when a shutdown was only announced', async () => {
    const endpoint = await start(machine, { held: ['bind'] });
    await endpoint.send(word('shutdown.announced'));
    await endpoint.release('bind');
    expect(endpoint.reports.map(({ type }) => type)).toEqual(['child.ready']);
  });
});

describe('the gateway', () => {
  const machine = gatewayMachine as AnyStateMachine;

  it('gives its parts the word that it was told', async () => {
    const gateway = await start(machine, { held: ['close'] });
    await gateway.send(word('shutdown.announced'));
    expect(gateway.actor.getSnapshot().value).toBe('announcing');
    expect(gateway.actor.getSnapshot().hasTag('accepting')).toBe(true);
    await gateway.send(word('shutdown.drain'));
    await gateway.send(word('shutdown.close'));
    await gateway.send(word('shutdown.close', { mode: 'fast' }));
    expect(gateway.told).toEqual([
      ['bind', undefined],
      ['accept', undefined],
      ['announce', 'shutdown.announced'],
      ['refuse', 'shutdown.drain'],
      ['commitsSettled', 'shutdown.drain'],
      ['close', 'shutdown.close'],
      ['hurry', 'shutdown.close'],
    ]);
    expect(gateway.actor.getSnapshot().context.told).toMatchObject({ mode: 'fast' });
  });

  it('reports how many clients closed and how many were cut', async () => {
    const gateway = await start(machine, { closed: { closedGraceful: 7, closedForced: 2 } });
    await gateway.send(word('shutdown.close'));
    expect(gateway.reports.at(-1)).toEqual({
      type: 'child.released',
      id: 'gateway',
      counts: { ...noCounts, closedGraceful: 7, closedForced: 2 },
    });
  });

  it('is drained when commits are settled, and when they cannot be', async () => {
    const slow = await start(machine, { held: ['commitsSettled'] });
    await slow.send(word('shutdown.drain'));
    expect([slow.reports.length, slow.actor.getSnapshot().value]).toEqual([1, { draining: 'settling' }]);
    await slow.release('commitsSettled');
    expect(slow.reports.at(-1)).toEqual({ type: 'child.drained', id: 'gateway' });
    const broken = await start(machine, { failing: { commitsSettled: new Error('no') } });
    await broken.send(word('shutdown.drain'));
    expect(broken.reports.at(-1)).toEqual({ type: 'child.drained', id: 'gateway' });
  });

  it('drains anew when it is told again, with the new word', async () => {
    const gateway = await start(machine);
    await gateway.send(word('shutdown.drain', { leaving: false }));
    await gateway.send(word('shutdown.drain', { leaving: true }));
    expect(gateway.reports.map(({ type }) => type)).toEqual(['child.ready', 'child.drained', 'child.drained']);
    expect(gateway.told.filter((what) => (what as string[])[0] === 'refuse')).toHaveLength(2);
    expect(gateway.actor.getSnapshot().context.told).toMatchObject({ leaving: true });
  });

  it('accepts nothing while it drains or closes', async () => {
    const gateway = await start(machine, { held: ['close', 'commitsSettled'] });
    await gateway.send(word('shutdown.drain'));
    expect(gateway.actor.getSnapshot().hasTag('accepting')).toBe(false);
    await gateway.send(word('shutdown.close'));
    expect([gateway.actor.getSnapshot().value, gateway.actor.getSnapshot().hasTag('accepting')]).toEqual([
      'closing',
      false,
    ]);
  });

  it('drains once its port is bound, when it was told to while it was being bound', async () => {
    const gateway = await start(machine, { held: ['bind'] });
    await gateway.send(word('shutdown.drain'));
    await gateway.release('bind');
    expect(gateway.reports.map(({ type }) => type)).toEqual(['child.drained']);
    const recalled = await start(machine, { held: ['bind'] });
    await recalled.send(word('shutdown.drain'), word('shutdown.cancelled'));
    await recalled.release('bind');
    expect(recalled.reports.map(({ type }) => type)).toEqual(['child.ready']);
  });

  it('has the time of the newest word: told again with an earlier end, it reports before that', async () => {
    const gateway = await start(machine, { held: ['close'] });
    await gateway.send(word('shutdown.close'));
    const sooner = planBudget({ ...grace, pendingBytes: 0, flushBytesPerSecond: null, now: 1000, mode: 'immediate' });
    await gateway.send(word('shutdown.close', { plan: sooner }));
    await gateway.clock.advance(sooner.releaseUntil - sooner.childMarginMs - 1000);
    expect(gateway.reports.at(-1)).toMatchObject({ type: 'child.abandoned' });
    expect(gateway.clock.pending).toBe(0);
  });
});

describe('the admin endpoint', () => {
  it('is closed by nothing but the word to close', async () => {
    const admin = await start(adminMachine as AnyStateMachine);
    await admin.send(word('shutdown.announced'), word('shutdown.drain'), word('shutdown.cancelled'));
    expect([admin.actor.getSnapshot().value, admin.told]).toEqual(['serving', [['bind', undefined]]]);
  });
});
