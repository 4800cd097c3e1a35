import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createActor, setup } from 'xstate';
import { SimulatedClock } from '../../src/testing/simulated-clock.ts';

describe('the simulated clock', () => {
  it('fires timers in order of their time, and of their setting where times are equal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 30 }), async (times) => {
        const clock = new SimulatedClock();
        const fired: [number, number][] = [];
        times.forEach((ms, order) => {
          clock.setTimeout(() => fired.push([clock.monotonic(), order]), ms);
        });
        await clock.advance(50);
        const expected = times.map((ms, order): [number, number] => [ms, order]);
        expect(fired).toEqual(expected.sort((a, b) => a[0] - b[0] || a[1] - b[1]));
        expect(clock.pending).toBe(0);
      }),
    );
  });

  it('fires each timer at its own time, so that a chain of timers keeps its times', async () => {
    const clock = new SimulatedClock();
    const fired: number[] = [];
    const again = (): void => {
      fired.push(clock.monotonic());
      if (fired.length < 4) clock.setTimeout(again, 10);
    };
    clock.setTimeout(again, 10);
    await clock.advance(100);
    expect(fired).toEqual([10, 20, 30, 40]);
    expect(clock.monotonic()).toBe(100);
  });

  it('runs what promises settled between two timers, and what was deferred', async () => {
    const clock = new SimulatedClock();
    const did: string[] = [];
    clock.setTimeout(() => {
      clock.defer(() => did.push('deferred'));
      void Promise.resolve().then(() => did.push('promise'));
    }, 1);
    clock.setTimeout(() => did.push('timer'), 2);
    await clock.advance(2);
    expect(did).toEqual(['deferred', 'promise', 'timer']);
  });

  it('does not fire what was cleared, also by an earlier timer of the same time', async () => {
    const clock = new SimulatedClock();
    const did: string[] = [];
    const second = { handle: clock.setTimeout(() => did.push('cleared'), 99) };
    clock.setTimeout(() => clock.clearTimeout(second.handle), 5);
    second.handle = clock.setTimeout(() => did.push('cleared too'), 5);
    await clock.advance(50);
    expect(did).toEqual([]);
    expect(clock.next).toBe(99);
  });

  it('refuses a time that Node would take for none', () => {
    expect(() => new SimulatedClock().setTimeout(() => {}, Number.POSITIVE_INFINITY)).toThrow(RangeError);
  });

  it('is a clock for XState: chained delays happen at their own times', async () => {
    const clock = new SimulatedClock();
    const at: number[] = [];
    const entry = (): void => {
      at.push(clock.monotonic());
    };
    const machine = setup({ actions: { entry } }).createMachine({
      initial: 'a',
      states: {
        a: { after: { 10: 'b' } },
        b: { entry: 'entry', after: { 10: 'c' } },
        c: { entry: 'entry', after: { 5: 'd' } },
        d: { entry: 'entry', type: 'final' },
      },
    });
    createActor(machine, { clock }).start();
    await clock.advance(1000);
    expect(at).toEqual([10, 20, 25]);
    expect(clock.pending).toBe(0);
  });
});
