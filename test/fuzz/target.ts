/**
 * What is fuzzed: a decoder with the properties that hold for every input, as the fuzzer and its script know it. A
 * target throws when a property is broken; everything else that it sees, an orderly refusal included, it returns as a
 * short word, and an input that brings a new word is kept.
 */
import { BrokerError, type ErrorCode, errorTable } from '../../src/errors.ts';
import type { Mutator } from './mutation.ts';

interface TargetFacts {
  readonly name: string;
  /** Sound inputs, made by the project's own encoders, to begin from beside the files of the corpus. */
  readonly seeds: () => readonly Uint8Array[];
  /** Words, magic bytes and field names of the format. */
  readonly dictionary: readonly (string | Uint8Array)[];
  /** Changes that know the format; drawn as often as the general ones. */
  readonly mutators?: readonly Mutator[];
  /**
   * Puts right in place what a mutation broke and every random input would fail on: checksums, lengths. Applied to
   * half of the inputs.
   */
  readonly repair?: (input: Uint8Array) => void;
  /** Longest input, bytes. */
  readonly bytesMax: number;
  /** Longest that one input may take, ms; the default is generous, since machines are busy. */
  readonly inputMs?: number;
  /** Bytes of one allocation that an input of this length may cause; absent where allocations are not watched. */
  readonly allocationMax?: (inputBytes: number) => number;
}

export interface SyncTarget extends TargetFacts {
  readonly run: (input: Uint8Array) => string;
}

export interface AsyncTarget extends TargetFacts {
  /** Makes what the target needs; resolves with how to let go of it. Called once, before the first input. */
  readonly open?: () => Promise<() => Promise<void>>;
  readonly runAsync: (input: Uint8Array) => Promise<string>;
}

export type Target = SyncTarget | AsyncTarget;

/** A property does not hold. */
export class PropertyBroken extends Error {
  override readonly name = 'PropertyBroken';
}

export function holds(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new PropertyBroken(claim);
}

/** The code of an orderly refusal; anything else that was thrown is thrown on. */
export function refusal(error: unknown, codes: readonly ErrorCode[]): string {
  if (!(error instanceof BrokerError)) throw error;
  holds(Object.hasOwn(errorTable, error.code), `${error.code} is a code of the table`);
  if (!codes.includes(error.code)) {
    throw new PropertyBroken(
      `refused with ${error.code}, where ${codes.join(' or ')} is documented: ${error.message}`,
      {
        cause: error,
      },
    );
  }
  return error.code;
}

export function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** Compared as JSON: what came from JSON holds nothing else. */
export function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** A count in few words, so that every power of two is news once and no more. */
export function about(count: number): string {
  return count < 3 ? String(count) : `2^${Math.floor(Math.log2(count))}`;
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}
