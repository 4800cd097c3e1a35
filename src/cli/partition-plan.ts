/**
 * Where each record of an input goes, the same in every run: what makes `publish --resume` exact. The client numbers
 * the records of each partition 0, 1, 2… in the order in which it is given them; so when the broker's last sequence of
 * a partition is s, the first s + 1 records that this plan puts there are stored already. Pure.
 */
import { partitionOfKey } from '../domain/partition.ts';
import type { InputRecord } from './input-record.ts';

/** Records without a key that follow each other go to one partition, this many, so that they travel as one batch. */
const RUN_RECORDS = 256;

export class PartitionPlan {
  readonly #partitions: number;
  readonly #stored: ReadonlyMap<number, number>;
  readonly #planned = new Map<number, number>();
  #keyless = 0;

  /** `stored`: last stored sequence of the producer by partition. */
  constructor(partitions: number, stored: ReadonlyMap<number, number>) {
    this.#partitions = partitions;
    this.#stored = stored;
  }

  /**
   * The partition of the next record, and whether the broker has it. To be called once for each record, in order.
   * Throws RangeError for a partition that the topic does not have.
   */
  place(record: InputRecord): { readonly partition: number; readonly stored: boolean } {
    const partition = record.partition ?? this.#partitionOf(record.key);
    if (partition >= this.#partitions) {
      throw new RangeError(`partition ${partition} is none of the topic's ${this.#partitions}, which count from 0`);
    }
    const sequence = this.#planned.get(partition) ?? 0;
    this.#planned.set(partition, sequence + 1);
    return { partition, stored: sequence <= (this.#stored.get(partition) ?? -1) };
  }

  /**
   * Partitions on which the producer has stored more than the input had: then it is not the input that was published
   * before. Meaningful once every record was placed.
   */
  excess(): readonly { readonly partition: number; readonly stored: number; readonly given: number }[] {
    return [...this.#stored]
      .map(([partition, last]) => ({ partition, stored: last + 1, given: this.#planned.get(partition) ?? 0 }))
      .filter(({ stored, given }) => stored > given);
  }

  #partitionOf(key: Uint8Array | null): number {
    if (key !== null) return partitionOfKey(key, this.#partitions);
    const run = Math.floor(this.#keyless / RUN_RECORDS);
    this.#keyless += 1;
    return run % this.#partitions;
  }
}
