/**
 * How hard a shutdown presses. Modes only escalate: a request for a milder one is counted and changes nothing.
 *
 * - `graceful`: announce, drain, flush, close at a pace, release.
 * - `fast`: no announcement, no wait for commits, no pacing; still flushes.
 * - `immediate`: nothing is flushed; shards are fenced and abandoned, sockets cut.
 */
export type ShutdownMode = 'graceful' | 'fast' | 'immediate';

const ranks: Readonly<Record<ShutdownMode, number>> = { graceful: 0, fast: 1, immediate: 2 };

/** True when `asked` presses harder than `present`. */
export function isHarder(asked: ShutdownMode, present: ShutdownMode): boolean {
  return ranks[asked] > ranks[present];
}

/** The harder of the two. */
export function escalate(present: ShutdownMode, asked: ShutdownMode): ShutdownMode {
  return isHarder(asked, present) ? asked : present;
}
