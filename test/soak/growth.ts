/**
 * Whether a series of samples grows. The slope is that of Theil and Sen, the median of the slopes between all pairs of
 * samples: a third of them may be as wrong as they like without moving it. It counts as growth when
 *
 *   - even the low end of its confidence interval is above zero: the order of the samples is hardly chance, and
 *   - over the time that was looked at it comes to more than the noise, three times the median distance of the samples
 *     from the line, and to more than what the measure may gain for other reasons (`allowance`).
 *
 * Samples of the warm-up are left out by whoever asks.
 */

export interface Sample {
  readonly seconds: number;
  readonly value: number;
}

export interface Growth {
  readonly grows: boolean;
  /** Of the line, over the time of the samples. */
  readonly gained: number;
  readonly perHour: number;
  /** Median distance from the line. */
  readonly noise: number;
  readonly first: number;
  readonly last: number;
}

/** Standard deviations that the slope has to be away from zero: one series in some ten thousand is so by chance. */
const CONFIDENCE = 4;
const NOISES = 3;
/** More samples say no more, and pairs grow with their square. */
const SAMPLES_MAX = 600;

export function growthOf(all: readonly Sample[], allowance: number): Growth {
  const samples = thinned(all);
  const count = samples.length;
  const nothing = { grows: false, gained: 0, perHour: 0, noise: 0, first: 0, last: 0 };
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || count < 8) return nothing;
  const slopes: number[] = [];
  samples.forEach((a, at) => {
    for (const b of samples.slice(at + 1)) {
      if (b.seconds > a.seconds) slopes.push((b.value - a.value) / (b.seconds - a.seconds));
    }
  });
  slopes.sort((a, b) => a - b);
  const slope = quantile(slopes, 0.5);
  // Of Sen: how far from the middle the slope at the end of the interval stands, by the variance of Kendall's S.
  const spread = CONFIDENCE * Math.sqrt((count * (count - 1) * (2 * count + 5)) / 18);
  const low = slopes[Math.max(0, Math.floor((slopes.length - spread) / 2))] ?? 0;
  const start = quantile(sorted(samples.map(({ seconds, value }) => value - slope * seconds)), 0.5);
  const distances = samples.map(({ seconds, value }) => Math.abs(value - start - slope * seconds));
  const noise = quantile(sorted(distances), 0.5);
  const gained = slope * (last.seconds - first.seconds);
  return {
    grows: low > 0 && gained > Math.max(NOISES * noise, allowance),
    gained,
    perHour: slope * 3600,
    noise,
    first: start + slope * first.seconds,
    last: start + slope * last.seconds,
  };
}

function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

function quantile(rising: readonly number[], share: number): number {
  return rising[Math.min(rising.length - 1, Math.floor(rising.length * share))] ?? 0;
}

/** The least of each stretch: what is collected in between only adds. */
function thinned(samples: readonly Sample[]): readonly Sample[] {
  const each = Math.ceil(samples.length / SAMPLES_MAX);
  if (each <= 1) return samples;
  const kept: Sample[] = [];
  for (let at = 0; at < samples.length; at += each) {
    const stretch = samples.slice(at, at + each);
    kept.push(stretch.reduce((least, sample) => (sample.value < least.value ? sample : least)));
  }
  return kept;
}
