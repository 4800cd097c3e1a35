/**
 * Where the parts of a JSON text lie. A JSON value of a record is stored as its sender wrote it, digit for digit: read
 * and written anew, a long number would lose digits and one like `1e20` would grow.
 *
 * All functions take a text that `JSON.parse` took, look at nothing else, and run in linear time without recursion.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Start of the value of member `name` in the object that begins at `object`; −1 when there is none. Of several members
 * of one name it is the last, as with `JSON.parse`.
 */
export function memberAt(json: string, object: number, name: string): number {
  let found = -1;
  let at = skipSpace(json, object + 1);
  while (json.charCodeAt(at) !== CLOSE_BRACE) {
    const keyEnd = stringEnd(json, at);
    const value = skipSpace(json, skipSpace(json, keyEnd) + 1);
    if (isKey(json, at, keyEnd, name)) found = value;
    at = nextElement(json, valueEnd(json, value));
  }
  return found;
}

/** Starts of the elements of the array that begins at `array`, in order. */
export function elementsAt(json: string, array: number): number[] {
  const starts: number[] = [];
  let at = skipSpace(json, array + 1);
  while (json.charCodeAt(at) !== CLOSE_BRACKET) {
    starts.push(at);
    at = nextElement(json, valueEnd(json, at));
  }
  return starts;
}

/** End, exclusive, of the value that begins at `at`. */
export function valueEnd(json: string, at: number): number {
  const first = json.charCodeAt(at);
  if (first === QUOTE) return stringEnd(json, at);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return containerEnd(json, at);
  return scalarEnd(json, at);
}

/** Start of the first value at or behind `at`. */
export function skipSpace(json: string, at: number): number {
  let next = at;
  // JSON knows four kinds of space; nothing else below 0x21 may stand between values.
  while (json.charCodeAt(next) <= 0x20) next += 1;
  return next;
}

function nextElement(json: string, end: number): number {
  const at = skipSpace(json, end);
  return json.charCodeAt(at) === COMMA ? skipSpace(json, at + 1) : at;
}

function isKey(json: string, start: number, end: number, name: string): boolean {
  if (end - start === name.length + 2 && json.startsWith(name, start + 1)) return true;
  // Longer and equal only when it is written with escapes, `\u` being the longest.
  if (end - start > name.length * 6 + 2) return false;
  const key = json.slice(start, end);
  return key.includes('\\') && JSON.parse(key) === name;
}

function stringEnd(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); ; at = json.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (json.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at + 1;
  }
}

/** End of a number, `true`, `false` or `null`. */
function scalarEnd(json: string, start: number): number {
  for (let at = start + 1; at < json.length; at += 1) {
    const code = json.charCodeAt(at);
    if (code <= 0x20 || code === COMMA || code === CLOSE_BRACKET || code === CLOSE_BRACE) return at;
  }
  return json.length;
}

function containerEnd(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; at += 1) {
    switch (json.charCodeAt(at)) {
      case QUOTE:
        // A string may hold brackets of its own.
        at = stringEnd(json, at) - 1;
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        depth += 1;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        depth -= 1;
        if (depth === 0) return at + 1;
    }
  }
  return json.length;
}
