/**
 * Whether a batch is one that the page can take: of frames that it knows, those fields are looked at that views rely on.
 * A file may come from anywhere, and a source may be newer than the page. Frames of unknown types pass; nobody reads them.
 */
import type { Batch } from '../inspection/frames.ts';

type Kind = 'string' | 'number' | 'boolean' | 'object' | 'array' | 'string?' | 'value?' | 'any';

const fields: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  hello: { source: 'object', may: 'object' },
  machine: { hash: 'string', id: 'string', definition: 'object', picture: 'string' },
  actor: {
    id: 'string',
    parent: 'string?',
    name: 'string',
    machine: 'string?',
    kind: 'string',
    status: 'string',
    value: 'value?',
    since: 'number',
  },
  gone: { id: 'string' },
  event: { at: 'number', to: 'string', from: 'string?', event: 'object' },
  step: { at: 'number', id: 'string', edges: 'array', value: 'value?' },
  state: { at: 'number', id: 'string', status: 'string', value: 'value?' },
  facts: { at: 'number', eventsPerSecond: 'number' },
  error: { message: 'string' },
  end: { reason: 'string' },
};

export function isBatch(value: unknown): value is Batch {
  return (
    isObject(value) &&
    value['v'] === 1 &&
    Number.isFinite(value['at']) &&
    Array.isArray(value['frames']) &&
    value['frames'].every(isFrame)
  );
}

function isFrame(frame: unknown): boolean {
  if (!isObject(frame) || typeof frame['type'] !== 'string') return false;
  const wanted = Object.hasOwn(fields, frame['type']) ? fields[frame['type']] : undefined;
  for (const [name, kind] of Object.entries(wanted ?? {})) {
    if (!fits(frame[name], kind)) return false;
  }
  switch (frame['type']) {
    case 'hello':
      return isSource(frame['source']);
    case 'machine':
      return isDefinition(frame['definition']);
    case 'event':
      return isObject(frame['event']) && typeof frame['event']['type'] === 'string';
    default:
      return true;
  }
}

function isSource(source: unknown): boolean {
  return (
    isObject(source) &&
    ['name', 'version', 'host'].every((name) => typeof source[name] === 'string') &&
    ['pid', 'startedAt'].every((name) => Number.isFinite(source[name]))
  );
}

function isDefinition(definition: unknown): boolean {
  return (
    isObject(definition) &&
    Array.isArray(definition['edges']) &&
    definition['edges'].every(
      (edge) => isObject(edge) && typeof edge['source'] === 'string' && typeof edge['event'] === 'string',
    ) &&
    isState(definition['root'], 0)
  );
}

/** Deeper than any chart that a person has drawn. */
const DEPTH_MAX = 50;

function isState(state: unknown, depth: number): boolean {
  return (
    depth < DEPTH_MAX &&
    isObject(state) &&
    typeof state['path'] === 'string' &&
    typeof state['key'] === 'string' &&
    ['tags', 'entry', 'exit', 'invoke'].every((name) => Array.isArray(state[name])) &&
    Array.isArray(state['states']) &&
    state['states'].every((inner) => isState(inner, depth + 1))
  );
}

function fits(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'any':
      return true;
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'string?':
      return value === null || typeof value === 'string';
    case 'value?':
      return value === null || isStateValue(value, 0);
    case 'number':
      return Number.isFinite(value);
    default:
      return typeof value === kind;
  }
}

function isStateValue(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return true;
  return (
    depth < DEPTH_MAX &&
    isObject(value) &&
    Object.values(value).every((inner) => inner === undefined || isStateValue(inner, depth + 1))
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
