/** The budget in figures: what each phase gets, worked out by hand, and what is said of settings that cannot work. */
import { describe, expect, it } from 'vitest';
import { budgetFault, budgetOf, childDeadline, flushEtaMs, hasten, planBudget } from '../../src/machines/budget.ts';

const grace = { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 0 };
const idle = { pendingBytes: 0, flushBytesPerSecond: null };

describe('the budget', () => {
  it.each([
    [30_000, 0, 27_000],
    [30_000, 5000, 22_000],
    [20_000, 0, 18_000],
    [10_000, 0, 8000],
    [100_000, 10_000, 80_000],
    [1000, 500, -1500],
  ])('of %d ms of grace and %d ms of preStop is %d ms', (gracePeriodMs, preStopMs, budget) => {
    expect(budgetOf({ gracePeriodMs, preStopMs })).toBe(budget);
  });
});

describe('a plan', () => {
  it('gives each phase its full time when there is room', () => {
    expect(planBudget({ ...grace, ...idle, announceMs: 5000, now: 1000, mode: 'graceful' })).toEqual({
      startedAt: 1000,
      announceUntil: 6000,
      drainUntil: 24_000,
      flushUntil: 26_000,
      closeUntil: 27_000,
      releaseUntil: 27_500,
      adminUntil: 27_750,
      reportUntil: 28_000,
      childMarginMs: 250,
      announceMs: 5000,
    });
  });

  it('shares a second out in proportion', () => {
    const plan = planBudget({ ...grace, ...idle, gracePeriodMs: 3000, announceMs: 5000, now: 0, mode: 'graceful' });
    expect(plan).toEqual({
      startedAt: 0,
      announceUntil: 0,
      drainUntil: 0,
      flushUntil: 600,
      closeUntil: 800,
      releaseUntil: 900,
      adminUntil: 950,
      reportUntil: 1000,
      childMarginMs: 75,
      announceMs: 5000,
    });
  });

  it('lets the announcement pay first, and leaves the drain a second', () => {
    const plan = planBudget({ ...grace, ...idle, announceMs: 60_000, now: 0, mode: 'graceful' });
    expect([plan.announceUntil, plan.drainUntil, plan.flushUntil]).toEqual([22_000, 23_000, 25_000]);
  });

  it('leaves the drain a tenth of a short budget', () => {
    const plan = planBudget({ ...grace, ...idle, gracePeriodMs: 8000, announceMs: 60_000, now: 0, mode: 'graceful' });
    expect([plan.announceUntil, plan.drainUntil, plan.flushUntil]).toEqual([1400, 2000, 4000]);
  });

  it.each([['fast', 27_000] as const, ['immediate', 2000] as const])(
    'announces nothing when it is %s, and ends after %d ms',
    (mode, end) => {
      const plan = planBudget({ ...grace, ...idle, announceMs: 5000, now: 100, mode });
      expect([plan.announceUntil, plan.announceMs, plan.reportUntil]).toEqual([100, 0, 100 + end]);
    },
  );

  it('of an immediate end flushes nothing beyond its share', () => {
    const plan = planBudget({ ...grace, ...idle, now: 0, mode: 'immediate' });
    expect([plan.drainUntil, plan.flushUntil, plan.releaseUntil, plan.childMarginMs]).toEqual([0, 1200, 1800, 150]);
  });

  it.each([
    [10_000, 10_000],
    [90_000, 27_000],
    [-5, 0],
    [Number.NaN, 27_000],
    [Number.POSITIVE_INFINITY, 27_000],
    [Number.NEGATIVE_INFINITY, 27_000],
  ])('asked to end by %d ends by %d', (deadline, end) => {
    expect(planBudget({ ...grace, ...idle, now: 0, mode: 'graceful', deadline }).reportUntil).toBe(end);
  });

  it('without time ends where it begins', () => {
    for (const gracePeriodMs of [1000, Number.NaN]) {
      const plan = planBudget({ ...grace, ...idle, gracePeriodMs, now: 500, mode: 'graceful' });
      expect([plan.announceUntil, plan.drainUntil, plan.flushUntil, plan.reportUntil]).toEqual([500, 500, 500, 500]);
    }
  });

  it.each([Number.NaN, -1, Number.POSITIVE_INFINITY])('takes an announcement of %d ms for none', (announceMs) => {
    expect(planBudget({ ...grace, ...idle, announceMs, now: 0, mode: 'graceful' })).toMatchObject({
      announceUntil: 0,
      announceMs: 0,
    });
  });

  it('gives the flush half as much again as it is estimated to take', () => {
    const measure = { pendingBytes: 200e6, flushBytesPerSecond: 100e6 };
    const plan = planBudget({ ...grace, ...measure, now: 0, mode: 'graceful' });
    expect(plan.flushUntil - plan.drainUntil).toBe(3000);
  });

  it('gives the flush of an unknown rate the least', () => {
    const plan = planBudget({ ...grace, pendingBytes: 1e12, flushBytesPerSecond: null, now: 0, mode: 'graceful' });
    expect(plan.flushUntil - plan.drainUntil).toBe(2000);
  });
});

describe('a plan pressed harder', () => {
  const plan = planBudget({ ...grace, ...idle, announceMs: 5000, now: 1000, mode: 'graceful' });

  it('keeps its announcement when it stays graceful, and drops it otherwise', () => {
    expect(hasten(plan, { ...idle, now: 2000, mode: 'graceful' })).toEqual(plan);
    expect(hasten(plan, { ...idle, now: 2000, mode: 'fast' })).toEqual({ ...plan, announceUntil: 1000, announceMs: 0 });
  });

  it('never ends later', () => {
    expect(hasten(plan, { ...idle, now: 27_000, mode: 'immediate' }).reportUntil).toBe(28_000);
    expect(hasten(plan, { ...idle, now: 2000, mode: 'fast', deadline: 90_000 }).reportUntil).toBe(28_000);
    expect(hasten(plan, { ...idle, now: 2000, mode: 'fast', deadline: Number.NaN }).reportUntil).toBe(28_000);
  });

  it('ends when it is told to, and not before it began', () => {
    expect(hasten(plan, { ...idle, now: 2000, mode: 'fast', deadline: 9000 }).reportUntil).toBe(9000);
    expect(hasten(plan, { ...idle, now: 2000, mode: 'fast', deadline: 5 }).reportUntil).toBe(1000);
  });

  it('gives the flush what it needs by the newest measure', () => {
    const loaded = hasten(plan, { pendingBytes: 400e6, flushBytesPerSecond: 100e6, now: 2000, mode: 'fast' });
    expect(loaded.flushUntil - loaded.drainUntil).toBe(6000);
  });
});

describe('the estimate of a flush', () => {
  it.each<[number, number | null, number | null]>([
    [50e6, 100e6, 500],
    [0, 0, 0],
    [0, null, 0],
    [-1, 100, 0],
    [Number.NaN, 100, 0],
    [1, null, null],
    [1, Number.NaN, null],
    [1, 0, Number.POSITIVE_INFINITY],
    [1, -5, Number.POSITIVE_INFINITY],
  ])('of %d bytes at %d bytes per second is %d ms', (pendingBytes, flushBytesPerSecond, ms) => {
    expect(flushEtaMs({ pendingBytes, flushBytesPerSecond })).toBe(ms);
  });
});

describe('the deadline of a child', () => {
  it('lies before its parent’s, and not before the shutdown began', () => {
    const plan = planBudget({ ...grace, ...idle, now: 1000, mode: 'graceful' });
    expect(childDeadline(plan, plan.flushUntil)).toBe(25_750);
    expect(childDeadline(plan, 1100)).toBe(1000);
  });
});

describe('the fault of the settings', () => {
  it.each([
    [{ ...grace, gracePeriodMs: Number.NaN }, 'gracePeriodMs: got NaN; expected a finite number of ms above 0'],
    [{ ...grace, gracePeriodMs: -1 }, 'gracePeriodMs: got -1; expected a finite number of ms above 0'],
    [{ ...grace, announceMs: -1 }, 'announceMs: got -1; expected a finite number of ms from 0'],
    [{ ...grace, preStopMs: Number.NaN }, 'preStopMs: got NaN; expected a finite number of ms from 0'],
    [
      { ...grace, gracePeriodMs: 5999.5 },
      'gracePeriodMs: 5999.5 less preStopMs 0 and the margin leaves 3999 ms for the shutdown, which needs 4000; ' +
        'set gracePeriodMs to at least 6000',
    ],
    [
      { ...grace, gracePeriodMs: 1000, preStopMs: 50_000 },
      'gracePeriodMs: 1000 less preStopMs 50000 and the margin leaves 0 ms for the shutdown, which needs 4000; ' +
        'set gracePeriodMs to at least 60000',
    ],
    [
      { ...grace, announceMs: 22_001 },
      'announceMs: 22001 does not fit into a shutdown of 27000 ms; set announceMs to at most 22000 ' +
        'or gracePeriodMs to at least 30002',
    ],
  ])('of %j names what to set', (settings, fault) => {
    expect(budgetFault(settings)).toBe(fault);
  });

  it.each([
    grace,
    { ...grace, gracePeriodMs: 6000 },
    { ...grace, announceMs: 22_000 },
    { ...grace, gracePeriodMs: 20_000, preStopMs: 14_000 },
    { ...grace, gracePeriodMs: 30_002, announceMs: 22_001 },
  ])('of %j is none', (settings) => {
    expect(budgetFault(settings)).toBeNull();
  });

  it('counts the margin that is due where the fixed one and the tenth meet', () => {
    // 16 s of preStop and 4 s of shutdown: with a tenth held back that is more than the fixed 2 s.
    expect(budgetFault({ gracePeriodMs: 1000, preStopMs: 14_000, announceMs: 0 })).toContain('to at least 20000');
    expect(budgetFault({ gracePeriodMs: 1000, preStopMs: 14_001, announceMs: 0 })).toContain('to at least 20002');
  });
});
