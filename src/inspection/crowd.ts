/**
 * Actors that are no XState actors, since they come by the thousand: what a hub asks of whoever keeps them. The broker's
 * sessions are one (`actors/session-crowd.ts`).
 */
import type { Clock } from '../ports/clock.ts';
import type { Chart } from './chart.ts';
import type { Frame, SessionFacts, StateFrame } from './frames.ts';

export interface Crowd {
  /** That of each of them. */
  readonly chart: Chart;
  /** Looks from now on; `tell` takes each change as a frame, with the time of `clock`. */
  attach(tell: (frame: Frame) => void, clock: Clock): void;
  detach(): void;
  /** Those that are shown, each as an `actor`. */
  frames(): Iterable<Frame>;
  has(id: string): boolean;
  /** The state of one with its context; null when it is none of these. */
  context(id: string): StateFrame | null;
  readonly facts: SessionFacts;
}
