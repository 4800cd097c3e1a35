import { describe, expect, it } from 'vitest';
import { planBudget } from '../../src/machines/budget.ts';
import { brokenReport } from '../../src/machines/children.ts';
import { guestEvent, shardCommand } from '../../src/machines/orders.ts';
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
