/**
 * Sizes and durations as people write them: `64MiB`, `500KB`, `250ms`, `7d`. A bare number is bytes or milliseconds.
 * Used by the configuration loader and by the flags of every command. Formatting is exact: what `formatBytes` and
 * `formatMs` write, `parseBytes` and `parseMs` read back as the same number.
 */

const byteUnits: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ['kb', 1e3],
  ['mb', 1e6],
  ['gb', 1e9],
  ['tb', 1e12],
  ['kib', 2 ** 10],
  ['mib', 2 ** 20],
  ['gib', 2 ** 30],
  ['tib', 2 ** 40],
]);

const msUnits: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

export const BYTES_FORM = 'a size such as 500KB, 64MiB or 1GiB (KB is 1000 bytes, KiB is 1024)';
export const MS_FORM = 'a duration such as 250ms, 20s, 5m, 12h or 7d';

/** Bytes of a size as written; null when it is none, or not a whole number of bytes below 2^53. */
export function parseBytes(text: string): number | null {
  return parseQuantity(text, byteUnits);
}

/** Milliseconds of a duration as written; null when it is none, or not a whole number of ms below 2^53. */
export function parseMs(text: string): number | null {
  return parseQuantity(text, msUnits);
}

function parseQuantity(text: string, units: ReadonlyMap<string, number>): number | null {
  const match = /^(\d{1,16})(?:\.(\d{1,9}))?[ ]?([A-Za-z]*)$/.exec(text.trim());
  if (match === null) return null;
  const [, whole = '', fraction = '', unit = ''] = match;
  const factor = units.get(unit.toLowerCase());
  if (factor === undefined) return null;
  // The digits as one integer, so that 1.1s is 1100 ms and no rounding of a binary fraction shows.
  const scaled = BigInt(whole + fraction) * BigInt(factor);
  const divisor = 10n ** BigInt(fraction.length);
  if (scaled % divisor !== 0n) return null;
  const value = Number(scaled / divisor);
  return Number.isSafeInteger(value) ? value : null;
}

/** The shortest exact form: 67108864 → `64MiB`, 500000 → `500KB`, 1234 → `1234B`. */
export function formatBytes(bytes: number): string {
  return formatQuantity(bytes, ['TiB', 'GiB', 'MiB', 'KiB', 'TB', 'GB', 'MB', 'KB'], byteUnits) ?? `${bytes}B`;
}

/** The shortest exact form: 20000 → `20s`, 604800000 → `7d`, 250 → `250ms`. */
export function formatMs(ms: number): string {
  return formatQuantity(ms, ['d', 'h', 'm', 's'], msUnits) ?? `${ms}ms`;
}

function formatQuantity(value: number, names: readonly string[], units: ReadonlyMap<string, number>): string | null {
  if (value === 0) return null;
  for (const name of names) {
    const factor = units.get(name.toLowerCase()) ?? 1;
    if (value % factor === 0) return `${value / factor}${name}`;
  }
  return null;
}
