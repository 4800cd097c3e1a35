/** The state of a machine, as XState gives it, in the words of a page. Pure. */
import type { StateValue } from '../inspection/frames.ts';

/** Dotted paths of all states that are active, outer ones first. */
export function activePaths(value: StateValue | null): string[] {
  const paths: string[] = [];
  if (value !== null) walk(value, '', paths);
  return paths;
}

function walk(value: StateValue, above: string, paths: string[]): void {
  if (typeof value === 'string') {
    paths.push(join(above, value));
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    const path = join(above, key);
    paths.push(path);
    if (inner !== undefined) walk(inner, path, paths);
  }
}

/** `flushing.writing`; regions side by side are joined with `+`. */
export function stateText(value: StateValue | null): string {
  if (value === null) return '';
  if (typeof value === 'string') return value;
  return Object.entries(value)
    .map(([key, inner]) => (inner === undefined || isEmpty(inner) ? key : `${key}.${stateText(inner)}`))
    .join(' + ');
}

/** The outermost state: `flushing`. */
export function outerState(value: StateValue | null): string {
  if (value === null) return '';
  return typeof value === 'string' ? value : Object.keys(value).join(' + ');
}

function isEmpty(value: StateValue): boolean {
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function join(above: string, key: string): string {
  return above === '' ? key : `${above}.${key}`;
}
