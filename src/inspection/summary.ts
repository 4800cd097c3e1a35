/**
 * What viewers are shown of values that are not ours: events and contexts cut to a size, secrets taken out, whatever
 * can't be JSON named. Pure, bounded in time and size, and never throws: it runs within other people's actors.
 */
import type { Json } from './frames.ts';

/** Longest text of an event, a name or a key, characters. */
const TEXT_MAX = 200;
const EVENT: Bounds = { depth: 2, keys: 24, items: 12, text: TEXT_MAX };
const CONTEXT: Bounds = { depth: 6, keys: 200, items: 100, text: 2000 };
/** Tried in turn when a context is too large. */
const SMALLER: readonly Bounds[] = [
  CONTEXT,
  { depth: 4, keys: 60, items: 20, text: 300 },
  { depth: 2, keys: 40, items: 5, text: 80 },
  { depth: 1, keys: 20, items: 3, text: 40 },
];
/** Largest context shown, bytes of JSON. */
const CONTEXT_BYTES_MAX = 16 * 1024;
/** Values looked at in one summary. */
const VALUES_MAX = 2000;

const secretKey =
  /token|authori[sz]ation|passw(or)?d|secret|cookie|credential|api[-_]?key|private[-_]?key|session[-_]?key/i;
const REDACTED = '[redacted]';

interface Bounds {
  readonly depth: number;
  readonly keys: number;
  readonly items: number;
  readonly text: number;
}

type EventSummary = { readonly type: string; readonly [field: string]: Json };

export function shortText(text: string): string {
  return cutText(text, TEXT_MAX);
}

/** An event with its type, and as much of its fields as is short. */
export function summariseEvent(event: unknown): EventSummary {
  const shown = show(event, EVENT, { left: VALUES_MAX });
  if (typeof shown === 'object' && shown !== null && !Array.isArray(shown)) {
    const { type, ...fields } = shown as { readonly [field: string]: Json };
    return { type: typeof type === 'string' ? type : 'unknown', ...fields };
  }
  return { type: 'unknown', value: shown };
}

/** A context, redacted, in at most 16 KiB of JSON: deep where there is room, shallow where there is not. */
export function summariseContext(context: unknown): Json {
  for (const bounds of SMALLER) {
    const shown = show(context, bounds, { left: VALUES_MAX });
    if (Buffer.byteLength(JSON.stringify(shown)) <= CONTEXT_BYTES_MAX) return shown;
  }
  return '[too large to show]';
}

/** What was thrown, in a line. */
export function errorText(error: unknown): string {
  try {
    return shortText(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
  } catch {
    // Anything can be thrown, also what has no text.
    return 'an error without a text';
  }
}

function show(value: unknown, bounds: Bounds, budget: { left: number }, depth = 0): Json {
  budget.left -= 1;
  if (budget.left < 0) return '…';
  switch (typeof value) {
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'string':
      return cutText(value, bounds.text);
    case 'bigint':
      return `${value}n`;
    case 'object':
      try {
        return value === null ? null : showObject(value, bounds, budget, depth);
      } catch {
        // A getter or a proxy of the program that is looked at threw.
        return '[unreadable]';
      }
    case 'function':
      return `[function ${cutText(value.name, 60)}]`;
    default:
      return value === undefined ? '[undefined]' : '[symbol]';
  }
}

function showObject(value: object, bounds: Bounds, budget: { left: number }, depth: number): Json {
  if (value instanceof Error) return errorText(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '[no date]' : value.toISOString();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof Map || value instanceof Set) return `[${value.constructor.name} of ${value.size}]`;
  if (isActor(value)) return `[actor ${shortText(value.id)}]`;
  if (Array.isArray(value)) {
    if (depth >= bounds.depth) return `[list of ${value.length}]`;
    const items = value.slice(0, bounds.items).map((item) => show(item, bounds, budget, depth + 1));
    return value.length > items.length ? [...items, `… ${value.length - items.length} more`] : items;
  }
  if (depth >= bounds.depth) return '[object]';
  return showFields(value, bounds, budget, depth);
}

function showFields(value: object, bounds: Bounds, budget: { left: number }, depth: number): Json {
  const shown = Object.create(null) as Record<string, Json>;
  let count = 0;
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue;
    count += 1;
    if (count > bounds.keys || budget.left <= 0) {
      shown['…'] = 'more';
      break;
    }
    const field = (value as Readonly<Record<string, unknown>>)[key];
    // A field that is not there says nothing.
    if (field === undefined) continue;
    shown[cutText(key, TEXT_MAX)] = secretKey.test(key) ? REDACTED : show(field, bounds, budget, depth + 1);
  }
  return shown;
}

function isActor(value: object): value is { readonly id: string } {
  const { sessionId, id, send } = value as Readonly<Record<string, unknown>>;
  return typeof sessionId === 'string' && typeof id === 'string' && typeof send === 'function';
}

/** Also never the first half of a character of two. */
function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = /[\ud800-\udbff]/.test(text.charAt(max - 2)) ? max - 2 : max - 1;
  return `${text.slice(0, end)}…`;
}
