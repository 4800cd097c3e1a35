import { describe, expect, it } from 'vitest';
import { planBudget } from '../../src/machines/budget.ts';
import { hasEnded, othersAre, readyAgain, withReport } from '../../src/machines/children.ts';
import { type ChildRecord, type ChildReport, noCounts, type Phase } from '../../src/machines/report.ts';
import { beginPhase, closedPhases, reportOf } from '../../src/machines/shutdown-report.ts';
import { pressesHarder, withRequest } from '../../src/machines/shutdown-request.ts';
import type { ShutdownRequest, SupervisorContext } from '../../src/machines/supervisor-context.ts';

const grace = { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 5000 };
const idle = { pendingBytes: 0, flushBytesPerSecond: null };
const plan = planBudget({ ...grace, ...idle, now: 1000, mode: 'graceful' });

function child(id: string, kind: ChildRecord['kind'], state: ChildRecord['state'], counts = noCounts): ChildRecord {
  return { id, kind, state, detail: null, counts, since: 0 };
}

/** A broker in the middle of its shutdown at 9 s, whose children are those given. */
function contextOf(children: readonly ChildRecord[], given: Partial<SupervisorContext> = {}): SupervisorContext {
  return {
    shards: 1,
    grace,
    now: () => 9000,
    load: () => idle,
    children: Object.fromEntries(children.map((one) => [one.id, one])),
    mode: 'graceful',
    reason: 'SIGTERM',
    fatal: false,
    startFailed: false,
    requests: 1,
    stopping: true,
    returning: true,
    plan,
    phases: [],
    phase: 'draining',
    phaseSince: 6000,
    ...given,
  } as SupervisorContext;
}

const released = child('shard-00', 'shard', 'released');

describe('the report of a shutdown', () => {
  it('says how long it took from the first request, what it might have taken, and who asked how often', () => {
    expect(reportOf(contextOf([released], { requests: 3, mode: 'fast', now: () => 9000.6 }))).toEqual({
      outcome: 'clean',
      exitCode: 0,
      reason: 'SIGTERM',
      mode: 'fast',
      requests: 3,
      durationMs: 8001,
      budgetMs: 27_000,
      ...noCounts,
      phases: [],
      children: [released],
      unaccounted: [],
    });
  });

  it('without a plan counts from where its phase began', () => {
    expect(reportOf(contextOf([released], { plan: null }))).toMatchObject({ durationMs: 3000 });
  });

  it('sums what every child did and lost', () => {
    const one = { flushedRecords: 1, flushedBytes: 20, lost: 3, unknown: 4, closedGraceful: 0, closedForced: 0 };
    const other = { flushedRecords: 10, flushedBytes: 5, lost: 0, unknown: 1, closedGraceful: 7, closedForced: 2 };
    const children = [child('shard-00', 'shard', 'released', one), child('gateway', 'gateway', 'released', other)];
    expect(reportOf(contextOf(children))).toMatchObject({
      flushedRecords: 11,
      flushedBytes: 25,
      lost: 3,
      unknown: 5,
      closedGraceful: 7,
      closedForced: 2,
    });
    expect(noCounts.flushedRecords).toBe(0);
  });

  const failed = child('shard-01', 'shard', 'failed');
  const abandoned = child('shard-01', 'shard', 'abandoned');
  const silent = child('shard-01', 'shard', 'drained');
  it.each<[string, readonly ChildRecord[], Partial<SupervisorContext>, string, number]>([
    ['every child released', [released], {}, 'clean', 0],
    ['one child failed', [released, failed], {}, 'failed', 21],
    ['one failed and one abandoned', [child('a', 'guest', 'abandoned'), failed], {}, 'failed', 21],
    ['one child abandoned', [released, abandoned], {}, 'abandoned', 20],
    ['one child silent', [released, silent], {}, 'abandoned', 20],
    ['pressed to the utmost with one failed', [released, failed], { mode: 'immediate' }, 'forced', 22],
    ['pressed to the utmost with all released', [released], { mode: 'immediate' }, 'clean', 0],
    ['a fatal error with all released', [released], { fatal: true }, 'fatal', 23],
    ['a fatal error, pressed to the utmost', [failed], { fatal: true, mode: 'immediate' }, 'fatal', 23],
    ['a failed start with all released', [released], { startFailed: true, fatal: true }, 'start-failed', 1],
  ])('%s', (_, children, given, outcome, exitCode) => {
    expect(reportOf(contextOf(children, given))).toMatchObject({ outcome, exitCode });
  });

  it('names those that had not told their end, and no others', () => {
    const children = (['starting', 'ready', 'drained', 'released', 'failed', 'abandoned'] as const).map((state) =>
      child(state, 'guest', state),
    );
    expect(reportOf(contextOf(children)).unaccounted).toEqual(['starting', 'ready', 'drained']);
  });
});

describe('a phase', () => {
  it.each<[Phase, number | null]>([
    ['starting', null],
    ['running', null],
    ['announcing', plan.announceUntil - 2000],
    ['draining', plan.drainUntil - 2000],
    ['flushing', plan.flushUntil - 2000],
    ['releasing', plan.releaseUntil - 2000],
  ])('%s is recorded with the time it took and the time it had', (phase, budgetMs) => {
    const before = { phase: 'running', startedAt: 0, durationMs: 1, budgetMs: null } as const;
    const context = contextOf([], { phase, phaseSince: 2000, phases: [before] });
    expect(closedPhases(context)).toEqual([before, { phase, startedAt: 2000, durationMs: 7000, budgetMs }]);
    expect(beginPhase(context, 'releasing')).toEqual({
      phases: closedPhases(context),
      phase: 'releasing',
      phaseSince: 9000,
    });
  });

  it('had no time without a plan, and none when it began behind its end', () => {
    expect(closedPhases(contextOf([], { plan: null }))).toMatchObject([{ budgetMs: null }]);
    expect(closedPhases(contextOf([], { phaseSince: plan.reportUntil }))).toMatchObject([{ budgetMs: 0 }]);
  });

  it('had a whole number of ms', () => {
    expect(closedPhases(contextOf([], { phaseSince: 6000.4 }))).toMatchObject([{ budgetMs: plan.drainUntil - 6000 }]);
  });
});

describe('the roll of children', () => {
  const report = (type: 'ready' | 'drained' | 'released', id = 'shard-00'): ChildReport => ({
    type: `child.${type}`,
    id,
  });

  it('takes what a child says last, with when it did', () => {
    const context = contextOf([child('shard-00', 'shard', 'starting')]);
    expect(withReport(context, report('ready'))).toEqual({
      'shard-00': { ...child('shard-00', 'shard', 'ready'), since: 9000 },
    });
  });

  it('keeps the words and the counts of an end', () => {
    const counts = { ...noCounts, lost: 2 };
    const context = contextOf([child('shard-00', 'shard', 'ready')]);
    const id = 'shard-00';
    expect(withReport(context, { type: 'child.failed', id, during: 'write', detail: 'EIO', counts })).toMatchObject({
      [id]: { state: 'failed', detail: 'write: EIO', counts },
    });
    expect(withReport(context, { type: 'child.abandoned', id, operation: 'mark', ageMs: 7, counts })).toMatchObject({
      [id]: { state: 'abandoned', detail: 'mark, for 7 ms', counts },
    });
    expect(withReport(context, { type: 'child.released', id, counts })).toMatchObject({
      [id]: { state: 'released', detail: null, counts },
    });
    expect(withReport(context, { type: 'child.released', id })).toMatchObject({ [id]: { counts: noCounts } });
  });

  it.each(['released', 'failed', 'abandoned'] as const)('takes nothing behind an end: %s', (state) => {
    const context = contextOf([child('shard-00', 'shard', state)]);
    expect(withReport(context, report('ready'))).toBe(context.children);
    expect(withReport(context, report('ready', 'nobody'))).toBe(context.children);
    expect(hasEnded(context, 'shard-00')).toBe(true);
    expect(hasEnded(context, 'nobody')).toBe(false);
  });

  it('lets the drained serve again, and no others', () => {
    const children = [child('a', 'shard', 'drained'), child('b', 'shard', 'failed'), child('c', 'gateway', 'ready')];
    const again = readyAgain(contextOf(children));
    expect(again).toEqual({ a: { ...children[0], state: 'ready', since: 9000 }, b: children[1], c: children[2] });
  });

  it('asks of the gateway and the guests what it does not of shards and the admin endpoint', () => {
    const rest = [child('admin', 'admin', 'ready'), child('shard-00', 'shard', 'ready')];
    const gateway = (state: ChildRecord['state']) => child('gateway', 'gateway', state);
    const guest = (state: ChildRecord['state']) => child('worker', 'guest', state);
    expect(othersAre(contextOf(rest), [])).toBe(true);
    expect(othersAre(contextOf([...rest, gateway('drained'), guest('failed')]), ['drained'])).toBe(true);
    expect(othersAre(contextOf([...rest, gateway('drained'), guest('failed')]), [])).toBe(false);
    expect(othersAre(contextOf([...rest, gateway('released'), guest('ready')]), ['drained'])).toBe(false);
    expect(othersAre(contextOf([...rest, gateway('ready'), guest('drained')]), ['drained'])).toBe(false);
  });
});

describe('a request for shutdown', () => {
  const request = (given: Partial<ShutdownRequest> = {}): ShutdownRequest => ({
    type: 'shutdown',
    mode: 'graceful',
    reason: 'again',
    ...given,
  });
  const running = { stopping: false, plan: null, requests: 0, reason: '' } as const;

  it('that is the first plans, and is the reason', () => {
    expect(withRequest(contextOf([], running), request())).toEqual({
      mode: 'graceful',
      plan: planBudget({ ...grace, ...idle, now: 9000, mode: 'graceful' }),
      reason: 'again',
      requests: 1,
      fatal: false,
      returning: true,
      stopping: true,
    });
  });

  it('plans anew where a drain without exit had planned', () => {
    const drained = contextOf([], { ...running, plan });
    expect(withRequest(drained, request()).plan?.startedAt).toBe(9000);
    expect(withRequest(drained, request({ deadline: 10_000 })).plan?.reportUntil).toBe(10_000);
  });

  it('that is another is counted, and changes neither the reason nor the end', () => {
    expect(withRequest(contextOf([]), request())).toMatchObject({ reason: 'SIGTERM', requests: 2, plan });
  });

  it('brings the end nearer when it is told an earlier one', () => {
    expect(withRequest(contextOf([]), request({ deadline: 12_000 })).plan?.reportUntil).toBe(12_000);
    expect(withRequest(contextOf([]), request({ mode: 'immediate' })).plan?.reportUntil).toBe(11_000);
  });

  it('that was fatal, or the last run, stays so', () => {
    expect(withRequest(contextOf([]), request({ fatal: true, returning: false }))).toMatchObject({
      fatal: true,
      returning: false,
    });
    expect(withRequest(contextOf([], { fatal: true, returning: false }), request({ returning: true }))).toMatchObject({
      fatal: true,
      returning: false,
    });
    expect(withRequest(contextOf([]), request({ fatal: false, returning: true }))).toMatchObject({
      fatal: false,
      returning: true,
    });
  });

  it('presses harder as the first, in a harder mode, or to an earlier end, and not otherwise', () => {
    expect(pressesHarder(contextOf([], running), request())).toBe(true);
    expect(pressesHarder(contextOf([]), request())).toBe(false);
    expect(pressesHarder(contextOf([]), request({ mode: 'fast' }))).toBe(true);
    expect(pressesHarder(contextOf([], { mode: 'fast' }), request())).toBe(false);
    expect(pressesHarder(contextOf([]), request({ deadline: plan.reportUntil }))).toBe(false);
    expect(pressesHarder(contextOf([]), request({ deadline: plan.reportUntil - 1 }))).toBe(true);
  });
});
