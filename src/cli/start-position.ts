/** `--from` of `sluice subscribe`: where to begin, as written on a command line. Pure. */

/** As the client and the protocol take it. */
export type From =
  | 'earliest'
  | 'latest'
  | 'committed'
  | { readonly offset: number }
  | { readonly time: number }
  | { readonly last: number };

export const FROM_FORM =
  'earliest, latest, committed, offset:N, last:N, or time:T with T in ms since 1970 or as ISO 8601 (time:2026-01-31T12:00:00Z)';

/** Null when the text is none of the forms. */
export function parseFrom(text: string): From | null {
  if (text === 'earliest' || text === 'latest' || text === 'committed') return text;
  const split = text.indexOf(':');
  const name = text.slice(0, Math.max(0, split));
  const rest = text.slice(split + 1);
  if (name === 'time') {
    const time = wholeNumber(rest) ?? isoTime(rest);
    return time === null ? null : { time };
  }
  const number = wholeNumber(rest);
  if (number === null) return null;
  if (name === 'offset') return { offset: number };
  return name === 'last' && number > 0 ? { last: number } : null;
}

function wholeNumber(text: string): number | null {
  if (!/^\d{1,16}$/.test(text)) return null;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : null;
}

/** A date alone is UTC, as ISO 8601 has it in ECMAScript; a time without a zone is local. */
function isoTime(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/.test(text)) return null;
  const time = Date.parse(text);
  return Number.isNaN(time) || time < 0 ? null : time;
}
