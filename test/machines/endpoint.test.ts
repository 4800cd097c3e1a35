import { describe, expect, it } from 'vitest';
import { type AnyStateMachine, createActor, fromPromise, fromTransition } from 'xstate';
import { adminMachine } from '../../src/machines/admin.ts';
import { planBudget } from '../../src/machines/budget.ts';
import type { EndpointEvent } from '../../src/machines/endpoint.ts';
import { gatewayMachine } from '../../src/machines/gateway.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { settle } from '../../src/testing/simulated-clock.ts';

const plan = planBudget({
  gracePeriodMs: 30_000,
  preStopMs: 0,
  announceMs: 0,
  pendingBytes: 0,
  flushBytesPerSecond: null,
  now: 0,
  mode: 'graceful',
});
const tell = (type: EndpointEvent['type']): EndpointEvent => ({
  type,
  plan,
  mode: 'graceful',
  reason: 'test',
  leaving: true,
  returning: true,
});
const words: EndpointEvent['type'][] = ['shutdown.announced', 'shutdown.drain', 'shutdown.close', 'shutdown.cancelled'];

/** An endpoint's chart whose steps end as the test says, with its reports and what it did, in order. */
async function start(machine: AnyStateMachine, failing: readonly string[] = [], held: readonly string[] = []) {
  const did: string[] = [];
  const reports: string[] = [];
  const release = new Map<string, () => void>();
  const step = (name: string) =>
    fromPromise(async () => {
      did.push(name);
      if (held.includes(name)) await new Promise<void>((resolve) => release.set(name, resolve));
      if (failing.includes(name)) throw new Error(`${name} failed`);
    });
  const note = (name: string) => () => did.push(name);
  const logic = machine.provide({
    actors: { bind: step('bind'), commitsSettled: step('commitsSettled'), close: step('close') },
    actions: { accept: note('accept'), announce: note('announce'), refuse: note('refuse'), hurry: note('hurry') },
  } as never);
  const parent = createActor(fromTransition((_, { type }: { type: string }) => void reports.push(type), undefined));
  parent.start();
  const clock = new SimulatedClock();
  const actor = createActor(logic, { clock, input: { parent, now: () => clock.monotonic() } });
  actor.start();
  await settle();
  const send = async (...events: EndpointEvent['type'][]): Promise<void> => {
    for (const type of events) if (actor.getSnapshot().status === 'active') actor.send(tell(type));
    await settle();
  };
  const finish = async (name: string): Promise<void> => {
    release.get(name)?.();
    await settle();
  };
  return { actor, did, reports, send, finish, clock };
}

describe('the chart of the gateway', () => {
  it('G1, G2: binds, serves, is drained when commits are settled, and is released behind its close', async () => {
    const gateway = await start(gatewayMachine);
    await gateway.send('shutdown.announced', 'shutdown.drain');
    expect(gateway.reports).toEqual(['child.ready', 'child.drained']);
    await gateway.send('shutdown.close');
    expect(gateway.did).toEqual(['bind', 'accept', 'announce', 'refuse', 'commitsSettled', 'close']);
    expect(gateway.reports.at(-1)).toBe('child.released');
  });

  it('serves again when a drain is cancelled', async () => {
    const gateway = await start(gatewayMachine);
    await gateway.send('shutdown.drain', 'shutdown.cancelled');
    expect(gateway.did.at(-1)).toBe('accept');
    expect(gateway.actor.getSnapshot().hasTag('accepting')).toBe(true);
  });

  it('G3: a close while the port is being bound is acted on when it is', async () => {
    const gateway = await start(gatewayMachine, [], ['bind']);
    await gateway.send('shutdown.close');
    expect(gateway.did).toEqual(['bind']);
    await gateway.finish('bind');
    expect(gateway.did).toEqual(['bind', 'close']);
    expect(gateway.reports).toEqual(['child.released']);
  });

  it('G4: says itself that it does not close, before it would be counted as missing', async () => {
    const gateway = await start(gatewayMachine, [], ['close']);
    await gateway.send('shutdown.drain');
    await gateway.send('shutdown.close');
    await gateway.clock.advance(plan.releaseUntil - plan.childMarginMs - 1);
    expect(gateway.reports.at(-1)).toBe('child.drained');
    await gateway.clock.advance(1);
    expect(gateway.reports.at(-1)).toBe('child.abandoned');
    await gateway.finish('close');
    expect(gateway.reports.at(-1)).toBe('child.abandoned');
  });

  it('is told to hurry when the close is asked for again, and closes once', async () => {
    const gateway = await start(gatewayMachine, [], ['close']);
    await gateway.send('shutdown.drain', 'shutdown.close', 'shutdown.close');
    expect(gateway.did.slice(-2)).toEqual(['close', 'hurry']);
    await gateway.finish('close');
    expect(gateway.reports.at(-1)).toBe('child.released');
  });

  it.each([
    ['bind', []],
    ['close', ['shutdown.close']],
  ] as const)('a failed %s is failed, never released', async (step, events) => {
    const gateway = await start(gatewayMachine, [step]);
    await gateway.send(...events);
    expect(gateway.reports.at(-1)).toBe('child.failed');
    expect(gateway.reports).not.toContain('child.released');
  });
});

describe('the chart of the admin endpoint', () => {
  it('A1, A2: serves through everything but its own close', async () => {
    const admin = await start(adminMachine);
    await admin.send('shutdown.announced', 'shutdown.drain', 'shutdown.cancelled');
    expect(admin.reports).toEqual(['child.ready']);
    await admin.send('shutdown.close');
    expect(admin.reports).toEqual(['child.ready', 'child.released']);
  });

  it('A3: says itself that it does not close, before it would be counted as missing', async () => {
    const admin = await start(adminMachine, [], ['close']);
    await admin.send('shutdown.close');
    await admin.clock.advance(plan.reportUntil - plan.childMarginMs - 1);
    expect(admin.reports).toEqual(['child.ready']);
    await admin.clock.advance(1);
    expect(admin.reports).toEqual(['child.ready', 'child.abandoned']);
  });

  it('A1: a failure to bind is failed', async () => {
    expect((await start(adminMachine, ['bind'])).reports).toEqual(['child.failed']);
  });
});

describe.each([
  ['gateway', gatewayMachine],
  ['admin', adminMachine],
] as const)('the chart of %s', (_name, machine) => {
  it('comes to an end from every order of words, with one end told', async () => {
    for (const failing of [[], ['bind'], ['close'], ['commitsSettled']]) {
      for (const first of words) {
        for (const second of words) {
          const endpoint = await start(machine, failing);
          await endpoint.send(first, second, 'shutdown.close');
          expect(endpoint.actor.getSnapshot().status, `${failing} ${first} ${second}`).toBe('done');
          expect(endpoint.reports.filter((type) => /released|failed/.test(type))).toHaveLength(1);
        }
      }
    }
  });
});

describe('an endpoint that fails with what is no Error', () => {
  it.each([
    ['gateway', gatewayMachine],
    ['admin', adminMachine],
  ] as const)('tells it as it is: %s', async (_, machine) => {
    const details: unknown[] = [];
    const parent = createActor(
      fromTransition((_state, event: { type: string; detail?: unknown }) => void details.push(event.detail), undefined),
    );
    parent.start();
    const bind = fromPromise(async () => Promise.reject('only a text'));
    const actor = createActor((machine as AnyStateMachine).provide({ actors: { bind } } as never), {
      input: { parent, now: () => 0 },
    });
    actor.start();
    await settle();
    expect(actor.getSnapshot().value).toBe('failed');
    expect(details).toContain('only a text');
  });
});
