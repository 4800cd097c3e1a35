/**
 * How many records a shard was given, has written and owes: what the end of a shutdown has to account for. Counted by
 * the engine as they pass; `fence` settles what becomes of those under way.
 */
import type { QueuedPublish } from './queued-entry.ts';
import { WriteFigures } from './write-figures.ts';

export class RecordCounts {
  readonly writes = new WriteFigures();
  #pendingRecords = 0;
  /** Of those pending, acknowledged already: records of async topics. */
  #pendingShown = 0;
  #writtenRecords = 0;
  #writtenBytes = 0;
  #lost = 0;
  #unknown = 0;

  /** Admitted and not yet durable. */
  get pendingRecords(): number {
    return this.#pendingRecords;
  }

  /** Acknowledged and not yet durable: what a kill at this moment would lose. */
  get pendingAcknowledged(): number {
    return this.#pendingShown;
  }

  /** Made durable since the shard opened. */
  get writtenRecords(): number {
    return this.#writtenRecords;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Acknowledged and, as far as is known, not durable. */
  get lost(): number {
    return this.#lost;
  }

  /** Not acknowledged and perhaps stored: their publishers were told OUTCOME_UNKNOWN, or nothing. */
  get unknown(): number {
    return this.#unknown;
  }

  admitted(publish: QueuedPublish): void {
    this.#pendingRecords += publish.count;
    if (publish.lazy) this.#pendingShown += publish.count;
  }

  written(publish: QueuedPublish): void {
    this.#pendingRecords -= publish.count;
    if (publish.lazy) this.#pendingShown -= publish.count;
    this.#writtenRecords += publish.count;
    this.#writtenBytes += publish.bytes;
  }

  /** The shard is given up: what is pending is lost where it was acknowledged, and unknown where it was not. */
  fence(): void {
    this.#lost += this.#pendingShown;
    this.#unknown += this.#pendingRecords - this.#pendingShown;
    this.#pendingRecords = 0;
    this.#pendingShown = 0;
  }
}
