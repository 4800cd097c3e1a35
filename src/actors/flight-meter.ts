/**
 * The publishes of all connections: bytes of those unanswered, which is the cap on memory for writes (publishers pause
 * at the mark and are told when it is half empty again), and how the others were answered.
 */
import { PublishCounts } from './publish-counts.ts';

export class FlightMeter {
  readonly counts = new PublishCounts();
  readonly #bytesMax: number;
  #bytes = 0;
  #relieved: (() => void)[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get pressed(): boolean {
    return this.#bytes > this.#bytesMax;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  remove(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#relieved.length === 0 || this.#bytes * 2 > this.#bytesMax) return;
    const relieved = this.#relieved;
    this.#relieved = [];
    for (const callback of relieved) callback();
  }

  /** Calls back once, when the mark is half empty. */
  onRelieved(callback: () => void): void {
    this.#relieved.push(callback);
  }
}
