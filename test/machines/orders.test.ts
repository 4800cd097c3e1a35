import { describe, expect, it } from 'vitest';
import { planBudget } from '../../src/machines/budget.ts';
import { brokenReport } from '../../src/machines/children.ts';
import { announces, endpointEvent, guestEvent, newPlan, shardCommand, until } from '../../src/machines/orders.ts';
import type { SupervisorContext } from '../../src/machines/supervisor-context.ts';

const plan = planBudget({
  gracePeriodMs: 30_000,
  preStopMs: 0,
  announceMs: 0,
  pendingBytes: 0,
  flushBytesPerSecond: null,
  now: 1000,
  mode: 'graceful',
});

/** As much of the supervisor's context as an order is made of. */
function contextOf(given: Partial<SupervisorContext>): SupervisorContext {
  return { plan, now: () => 2000, reason: 'test', mode: 'graceful', ...given } as SupervisorContext;
}

describe('an order', () => {
  it('carries the deadline of the plan', () => {
    expect(shardCommand(contextOf({}), 'flush')).toEqual({ type: 'shard.flush', deadline: plan.flushUntil });
    expect(guestEvent(contextOf({}))).toMatchObject({ type: 'shutdown', deadline: plan.flushUntil });
    const drain = shardCommand(contextOf({}), 'drain');
    expect(drain).toMatchObject({ retryAfterMs: Math.round((plan.reportUntil - 2000) / 10) + 500 });
  });

  it('without a plan is due now, and asks clients back in half a second', () => {
    const context = contextOf({ plan: null });
    expect(shardCommand(context, 'flush')).toEqual({ type: 'shard.flush', deadline: 2000 });
    expect(shardCommand(context, 'drain')).toEqual({ type: 'shard.drain', retryAfterMs: 500 });
    expect(guestEvent(context)).toMatchObject({ deadline: 2000 });
  });

  it('behind its plan asks clients back in half a second', () => {
    const late = contextOf({ now: () => plan.reportUntil + 5000 });
    expect(shardCommand(late, 'drain')).toEqual({ type: 'shard.drain', retryAfterMs: 500 });
  });

  it('to abandon says who wanted it', () => {
    expect(shardCommand(contextOf({ mode: 'immediate' }), 'abandon')).toMatchObject({
      reason: 'forced by the operator',
    });
    expect(shardCommand(contextOf({}), 'abandon')).toMatchObject({ reason: 'its time is up' });
  });
});

describe('the time until a deadline', () => {
  const LONGEST_MS = 2 ** 31 - 1;

  it('is what is left, never less than none, never more than a timer takes', () => {
    expect(until(contextOf({}), 2500)).toBe(500);
    expect(until(contextOf({}), 1500)).toBe(0);
    expect(until(contextOf({}), 1e15)).toBe(LONGEST_MS);
    expect(until(contextOf({}), undefined)).toBe(LONGEST_MS);
  });

  it('of an announcement decides whether there is one; without a plan there is', () => {
    expect(announces(contextOf({ plan: { ...plan, announceUntil: 2001 } }))).toBe(true);
    expect(announces(contextOf({ plan: { ...plan, announceUntil: 2000 } }))).toBe(false);
    expect(announces(contextOf({ plan: null }))).toBe(true);
  });
});

describe('a plan', () => {
  const context = contextOf({
    grace: { gracePeriodMs: 30_000, preStopMs: 0, announceMs: 5000 },
    load: () => ({ pendingBytes: 400e6, flushBytesPerSecond: 100e6 }),
  });

  it('is made of the settings, what is pending, the mode and the present time', () => {
    expect(newPlan(context, 'graceful')).toMatchObject({ startedAt: 2000, announceUntil: 7000, drainUntil: 21_000 });
    expect(newPlan(context, 'fast')).toMatchObject({ announceUntil: 2000, reportUntil: 29_000 });
    expect(newPlan(context, 'fast', 9000)).toMatchObject({ reportUntil: 9000 });
  });

  it('is made for an endpoint that is told something before there is one', () => {
    const given = { ...context, plan: null, reason: 'why', stopping: true, returning: false };
    expect(endpointEvent(given, 'shutdown.drain')).toEqual({
      type: 'shutdown.drain',
      reason: 'why',
      mode: 'graceful',
      leaving: true,
      returning: false,
      plan: newPlan(context, 'graceful'),
    });
    expect(endpointEvent({ ...given, plan }, 'shutdown.close').plan).toBe(plan);
  });
});

describe('the other orders', () => {
  it('say no more than what they are', () => {
    expect(shardCommand(contextOf({}), 'prepare')).toEqual({ type: 'shard.prepare' });
    expect(shardCommand(contextOf({}), 'resume')).toEqual({ type: 'shard.resume' });
    expect(shardCommand(contextOf({}), 'abandon').type).toBe('shard.abandon');
    expect(guestEvent(contextOf({ reason: 'why', mode: 'fast' }))).toEqual({
      type: 'shutdown',
      reason: 'why',
      mode: 'fast',
      deadline: plan.flushUntil,
    });
  });
});

describe('a chart that breaks', () => {
  it.each([
    [new Error('no state'), 'no state'],
    ['a text', 'a text'],
    [undefined, 'undefined'],
  ])('is reported by what it threw: %s', (error, detail) => {
    expect(brokenReport({ actorId: 'shard-00', error })).toMatchObject({
      type: 'child.failed',
      id: 'shard-00',
      detail,
    });
  });
});
