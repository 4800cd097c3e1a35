import { describe, expect, it } from 'vitest';
import { EndWatch } from '../../src/cli/end-watch.ts';

describe('EndWatch', () => {
  it('is never done without a count and without ends', () => {
    const watch = new EndWatch(Number.POSITIVE_INFINITY, null);
    for (let offset = 0; offset < 100; offset += 1) expect(watch.take(0, offset)).toBe(true);
    expect(watch.done).toBe(false);
  });

  it('takes exactly the count', () => {
    const watch = new EndWatch(2, null);
    expect([watch.take(0, 0), watch.take(1, 0), watch.take(0, 1)]).toEqual([true, true, false]);
    expect(watch.done).toBe(true);
  });

  it('is done at once when there is nothing up to the ends', () => {
    expect(new EndWatch(Number.POSITIVE_INFINITY, []).done).toBe(true);
    expect(new EndWatch(Number.POSITIVE_INFINITY, [{ partition: 0, offset: 5, highWatermark: 5 }]).done).toBe(true);
  });

  it('takes each partition up to its high watermark and nothing stored later', () => {
    const watch = new EndWatch(Number.POSITIVE_INFINITY, [
      { partition: 0, offset: 0, highWatermark: 2 },
      { partition: 1, offset: 0, highWatermark: 1 },
    ]);
    expect([watch.take(0, 0), watch.take(0, 1), watch.take(0, 2)]).toEqual([true, true, false]);
    expect(watch.done).toBe(false);
    expect(watch.take(1, 0)).toBe(true);
    expect(watch.done).toBe(true);
  });

  it('counts a gap over the end as reached', () => {
    const watch = new EndWatch(Number.POSITIVE_INFINITY, [{ partition: 0, offset: 0, highWatermark: 5 }]);
    watch.reach(0, 4);
    expect(watch.done).toBe(false);
    watch.reach(0, 7);
    expect(watch.done).toBe(true);
  });
});
