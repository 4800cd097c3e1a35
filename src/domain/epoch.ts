/**
 * Partition epochs. A position is (epoch, offset): an epoch begins when a crash cost records that had been shown, so
 * that an old position is told from a new one with the same offset. Epochs are kept as (number, first offset), rising.
 */

export interface EpochStart {
  readonly epoch: number;
  /** First offset written in this epoch; where the one before ends. */
  readonly start: number;
}

/** Epochs remembered per partition; an older one is taken to have ended where the oldest remembered began. */
export const EPOCHS_MAX = 64;

export const firstEpoch: readonly EpochStart[] = [{ epoch: 1, start: 0 }];

/** The epochs after a new one begins at `start`. */
export function beginEpoch(epochs: readonly EpochStart[], start: number): readonly EpochStart[] {
  const last = epochs[epochs.length - 1] as EpochStart;
  return [...epochs, { epoch: last.epoch + 1, start }].slice(-EPOCHS_MAX);
}

export function currentEpoch(epochs: readonly EpochStart[]): number {
  return (epochs[epochs.length - 1] as EpochStart).epoch;
}

/**
 * Where the records of `epoch` end for good: a position of that epoch beyond it was lost. Null for the present epoch,
 * whose end is the high watermark.
 */
export function endOfEpoch(epochs: readonly EpochStart[], epoch: number): number | null {
  const next = epochs.find((entry) => entry.epoch > epoch);
  return next === undefined ? null : next.start;
}
