/** A figure over the last minutes, as a line without axes: it shows the shape, and the figure beside it the size. */
import type { JSX } from 'preact';
import { SAMPLES_MAX } from './history.ts';

const WIDTH = 120;
const HEIGHT = 28;
/** Shown at once, samples: fewer make a line that can be read. */
const SHOWN = Math.min(SAMPLES_MAX, 120);
/** As wide as so many at least: two samples are no line. */
const SPREAD_MIN = 30;

export function Sparkline({
  values,
  label,
}: {
  readonly values: readonly number[];
  readonly label: string;
}): JSX.Element {
  const shown = values.slice(-SHOWN);
  const top = Math.max(...shown, 0);
  const step = WIDTH / (Math.max(shown.length, SPREAD_MIN) - 1);
  const x = (index: number) => (WIDTH - (shown.length - 1 - index) * step).toFixed(1);
  const y = (value: number) => (HEIGHT - 2 - (top === 0 ? 0 : (value / top) * (HEIGHT - 5))).toFixed(1);
  const line = shown.map((value, index) => `${index === 0 ? 'M' : 'L'}${x(index)} ${y(value)}`).join('');
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      {shown.length > 1 && (
        <>
          <path class="area" d={`${line}L${WIDTH} ${HEIGHT}L${x(0)} ${HEIGHT}Z`} />
          <path class="line" d={line} />
        </>
      )}
    </svg>
  );
}
