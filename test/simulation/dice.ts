/** Chance from a seed: the same seed draws the same numbers, on every machine (splitmix32 into sfc32). */
import type { Random } from '../../src/ports/random.ts';

export class Dice implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    let state = seed | 0;
    const split = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.#a = split();
    this.#b = split();
    // Seeds beyond 32 bits differ, too.
    this.#c = split() ^ Math.floor(seed / 2 ** 32);
    for (let round = 0; round < 12; round += 1) this.next();
  }

  /** In [0, 1). */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  }

  /** A fresh identifier of the length that the port asks for. */
  id(): string {
    const part = (): string => Math.floor(this.next() * 2 ** 32).toString(36);
    return `${part()}${part()}${part()}${part()}`.padEnd(22, '0').slice(0, 22);
  }

  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(choices: readonly [T, ...T[]] | readonly T[]): T {
    if (choices.length === 0) throw new RangeError('nothing to pick from');
    return choices[Math.floor(this.next() * choices.length)] as T;
  }

  /** Between `low` and `high`, small ones as often as large ones: for times and sizes of many magnitudes. */
  spread(low: number, high: number): number {
    return Math.exp(Math.log(low) + this.next() * (Math.log(high) - Math.log(low)));
  }

  /** A seed for dice of their own. */
  seed(): number {
    return Math.floor(this.next() * 2 ** 32);
  }
}
