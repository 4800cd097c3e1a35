import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProducerWindow, WINDOW_PUBLISHES_MAX } from '../../src/domain/producer-window.ts';

/** A window that has stored publishes 0, 10, 20, … of ten records each, at the offsets of their sequences plus 5. */
function windowOf(publishes: number): ProducerWindow {
  const window = new ProducerWindow();
  for (let at = 0; at < publishes; at += 1) window.store(at * 10, 10, at * 10 + 5, 1, at);
  return window;
}

describe('a producer window', () => {
  it('knows nothing before the first publish, and has no duplicate of what comes next', () => {
    const window = new ProducerWindow();
    expect(window.last).toBe(-1);
    expect(window.judge(0)).toEqual({ is: 'new' });
    expect(windowOf(3).judge(30)).toEqual({ is: 'new' });
    expect(windowOf(3)).toMatchObject({ last: 29, lastTime: 2 });
  });

  it.each([
    1,
    2,
    WINDOW_PUBLISHES_MAX - 1,
    WINDOW_PUBLISHES_MAX,
    WINDOW_PUBLISHES_MAX + 1,
    2 * WINDOW_PUBLISHES_MAX + 1,
    5000,
  ])(
    'after %i publishes remembers the newest, and takes none that is older or lies within one for new',
    (publishes) => {
      const window = windowOf(publishes);
      const last = publishes * 10 - 1;
      const oldest = Math.max(0, publishes - WINDOW_PUBLISHES_MAX);
      for (let at = 0; at < publishes; at += 1) {
        const verdict = window.judge(at * 10);
        if (at < oldest) expect(verdict, `publish ${at}`).toEqual({ is: 'stale', last });
        else expect(verdict, `publish ${at}`).toEqual({ is: 'duplicate', offset: at * 10 + 5, epoch: 1 });
        expect(window.judge(at * 10 + 3)).toEqual({ is: 'stale', last });
      }
      expect(window.judge(last + 1)).toEqual({ is: 'new' });
    },
  );

  it('is bounded, and comes back from its numbers as it was, however many it has stored', () => {
    fc.assert(
      fc.property(fc.nat({ max: 4 * WINDOW_PUBLISHES_MAX }), fc.nat({ max: 50 }), (publishes, more) => {
        const window = windowOf(publishes);
        const numbers = window.toNumbers();
        expect(numbers.length).toBeLessThanOrEqual(2 + 3 * WINDOW_PUBLISHES_MAX);
        const again = ProducerWindow.fromNumbers(numbers);
        for (let at = publishes; at < publishes + more; at += 1) {
          for (const one of [window, again]) one.store(at * 10, 10, at * 10 + 5, 2, at);
        }
        expect(again.toNumbers()).toEqual(window.toNumbers());
      }),
      { numRuns: 30 },
    );
  });

  it('without numbers is a new one', () => {
    const window = ProducerWindow.fromNumbers([]);
    expect([window.last, window.lastTime, window.judge(0)]).toEqual([-1, 0, { is: 'new' }]);
    expect(window.toNumbers()).toEqual([-1, 0]);
  });

  it('is its last sequence and time, then sequence, offset and epoch of each publish, as numbers', () => {
    const window = new ProducerWindow();
    window.store(7, 1, 100, 2, 5000);
    window.store(8, 3, 101, 3, 5001);
    expect(window.toNumbers()).toEqual([10, 5001, 7, 100, 2, 8, 101, 3]);
    expect(ProducerWindow.fromNumbers(window.toNumbers()).judge(8)).toEqual({ is: 'duplicate', offset: 101, epoch: 3 });
  });

  it('knows the last publish again when that was of one record', () => {
    const window = new ProducerWindow();
    window.store(0, 1, 40, 1, 1);
    expect(window.judge(0)).toEqual({ is: 'duplicate', offset: 40, epoch: 1 });
    expect(window.judge(1)).toEqual({ is: 'new' });
  });

  it('lets go of the memory of what it forgets', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    collect();
    const before = process.memoryUsage().heapUsed;
    const window = windowOf(500_000);
    collect();
    // Half a million publishes kept would be 12 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(6e6);
    expect(window.last).toBe(4_999_999);
  });
});
