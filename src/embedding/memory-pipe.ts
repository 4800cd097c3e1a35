/** One direction of a connection in memory, and what goes through it. */
import type { Clock } from '../ports/clock.ts';

export type MemoryFrame = string | Uint8Array;

/** What goes through a pipe. */
export type Item =
  | { readonly is: 'frame'; readonly data: MemoryFrame }
  | { readonly is: 'ping' }
  | { readonly is: 'pong' }
  | { readonly is: 'close'; readonly code: number; readonly reason: string }
  /** The sender's socket ended without a close. */
  | { readonly is: 'end' };

/** One direction: items in order, moved a turn after they were put in, unless the receiver does not read. */
export class Pipe {
  readonly #clock: Pick<Clock, 'defer'>;
  readonly #deliver: (item: Item) => void;
  readonly #onMoved: () => void;
  #items: Item[] = [];
  #scheduled = false;
  #paused = false;
  #stalled = false;
  #bytes = 0;

  constructor(clock: Pick<Clock, 'defer'>, deliver: (item: Item) => void, onMoved: () => void = () => undefined) {
    this.#clock = clock;
    this.#deliver = deliver;
    this.#onMoved = onMoved;
  }

  /** Bytes put in and not taken out. */
  get bytes(): number {
    return this.#bytes;
  }

  put(item: Item): void {
    this.#items.push(item);
    this.#bytes += bytesOf(item);
    this.#schedule();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  /** Takes nothing out any more, ever. */
  stall(): void {
    this.#stalled = true;
  }

  #schedule(): void {
    if (this.#scheduled || this.#paused || this.#stalled || this.#items.length === 0) return;
    this.#scheduled = true;
    this.#clock.defer(() => this.#move());
  }

  #move(): void {
    this.#scheduled = false;
    // What is put in meanwhile belongs to the next turn.
    let left = this.#items.length;
    let moved = false;
    while (left > 0 && !this.#paused && !this.#stalled) {
      const item = this.#items.shift();
      if (item === undefined) break;
      left -= 1;
      this.#bytes -= bytesOf(item);
      moved = true;
      this.#deliver(item);
    }
    if (moved) this.#onMoved();
    this.#schedule();
  }
}

export function bytesOf(item: Item): number {
  if (item.is !== 'frame') return 2;
  return typeof item.data === 'string' ? Buffer.byteLength(item.data) : item.data.length;
}
