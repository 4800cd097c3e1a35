/**
 * Whether anything still comes over a connection. The broker's pings are answered below what a page can see, so after
 * a time without a frame the link asks with the command `ping`; when then nothing at all comes, the connection is dead:
 * its other end, or a box in between, has forgotten it, and no close will ever tell. Used by the link.
 *
 * A connection is judged only by a timer that fired about when it was due: after a page was frozen or a machine slept,
 * frames that came meanwhile may still wait behind it.
 */
import type { ClientClock } from './clock.ts';
import { Timer } from './clock.ts';

export interface LivenessOptions {
  /** Time without a frame after which the broker is asked; it may take twice as long. */
  readonly quietMs: number;
  /** Time for its answer, or anything else. */
  readonly answerMs: number;
}

export interface Liveness {
  /** A frame came. */
  heard(): void;
  /** Ends the watch. */
  stop(): void;
}

/**
 * While publishes or commands wait for their answer, the broker may have stopped reading on purpose, and then answers
 * no ping either: a slow disk must not be taken for a dead connection, and a dead one must not wait for TCP, which takes
 * a quarter of an hour.
 */
const BUSY_PATIENCE = 3;

/** More than this many times what a timer was set for: it was held up. */
const HELD_UP = 2;

/** Watches a connection that has just been welcomed. `busy`: whether anything waits for an answer. */
export function watchLiveness(
  { quietMs, answerMs }: LivenessOptions,
  clock: ClientClock,
  ping: () => void,
  busy: () => boolean,
  dead: () => void,
): Liveness {
  const timer = new Timer(clock);
  let heard = false;
  const listen = (): void => {
    heard = false;
    timer.set(quietMs, () => (heard ? listen() : ask()));
  };
  const ask = (): void => {
    ping();
    const askedAt = clock.monotonic();
    const waitMs = busy() ? answerMs * BUSY_PATIENCE : answerMs;
    timer.set(waitMs, () => {
      if (heard) listen();
      else if (clock.monotonic() - askedAt > waitMs * HELD_UP) ask();
      else dead();
    });
  };
  listen();
  return {
    heard: () => {
      heard = true;
    },
    stop: () => timer.clear(),
  };
}
