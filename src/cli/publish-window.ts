/**
 * The records of a `publish` that are on their way: how many, how large, and what became of them. Bounds memory: the
 * reader of the input waits for `room` before it reads on.
 */
import type { InputRecord } from './input-record.ts';

export const WINDOW_RECORDS_MAX = 16_384;
export const WINDOW_BYTES_MAX = 8 * 1024 * 1024;

export interface Refusal {
  readonly place: string;
  readonly error: unknown;
}

export class PublishWindow {
  #records = 0;
  #bytes = 0;
  #acked = 0;
  #ackedBytes = 0;
  #duplicates = 0;
  #refused = 0;
  #unknown = 0;
  #first: Refusal | null = null;
  #wake: (() => void) | null = null;
  readonly #answered: () => void;

  /** `answered` is called after each answer; it must be cheap. */
  constructor(answered: () => void = () => {}) {
    this.#answered = answered;
  }

  /** Records without an answer yet. */
  get outstanding(): number {
    return this.#records;
  }
  get acked(): number {
    return this.#acked;
  }
  get ackedBytes(): number {
    return this.#ackedBytes;
  }
  /** Acknowledged, and stored before. */
  get duplicates(): number {
    return this.#duplicates;
  }
  /** Refused: not stored. */
  get refused(): number {
    return this.#refused;
  }
  /** Neither acknowledged nor refused when the client was closed: may be stored or not. */
  get unknown(): number {
    return this.#unknown;
  }
  /** The first that was refused or whose outcome is unknown, in the order of answers. */
  get firstRefusal(): Refusal | null {
    return this.#first;
  }

  add(record: InputRecord, ack: Promise<{ readonly duplicate?: boolean }>): void {
    const { bytes } = record;
    this.#records += 1;
    this.#bytes += bytes;
    ack.then(
      ({ duplicate }) => {
        this.#acked += 1;
        this.#ackedBytes += bytes;
        if (duplicate === true) this.#duplicates += 1;
        this.#settle(bytes);
      },
      (error: unknown) => {
        if ((error as { code?: unknown }).code === 'OUTCOME_UNKNOWN') this.#unknown += 1;
        else this.#refused += 1;
        this.#first ??= { place: record.place, error };
        this.#settle(bytes);
      },
    );
  }

  /** Resolves when there is room for more. A piece of input may go over the bound once, never twice. */
  async room(): Promise<void> {
    while (this.#records >= WINDOW_RECORDS_MAX || this.#bytes >= WINDOW_BYTES_MAX) await this.#change();
  }

  /** Resolves when every record has its answer. */
  async settled(): Promise<void> {
    while (this.#records > 0) await this.#change();
  }

  #settle(bytes: number): void {
    this.#records -= 1;
    this.#bytes -= bytes;
    this.#answered();
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
