import { describe, expect, it } from 'vitest';
import { beginEpoch, currentEpoch, EPOCHS_MAX, endOfEpoch, firstEpoch } from '../../src/domain/epoch.ts';

describe('the epochs of a partition', () => {
  const three = beginEpoch(beginEpoch(firstEpoch, 10), 15);

  it('begin with 1 at offset 0, and rise by one at the offset given', () => {
    expect(firstEpoch).toEqual([{ epoch: 1, start: 0 }]);
    expect(three).toEqual([
      { epoch: 1, start: 0 },
      { epoch: 2, start: 10 },
      { epoch: 3, start: 15 },
    ]);
    expect([currentEpoch(firstEpoch), currentEpoch(three)]).toEqual([1, 3]);
  });

  it('end where the next begins; the present one has no end', () => {
    expect([1, 2, 3, 4].map((epoch) => endOfEpoch(three, epoch))).toEqual([10, 15, null, null]);
  });

  it('are remembered up to a bound, the newest; an older one ended where the oldest remembered began', () => {
    let epochs = firstEpoch;
    for (let begun = 1; begun < EPOCHS_MAX + 10; begun += 1) epochs = beginEpoch(epochs, begun * 100);
    expect(epochs).toHaveLength(EPOCHS_MAX);
    expect([epochs[0], currentEpoch(epochs)]).toEqual([{ epoch: 11, start: 1000 }, EPOCHS_MAX + 10]);
    expect(endOfEpoch(epochs, 3)).toBe(1000);
    expect(endOfEpoch(epochs, 11)).toBe(1100);
  });

  it('are left as they were by the beginning of one', () => {
    beginEpoch(three, 20);
    expect([three.length, firstEpoch.length]).toEqual([3, 1]);
  });
});
