/** What a load on a bad network comes to: what it sent, was told and was given. Shapes only. */

export interface Placed {
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

export interface LoadReport {
  readonly topic: string;
  /** How its values are stored. */
  readonly encoding: 'json' | 'utf8';
  /** Values in the order in which they were first published. */
  readonly sent: readonly string[];
  readonly acked: readonly Placed[];
  /** Code by value, of those that were not acknowledged. */
  readonly refused: readonly (readonly [value: string, code: string])[];
  /** Answered more than once. */
  readonly answeredTwice: readonly string[];
  /** Deliveries in the order in which they came. */
  readonly given: readonly Placed[];
  readonly gaps: number;
  /** Times it came back to a broker that welcomed it. */
  readonly reconnects: number;
}

export interface LoadOptions {
  readonly name: string;
  readonly url: string;
  readonly topic: string;
  readonly perSecond: number;
  /** Of a value, about. */
  readonly bytes: number;
}

export interface Load {
  /** When it was welcomed last, ms since 1970; 0 when it is not connected. */
  readonly connectedSince: number;
  /** Publishes no more, waits until everything is answered and its consumer has caught up, and leaves. */
  finish(): Promise<LoadReport>;
}

/** Of clients that use the library. */
export const liveness = { quietMs: 500, answerMs: 500 };

/** Publishes that may wait for their answer. */
export const WINDOW = 200;
export const PARTITIONS = 2;
/** Time between two looks. */
export const LOOK_MS = 20;

export function numberedValue(name: string, number: number, bytes: number): string {
  return `${name}:${number}:`.padEnd(bytes, 'x');
}
