/** A piece of work that systems are measured on, what it yields, and what was set out to be reached. */
import type { Lab } from '../lab.ts';

export interface Measure {
  /** Names the rows of the results. */
  readonly name: string;
  readonly unit: 'records/s' | 'deliveries/s' | 'MB/s' | 'ms' | 'bytes';
  readonly text: string;
}

/** Median of a measure on a system; null when it was not measured. */
export type MedianOf = (measure: string, system: string) => number | null;

export interface Goal {
  readonly text: string;
  readonly bound: { readonly atLeast: number } | { readonly atMost: number };
  /** What is bounded; null when something it is made of was not measured. */
  readonly value: (median: MedianOf) => number | null;
}

export interface Workload {
  readonly name: string;
  readonly text: string;
  readonly systems: readonly string[];
  readonly measures: readonly Measure[];
  readonly goals: readonly Goal[];
  /** One run: a figure for each measure that this system has. */
  measure(system: string, lab: Lab): Promise<Readonly<Record<string, number>>>;
}

/** `a` ÷ `b`; null when either is missing. */
export function ratioOf(a: number | null, b: number | null): number | null {
  return a === null || b === null || b === 0 ? null : a / b;
}

/** null when either is missing. */
export function sumOf(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

/** The smaller of two; null when either is missing. */
export function lowerOf(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Math.min(a, b);
}
