/**
 * An open loop: calls `send` at its due times whether or not earlier sends were answered, and passes the time at which
 * it *was due*, so that a stall is counted in every send it delayed (no coordinated omission).
 *
 * It sleeps while the next due time is far and turns with the event loop while it is near: a timer alone would be up to
 * a millisecond late, several times what is measured. So it keeps one core busy, the same for every system.
 */

/** Below this a timer is too coarse. */
const NEAR_MS = 2;

/** Sends `perSecond` for `ms`; resolves when the last was sent. `dueAt` is on the clock of `performance.now`. */
export function pace(perSecond: number, ms: number, send: (dueAt: number) => void): Promise<void> {
  const start = performance.now();
  const total = Math.round((perSecond * ms) / 1000);
  let sent = 0;
  return new Promise((resolve, reject) => {
    const turn = (): void => {
      try {
        const now = performance.now();
        let dueAt = start + (sent * 1000) / perSecond;
        while (sent < total && dueAt <= now) {
          send(dueAt);
          sent += 1;
          dueAt = start + (sent * 1000) / perSecond;
        }
        if (sent === total) resolve();
        else if (dueAt - now > NEAR_MS) setTimeout(turn, Math.floor(dueAt - now - 1));
        else setImmediate(turn);
      } catch (error) {
        reject(error);
      }
    };
    turn();
  });
}
