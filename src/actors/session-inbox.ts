/**
 * Frames of one connection that came while the session could not take them: behind a command that is awaited, or while
 * its socket is paused. Bounded: a paused socket brings one chunk that was read already and a frame under way, no more.
 */
export type Frame =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'binary'; readonly bytes: Uint8Array };

const CHUNK_BYTES = 1024 * 1024;

export class SessionInbox {
  readonly #bytesMax: number;
  #frames: Frame[] = [];
  #bytes = 0;

  /** `frameBytes`: the largest frame that may come. */
  constructor(frameBytes: number) {
    this.#bytesMax = CHUNK_BYTES + 2 * frameBytes;
  }

  get empty(): boolean {
    return this.#frames.length === 0;
  }

  /** Takes a frame in behind the others; false when there are more now than a paused socket may bring. */
  push(frame: Frame): boolean {
    this.#frames.push(frame);
    this.#bytes += sizeOf(frame);
    return this.#bytes <= this.#bytesMax;
  }

  shift(): Frame | undefined {
    const frame = this.#frames.shift();
    if (frame !== undefined) this.#bytes -= sizeOf(frame);
    return frame;
  }

  clear(): void {
    this.#frames = [];
    this.#bytes = 0;
  }
}

function sizeOf(frame: Frame): number {
  return frame.kind === 'text' ? frame.text.length : frame.bytes.length;
}
