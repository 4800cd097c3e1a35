import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { budgetFault, budgetOf, flushEtaMs, hasten, planBudget, replan } from '../../src/machines/budget.ts';

const grace = { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 0 };
const idle = { pendingBytes: 0, flushBytesPerSecond: null };

const anyMs = fc.oneof(
  fc.integer({ min: 0, max: 4_000_000 }),
  fc.double({ min: 0, max: 1e12, noNaN: true }),
  fc.constantFrom(0, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_VALUE),
);
const request = fc.record({
  gracePeriodMs: anyMs,
  preStopMs: anyMs,
  announceMs: anyMs,
  pendingBytes: fc.oneof(fc.integer({ min: 0, max: 2 ** 40 }), fc.constantFrom(0, Number.POSITIVE_INFINITY)),
  flushBytesPerSecond: fc.oneof(fc.constant(null), fc.double({ min: 0, max: 1e10, noNaN: true })),
  now: fc.integer({ min: 0, max: 1e9 }),
  mode: fc.constantFrom('graceful' as const, 'fast' as const, 'immediate' as const),
});

describe('the shutdown budget', () => {
  it('derives 27 s from the 30 s of Kubernetes', () => {
    expect(budgetOf(grace)).toBe(27_000);
    const plan = planBudget({ ...grace, ...idle, now: 1000, mode: 'graceful' });
    expect(plan).toMatchObject({ startedAt: 1000, announceUntil: 1000, reportUntil: 28_000 });
    expect(plan.flushUntil - plan.drainUntil).toBe(2000);
  });

  it('B1, B3: deadlines stand in order, are finite, and end within the budget, for any input', () => {
    fc.assert(
      fc.property(request, (given) => {
        const plan = planBudget(given);
        const deadlines = [
          plan.startedAt,
          plan.announceUntil,
          plan.drainUntil,
          plan.flushUntil,
          plan.closeUntil,
          plan.releaseUntil,
          plan.adminUntil,
          plan.reportUntil,
        ];
        for (const deadline of deadlines) expect(Number.isFinite(deadline)).toBe(true);
        expect([...deadlines].sort((a, b) => a - b)).toEqual(deadlines);
        const budget = Number.isFinite(budgetOf(given)) ? Math.max(budgetOf(given), 0) : 0;
        expect(plan.reportUntil - plan.startedAt).toBeLessThanOrEqual(budget + 1e-6 * Math.max(1, budget));
      }),
      { numRuns: 2000 },
    );
  });

  it('B2: the flush never pays: its time depends on the budget, what is pending and the rate alone', () => {
    fc.assert(
      fc.property(request, fc.integer({ min: 0, max: 60_000 }), (given, announceMs) => {
        const plain = planBudget({ ...given, announceMs: 0 });
        const announced = planBudget({ ...given, announceMs });
        expect(announced.flushUntil - announced.drainUntil).toBeCloseTo(plain.flushUntil - plain.drainUntil, 6);
      }),
      { numRuns: 1000 },
    );
  });

  it('gives the flush more when more is pending, at most 0.6 of the budget, and never moves the end', () => {
    const plan = planBudget({ ...grace, ...idle, now: 0, mode: 'graceful' });
    const loaded = replan(plan, { pendingBytes: 400e6, flushBytesPerSecond: 100e6 });
    expect(loaded.flushUntil - loaded.drainUntil).toBe(6000);
    expect(loaded.reportUntil).toBe(plan.reportUntil);
    const endless = replan(plan, { pendingBytes: 1e15, flushBytesPerSecond: 1 });
    expect(endless.flushUntil - endless.drainUntil).toBeCloseTo(0.6 * 27_000, 6);
  });

  it('B1, B3: pressed harder, the end only comes nearer, whatever was asked', () => {
    const pressed = fc.record({
      mode: fc.constantFrom('graceful' as const, 'fast' as const, 'immediate' as const),
      afterMs: fc.integer({ min: 0, max: 60_000 }),
      deadline: fc.option(fc.oneof(fc.integer({ min: -1e6, max: 1e9 }), fc.constantFrom(Number.NaN, Infinity)), {
        nil: undefined,
      }),
    });
    fc.assert(
      fc.property(request, pressed, (given, { mode, afterMs, deadline }) => {
        const plan = planBudget(given);
        const { pendingBytes, flushBytesPerSecond } = given;
        const asked = { pendingBytes, flushBytesPerSecond, now: given.now + afterMs, mode };
        const harder = hasten(plan, deadline === undefined ? asked : { ...asked, deadline });
        expect(harder.reportUntil).toBeLessThanOrEqual(plan.reportUntil);
        const { childMarginMs: _, announceMs: __, ...deadlines } = harder;
        const inOrder = Object.values(deadlines);
        expect(inOrder.every(Number.isFinite)).toBe(true);
        expect([...inOrder].sort((a, b) => a - b)).toEqual(inOrder);
      }),
      { numRuns: 1000 },
    );
  });

  it('immediate leaves 2 s from now on', () => {
    const plan = planBudget({ ...grace, ...idle, now: 0, mode: 'graceful' });
    expect(hasten(plan, { ...idle, now: 5000, mode: 'immediate' })).toMatchObject({
      flushUntil: 5000,
      reportUntil: 7000,
    });
  });

  it('tells how long a flush takes, and says when it does not know', () => {
    expect(flushEtaMs({ pendingBytes: 50e6, flushBytesPerSecond: 100e6 })).toBe(500);
    expect(flushEtaMs({ pendingBytes: 1, flushBytesPerSecond: null })).toBeNull();
    expect(flushEtaMs(idle)).toBe(0);
  });

  it.each([
    [{ ...grace, gracePeriodMs: Number.POSITIVE_INFINITY }, /gracePeriodMs: got Infinity/],
    [{ ...grace, gracePeriodMs: 0 }, /gracePeriodMs: got 0/],
    [{ ...grace, preStopMs: -1 }, /preStopMs: got -1/],
    [{ ...grace, gracePeriodMs: 3000 }, /set gracePeriodMs to at least 6000/],
    [{ ...grace, announceMs: 60_000 }, /announceMs: 60000 does not fit/],
  ])('refuses %j and names the number to set', (settings, message) => {
    expect(budgetFault(settings)).toMatch(message);
  });

  it('what it says to set works', () => {
    for (const preStopMs of [0, 5000, 100_000]) {
      const fault = budgetFault({ gracePeriodMs: 1000, preStopMs, announceMs: 0 }) ?? '';
      const gracePeriodMs = Number(/set gracePeriodMs to at least (\d+)/.exec(fault)?.[1]);
      expect(budgetFault({ gracePeriodMs, preStopMs, announceMs: 0 })).toBeNull();
      expect(budgetFault({ gracePeriodMs: gracePeriodMs - 1, preStopMs, announceMs: 0 })).not.toBeNull();
    }
  });
});
