/** How the synced writes of a shard went since it opened; noted by the append queue, once per write. */
import { Distribution } from './distribution.ts';

/** Bounds, seconds: an NVMe disk syncs in well under a millisecond, a bad day takes ten seconds. */
export const writeSecondsBounds: readonly number[] = [
  0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/** Bounds, bytes. */
export const writeBytesBounds: readonly number[] = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];
/** Bounds, entries. */
export const writeEntriesBounds: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

export class WriteFigures {
  /** Write and sync together. */
  readonly seconds = new Distribution(writeSecondsBounds);
  readonly bytes = new Distribution(writeBytesBounds);
  readonly entries = new Distribution(writeEntriesBounds);
  /**
   * From the admission of the entry of a write that waited longest to its acknowledgement: the worst of each write.
   * Writes of async topics alone have none: those were acknowledged before.
   */
  readonly ackSeconds = new Distribution(writeSecondsBounds);
}
