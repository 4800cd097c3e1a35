/** What a checker finds. */
import type { HistoryEvent } from '../history.ts';

/** Of `proof`: S…, L…, E1; of docs/shutdown.md: I…. */
export type Invariant =
  | 'S1'
  | 'S2'
  | 'S3'
  | 'S4'
  | 'S5'
  | 'S6'
  | 'S7'
  | 'S8'
  | 'S9'
  | 'S10'
  | 'S11'
  | 'S12'
  | 'S13'
  | 'S14'
  | 'S15'
  | 'S16'
  | 'S17'
  | 'L1'
  | 'L2'
  | 'E1'
  | 'I2'
  | 'I3'
  | 'I4'
  | 'I5'
  | 'I6'
  | 'I7'
  | 'I11';

export interface Violation {
  readonly invariant: Invariant;
  readonly text: string;
  /** The shortest part of the history that shows it, in order. */
  readonly excerpt: readonly HistoryEvent[];
}
