/**
 * One viewer of a hub: frames gathered into batches, at most one every 50 ms, numbered; bounded, so that a viewer which
 * does not read costs a fixed amount and is told how much it missed. When it reads again it gets the tree anew, since
 * what it missed may have changed it. Made by the hub.
 */
import type { Clock, TimerHandle } from '../ports/clock.ts';
import type { Frame } from './frames.ts';

/** Where the batches of one viewer go: a socket, a file, memory. */
export interface Sink {
  /** Takes the text of one batch. */
  send(text: string): void;
  /** Bytes taken and not yet gone. */
  readonly bufferedBytes: number;
}

export const BATCH_MS = 50;
/** Unread bytes at which frames are left out. */
export const UNREAD_BYTES_MAX = 4 * 1024 * 1024;
/** Characters of frames that one batch holds. */
const BATCH_CHARS_MAX = 1024 * 1024;

export interface ViewerHost {
  readonly clock: Clock;
  /** The frames that tell the tree as it is, to a viewer that knows the actors `told`. */
  tree(told: ReadonlySet<string>): Iterable<Frame>;
}

export class Viewer {
  readonly #sink: Sink;
  readonly #host: ViewerHost;
  /** Actors whose events it wants; null for all. */
  #followed: ReadonlySet<string> | null = null;
  /** Machines and actors that it was told of. */
  readonly #machines = new Map<string, boolean>();
  readonly #actors = new Set<string>();
  #texts: string[] = [];
  #chars = 0;
  #seq = 0;
  #dropped = 0;
  /** Frames were left out since the last tree. */
  #behind = false;
  #timer: TimerHandle | null = null;
  #ended = false;

  constructor(sink: Sink, host: ViewerHost) {
    this.#sink = sink;
    this.#host = host;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** The first frame, and the tree behind it, whatever its size. */
  begin(hello: Frame): void {
    this.#texts.push(JSON.stringify(hello));
    this.#tellTree();
    this.#schedule();
  }

  follow(ids: readonly string[] | null): void {
    this.#followed = ids === null ? null : new Set(ids);
  }

  /** Takes a frame; `text` is its JSON, made once for all viewers. */
  take(frame: Frame, text: string): void {
    if (this.#ended || !this.#wants(frame)) return;
    if (this.#behind || this.#chars + text.length > BATCH_CHARS_MAX || this.#full) {
      this.#dropped += 1;
      this.#behind = true;
      this.#schedule();
      return;
    }
    this.#note(frame);
    this.#texts.push(text);
    this.#chars += text.length;
    this.#schedule();
  }

  /** The last word; sent at once, whatever is unread. */
  end(frame: Frame | null): void {
    if (this.#ended) return;
    if (frame !== null) this.#texts.push(JSON.stringify(frame));
    this.#flush();
    this.#ended = true;
  }

  get #full(): boolean {
    return this.#sink.bufferedBytes > UNREAD_BYTES_MAX;
  }

  #wants(frame: Frame): boolean {
    switch (frame.type) {
      case 'machine':
        // Once without its picture, where that is not drawn yet, and once with it.
        return this.#machines.get(frame.hash) !== true && this.#machines.get(frame.hash) !== (frame.picture !== '');
      case 'gone':
        return this.#actors.has(frame.id);
      case 'event':
        return this.#followed === null || this.#followed.has(frame.to);
      case 'step':
        return this.#followed === null || this.#followed.has(frame.id);
      default:
        return true;
    }
  }

  #note(frame: Frame): void {
    if (frame.type === 'machine') this.#machines.set(frame.hash, frame.picture !== '');
    else if (frame.type === 'actor') this.#actors.add(frame.id);
    else if (frame.type === 'gone') this.#actors.delete(frame.id);
  }

  #schedule(): void {
    this.#timer ??= this.#host.clock.setTimeout(() => {
      this.#timer = null;
      this.#catchUp();
      this.#flush();
      if (this.#behind) this.#schedule();
    }, BATCH_MS);
  }

  /** The tree anew, once there is room for it. */
  #catchUp(): void {
    if (!this.#behind || this.#texts.length > 0 || this.#full) return;
    this.#behind = false;
    this.#tellTree();
  }

  #tellTree(): void {
    for (const frame of this.#host.tree(this.#actors)) {
      if (!this.#wants(frame)) continue;
      this.#note(frame);
      this.#texts.push(JSON.stringify(frame));
    }
  }

  #flush(): void {
    if (this.#timer !== null) this.#host.clock.clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#texts.length === 0) return;
    const frames = this.#texts.join(',');
    this.#texts = [];
    this.#chars = 0;
    this.#sink.send(
      `{"v":1,"seq":${this.#seq},"at":${this.#host.clock.now()},"dropped":${this.#dropped},"frames":[${frames}]}`,
    );
    this.#seq += 1;
  }
}
