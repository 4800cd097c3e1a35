/** How publishes were answered since the start, over all connections. Counted with each reply, read by the metrics. */
import type { ErrorCode } from '../errors.ts';

export class PublishCounts {
  #accepted = 0;
  #duplicates = 0;
  readonly #refused = new Map<ErrorCode, number>();

  /** Acknowledged with a new offset. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Acknowledged as stored before. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** By code. */
  get refused(): ReadonlyMap<ErrorCode, number> {
    return this.#refused;
  }

  noteAccepted(duplicate: boolean): void {
    if (duplicate) this.#duplicates += 1;
    else this.#accepted += 1;
  }

  noteRefused(code: ErrorCode): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }
}
