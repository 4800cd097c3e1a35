/** From runs to rows: medians, ratios, and whether the goals hold. */

import type { Machine } from './machine.ts';
import { systemNamed } from './systems/registry.ts';
import type { Goal, Measure, MedianOf, Workload } from './workloads/workload.ts';

export interface Row {
  /** Name of the measure: that of the workload, with a suffix where it has several. */
  readonly workload: string;
  readonly system: string;
  readonly durability: string;
  readonly unit: Measure['unit'];
  readonly runs: readonly number[];
  readonly median: number;
  /** Median of `sluice` ÷ this median; null when `sluice` was not measured. */
  readonly ratio: number | null;
}

export interface Verdict {
  readonly workload: string;
  readonly goal: string;
  /** null when something it is made of was not measured. */
  readonly value: number | null;
  readonly holds: boolean | null;
}

/** What the JSON file holds. */
export interface Results {
  readonly machine: Machine;
  readonly scale: string;
  readonly results: readonly Row[];
  readonly goals: readonly Verdict[];
  readonly missing: readonly { readonly system: string; readonly how: string }[];
}

/** Figures of the runs, by measure and system. */
export class Figures {
  readonly #runs = new Map<string, Map<string, number[]>>();

  add(system: string, figures: Readonly<Record<string, number>>): void {
    for (const [measure, value] of Object.entries(figures)) {
      const bySystem = this.#runs.get(measure) ?? new Map<string, number[]>();
      this.#runs.set(measure, bySystem);
      bySystem.set(system, [...(bySystem.get(system) ?? []), value]);
    }
  }

  readonly median: MedianOf = (measure, system) => {
    const runs = this.#runs.get(measure)?.get(system);
    return runs === undefined ? null : medianOf(runs);
  };

  rows(workload: Workload): Row[] {
    return workload.measures.flatMap(({ name, unit }) => {
      const sluice = this.median(name, 'sluice');
      return [...(this.#runs.get(name) ?? [])].map(([system, runs]) => ({
        workload: name,
        system,
        durability: systemNamed(system).durability,
        unit,
        runs,
        median: medianOf(runs),
        ratio: sluice === null ? null : sluice / medianOf(runs),
      }));
    });
  }

  verdicts(workload: Workload): Verdict[] {
    return workload.goals.map((goal) => {
      const value = goal.value(this.median);
      return { workload: workload.name, goal: goal.text, value, holds: value === null ? null : holds(goal, value) };
    });
  }
}

function holds({ bound }: Goal, value: number): boolean {
  return 'atLeast' in bound ? value >= bound.atLeast : value <= bound.atMost;
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}
