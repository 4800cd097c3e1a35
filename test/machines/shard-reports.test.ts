/** What a shard says of its end, and what its parts are told: the words and the figures. */
import { describe, expect, it } from 'vitest';
import { createActor, fromPromise, fromTransition } from 'xstate';
import { type ChildReport, noCounts } from '../../src/machines/report.ts';
import { type ShardEvent, type ShardStep, shardId, shardMachine } from '../../src/machines/shard.ts';
import { SimulatedClock, settle } from '../../src/testing/simulated-clock.ts';

const steps = ['open', 'recover', 'settle', 'writeRemaining', 'checkpoint', 'mark', 'release'] as const;
type Step = (typeof steps)[number];
const counts = { ...noCounts, flushedRecords: 5, lost: 2 };

/** A shard one of whose steps fails with `error`, or hangs; what it was told and said. */
async function shardWith(failing: { readonly step?: Step; readonly error?: unknown; readonly hangs?: Step } = {}) {
  const clock = new SimulatedClock();
  const reports: ChildReport[] = [];
  const told: unknown[] = [];
  const parent = createActor(fromTransition((_, report: ChildReport) => void reports.push(report), undefined)).start();
  const actors = Object.fromEntries(
    steps.map((step) => [
      step,
      fromPromise<void, ShardStep>(({ input }) => {
        told.push([step, input.shard]);
        if (step === failing.hangs) return new Promise(() => {});
        return step === failing.step ? Promise.reject(failing.error) : Promise.resolve();
      }),
    ]),
  );
  const logic = shardMachine.provide({
    actors: actors as never,
    actions: {
      openGate: () => told.push('openGate'),
      closeGate: (_, { retryAfterMs }) => told.push(['closeGate', retryAfterMs]),
      abortRecovery: () => told.push('abortRecovery'),
      prepare: () => told.push('prepare'),
      fence: (_, { reason }) => told.push(['fence', reason]),
    },
  });
  const input = { shard: 7, now: () => clock.monotonic(), parent, counts: () => counts };
  const actor = createActor(logic, { clock, input });
  actor.start();
  await settle();
  const send = async (...events: ShardEvent[]): Promise<void> => {
    for (const event of events) if (actor.getSnapshot().status === 'active') actor.send(event);
    await settle();
  };
  return { actor, clock, reports, told, send };
}

const drain: ShardEvent = { type: 'shard.drain', retryAfterMs: 500 };
const flush: ShardEvent = { type: 'shard.flush', deadline: 10_000 };

describe('the end of a shard', () => {
  it('is told as released, with what it did', async () => {
    const shard = await shardWith();
    await shard.send(drain, flush);
    expect(shard.reports.at(-1)).toEqual({ type: 'child.released', id: 'shard-07', counts });
    expect(shard.actor.getSnapshot().output).toEqual({ outcome: 'released', detail: null });
  });

  it.each<[Step, string]>([
    ['open', 'open'],
    ['recover', 'recover'],
    ['settle', 'finish publishes'],
    ['writeRemaining', 'write'],
    ['checkpoint', 'checkpoint'],
    ['mark', 'mark clean'],
    ['release', 'release'],
  ])('names the step that failed, %s as “%s”, to the fence and in the report', async (step, operation) => {
    const shard = await shardWith({ step, error: new Error('EIO') });
    await shard.send(drain);
    await shard.send(flush);
    await shard.clock.advance(1000);
    const detail = `${operation}: EIO`;
    expect(shard.told).toContainEqual(['fence', detail]);
    expect(shard.reports.at(-1)).toEqual({ type: 'child.failed', id: 'shard-07', detail, during: operation, counts });
    expect(shard.actor.getSnapshot().output).toEqual({ outcome: 'failed', detail });
  });

  it('tells what was thrown that is no Error', async () => {
    const shard = await shardWith({ step: 'mark', error: 'only a text' });
    await shard.send(drain, flush);
    expect(shard.reports.at(-1)).toMatchObject({ detail: 'mark clean: only a text' });
    const other = await shardWith();
    await other.send({ type: 'shard.fault', error: 17 });
    expect(other.reports.at(-1)).toMatchObject({ type: 'child.failed', detail: '17', during: 'serve' });
  });

  it.each<[Step, string]>([
    ['open', 'open'],
    ['recover', 'recover'],
    ['writeRemaining', 'write'],
    ['checkpoint', 'checkpoint'],
    ['mark', 'mark clean'],
    ['release', 'release'],
  ])('names the step that hung, %s as “%s”, and for how long', async (step, operation) => {
    const shard = await shardWith({ hangs: step });
    await shard.clock.advance(1000);
    await shard.send(drain, flush);
    await shard.clock.advance(20_000);
    // What hangs from the start hangs since then; the rest since the flush began.
    const ageMs = ['open', 'recover'].includes(step) ? 9750 : 8750;
    expect(shard.reports.at(-1)).toEqual({ type: 'child.abandoned', id: 'shard-07', operation, ageMs, counts });
    expect(shard.told.at(-1)).toEqual(['fence', `${operation}, for ${ageMs} ms`]);
    expect(shard.actor.getSnapshot().output).toEqual({
      outcome: 'abandoned',
      detail: `${operation}, for ${ageMs} ms`,
    });
  });

  it('is given up for the reason that is told', async () => {
    const shard = await shardWith();
    await shard.send(drain);
    await shard.clock.advance(40.4);
    await shard.send({ type: 'shard.abandon', reason: 'forced by the operator' });
    expect(shard.told.at(-1)).toEqual(['fence', 'forced by the operator']);
    expect(shard.reports.at(-1)).toMatchObject({ operation: 'wait for the flush', ageMs: 40, counts });
    expect(shard.actor.getSnapshot().output).toEqual({ outcome: 'abandoned', detail: 'forced by the operator' });
  });

  it('tells the first fault, whatever comes while it lets go', async () => {
    const shard = await shardWith({ hangs: 'release' });
    await shard.send({ type: 'shard.fault', error: new Error('first') });
    await shard.send(drain, flush, { type: 'shard.fault', error: new Error('second') });
    await shard.send({ type: 'shard.abandon', reason: 'third' }, { type: 'shard.late' });
    await shard.clock.advance(999);
    expect(shard.reports.map(({ type }) => type)).toEqual(['child.ready']);
    await shard.clock.advance(1);
    expect(shard.reports.at(-1)).toMatchObject({ type: 'child.failed', detail: 'first' });
    expect(shard.told.filter((what) => Array.isArray(what) && what[0] === 'fence')).toEqual([['fence', 'first']]);
  });

  it('comes also where what failed does not let go of its files', async () => {
    const shard = await shardWith({ step: 'release', error: new Error('EBADF') });
    await shard.send({ type: 'shard.fault', error: new Error('first') });
    expect(shard.reports.at(-1)).toMatchObject({ type: 'child.failed', detail: 'first' });
  });

  it('leaves no deadline behind when it is put off', async () => {
    const shard = await shardWith({ hangs: 'writeRemaining' });
    await shard.send(drain);
    await shard.send({ type: 'shard.flush', deadline: 2000 }, { type: 'shard.flush', deadline: 5000 });
    await shard.clock.advance(4749);
    expect(shard.reports.at(-1)?.type).toBe('child.drained');
    await shard.clock.advance(1);
    expect(shard.reports.at(-1)?.type).toBe('child.abandoned');
    expect(shard.clock.pending).toBe(0);
  });

  it('is not sooner for a deadline beyond what a timer takes', async () => {
    const shard = await shardWith({ hangs: 'writeRemaining' });
    await shard.send(drain);
    await shard.send({ type: 'shard.flush', deadline: Number.MAX_SAFE_INTEGER });
    await shard.clock.advance(2 ** 31 - 2);
    expect(shard.reports.at(-1)?.type).toBe('child.drained');
    await shard.clock.advance(1);
    expect(shard.reports.at(-1)?.type).toBe('child.abandoned');
  });
});

describe('what a shard is told', () => {
  it('reaches its gate with the time to come back, the newest one', async () => {
    const shard = await shardWith({ hangs: 'settle' });
    await shard.send(drain);
    expect(shard.told.filter((what) => Array.isArray(what) && what[0] === 'closeGate').at(-1)).toEqual([
      'closeGate',
      500,
    ]);
    expect(shard.actor.getSnapshot().context).toMatchObject({ drainAsked: true, retryAfterMs: 500 });
    await shard.send({ type: 'shard.drain', retryAfterMs: 900 });
    expect(shard.actor.getSnapshot().context.retryAfterMs).toBe(900);
  });

  it('without a drain is to come back in a second', async () => {
    const shard = await shardWith();
    await shard.send(flush);
    expect(shard.told).toContainEqual(['closeGate', 1000]);
  });

  it('reaches its gate also when a fault ends its service', async () => {
    const shard = await shardWith();
    await shard.send({ type: 'shard.fault', error: new Error('EIO') });
    expect(shard.told.slice(-3)).toEqual([
      ['closeGate', 1000],
      ['fence', 'EIO'],
      ['release', 7],
    ]);
  });

  it('is prepared for while it runs, and not once it drains', async () => {
    const shard = await shardWith({ hangs: 'settle' });
    await shard.send({ type: 'shard.prepare' });
    expect(shard.told.filter((what) => what === 'prepare')).toHaveLength(1);
    await shard.send(drain, { type: 'shard.prepare' });
    expect(shard.told.filter((what) => what === 'prepare')).toHaveLength(1);
  });

  it('reaches every step by the number of the shard', async () => {
    const shard = await shardWith();
    await shard.send(drain, flush);
    const given = shard.told.filter((what) => Array.isArray(what) && steps.includes(what[0]));
    expect(given).toEqual(steps.map((step) => [step, 7]));
    const failed = await shardWith();
    await failed.send({ type: 'shard.fault', error: new Error('EIO') });
    expect(failed.told.at(-1)).toEqual(['release', 7]);
  });

  it('in two digits names it', () => {
    expect([shardId(0), shardId(12), shardId(255)]).toEqual(['shard-00', 'shard-12', 'shard-255']);
  });
});

describe('a drain while a shard opens', () => {
  it.each(['open', 'recover'] as const)('takes no other failure of “%s” for its abort', async (step) => {
    const shard = await shardWith({ step, error: new Error('damaged') });
    await shard.send(drain);
    expect(shard.reports.at(-1)).toMatchObject({ type: 'child.failed', detail: `${step}: damaged` });
  });

  it.each(['open', 'recover'] as const)('is what makes an abort of “%s” none of its failures', async (step) => {
    const error = new DOMException('This operation was aborted', 'AbortError');
    const shard = await shardWith({ step, error });
    expect(shard.reports.at(-1)).toMatchObject({ type: 'child.failed', detail: `${step}: This operation was aborted` });
  });

  it('lets what has recovered drain, and wait for the flush', async () => {
    let recovered = (): void => {};
    const reports: string[] = [];
    const parent = createActor(fromTransition((_, { type }: ChildReport) => void reports.push(type), undefined));
    parent.start();
    const recover = fromPromise<void, ShardStep>(() => new Promise((resolve) => (recovered = resolve)));
    const actor = createActor(shardMachine.provide({ actors: { recover } }), {
      input: { shard: 0, now: () => 0, parent, counts: () => noCounts },
    }).start();
    await settle();
    expect(actor.getSnapshot().hasTag('opening')).toBe(true);
    actor.send(drain);
    recovered();
    await settle();
    expect(actor.getSnapshot().value).toEqual({ draining: 'settled' });
    expect(actor.getSnapshot().context.retryAfterMs).toBe(500);
    expect(actor.getSnapshot().hasTag('stopping')).toBe(true);
    expect(reports).toEqual(['child.drained']);
    actor.send({ type: 'shard.resume' });
    expect(actor.getSnapshot().value).toBe('running');
    expect(reports).toEqual(['child.drained', 'child.ready']);
  });
});
