/** Figures for people: bytes, counts, rates, durations, and times in the zone of whoever looks. Pure. */

const NONE = '–';
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

export function bytesText(bytes: number | null): string {
  if (bytes === null) return NONE;
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${shortNumber(value)} ${units[unit] ?? ''}`;
}

export function byteRateText(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? NONE : `${bytesText(bytesPerSecond)}/s`;
}

/** 1,234, and from a hundred thousand on 123 k, 4.5 M. */
export function countText(count: number | null): string {
  if (count === null) return NONE;
  const size = Math.abs(count);
  if (size < 100_000) return Math.round(count).toLocaleString('en');
  if (size < 1e6) return `${Math.round(count / 1e3)} k`;
  if (size < 1e9) return `${shortNumber(count / 1e6)} M`;
  return `${shortNumber(count / 1e9)} G`;
}

export function rateText(perSecond: number | null): string {
  if (perSecond === null) return NONE;
  return `${perSecond > 0 && perSecond < 10 ? shortNumber(perSecond) : countText(perSecond)}/s`;
}

export function durationText(ms: number | null): string {
  if (ms === null) return NONE;
  if (ms < 0) return `−${durationText(-ms)}`;
  if (ms < 10) return `${shortNumber(ms)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hourCycle: 'h23' });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });

/** 14:05:09, in the viewer's zone. `at`: ms since the epoch. */
export function clockText(at: number): string {
  return clockFormat.format(at);
}

/** 14:05:09.123 */
export function exactClockText(at: number): string {
  return `${clockFormat.format(at)}.${String(Math.floor(at % 1000)).padStart(3, '0')}`;
}

/** With the date. */
export function dateText(at: number): string {
  return dateFormat.format(at);
}

export function percentText(part: number): string {
  return `${Math.round(part * 100)} %`;
}

/** "1 shard", "4 shards". */
export function counted(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? '' : 's'}`;
}

function shortNumber(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(2).replace(/0$/, '');
}
