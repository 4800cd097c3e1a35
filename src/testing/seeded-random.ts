/** Randomness of a test: numbers that look random and are the same in every run. */
import type { Random } from '../ports/random.ts';

export function seededRandom(seed = 1): Random {
  let state = seed;
  let ids = 0;
  return {
    next: () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    },
    id: () => {
      ids += 1;
      return `id-${String(seed).padStart(4, '0')}-${String(ids).padStart(14, '0')}`;
    },
  };
}
