import { timingSafeEqual } from 'node:crypto';

/** Compares what was given with a secret, in a time that says nothing about where they differ. */
export function sameSecret(given: string | undefined, expected: string): boolean {
  const a = Buffer.from(given ?? '');
  const b = Buffer.from(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}
