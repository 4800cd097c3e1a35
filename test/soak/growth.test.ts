import { describe, expect, it } from 'vitest';
import { growthOf, type Sample } from './growth.ts';

/** Noise between 0 and 1, the same every time. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

function series(count: number, value: (second: number, random: number) => number, seed = 1): Sample[] {
  const random = noise(seed);
  return Array.from({ length: count }, (_, seconds) => ({ seconds, value: value(seconds, random()) }));
}

describe('growth', () => {
  it('is seen through noise of its own size', () => {
    expect(
      growthOf(
        series(200, (second, random) => 1000 + second + random * 60),
        50,
      ),
    ).toMatchObject({ grows: true });
  });

  it('is told per hour, and from where to where', () => {
    const { gained, perHour, first, last } = growthOf(
      series(100, (second) => 500 + 2 * second),
      10,
    );
    expect([gained, perHour, first, last].map(Math.round)).toEqual([198, 7200, 500, 698]);
  });

  it('is not what is noise, waves, a step down or a peak', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      expect(
        growthOf(
          series(60, (_, random) => random * 100, seed),
          0,
        ).grows,
        `seed ${seed}`,
      ).toBe(false);
    }
    expect(
      growthOf(
        series(200, (second) => 100 * Math.sin(second / 5)),
        10,
      ).grows,
    ).toBe(false);
    expect(
      growthOf(
        series(200, (second) => (second < 100 ? 500 : 100)),
        10,
      ).grows,
    ).toBe(false);
    expect(
      growthOf(
        series(200, (second) => (second > 150 && second < 200 ? 9000 : 100)),
        10,
      ).grows,
    ).toBe(false);
  });

  it('is not what stays within the allowance', () => {
    expect(
      growthOf(
        series(100, (second) => 500 + second),
        200,
      ).grows,
    ).toBe(false);
    expect(
      growthOf(
        series(100, (second) => 500 + second),
        50,
      ).grows,
    ).toBe(true);
  });

  it('is seen in a saw whose teeth stand ever higher', () => {
    expect(
      growthOf(
        series(300, (second) => (second % 20) * 10 + second * 2),
        100,
      ).grows,
    ).toBe(true);
  });

  it('is not read out of a few samples', () => {
    expect(
      growthOf(
        series(5, (second) => second * 1000),
        0,
      ).grows,
    ).toBe(false);
  });

  it('of an hour is judged as quickly as that of a minute', () => {
    expect(
      growthOf(
        series(36_000, (second, random) => 1000 + second / 10 + random * 500),
        500,
      ).grows,
    ).toBe(true);
  });
});
