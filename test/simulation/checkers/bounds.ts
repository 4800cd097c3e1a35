/** S12: what the broker keeps in memory stays under its caps, give or take what the clients have on the wire at a time. */
import type { Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

/** The largest publish of a plan; a socket is paused behind the one that reaches the cap, not before it. */
const PUBLISH_BYTES_MAX = 128 * 1024;

export function checkBounds(evidence: Evidence): Violation[] {
  const spare = PUBLISH_BYTES_MAX * (evidence.plan.clients.length + 1);
  return evidence
    .all('memory')
    .filter(({ event }) => event.bytes > event.capBytes + spare)
    .map(({ index, event }) => ({
      invariant: 'S12',
      text: `${event.what} of broker ${event.broker} holds ${event.bytes} bytes; the cap is ${event.capBytes}`,
      excerpt: evidence.excerpt([index]),
    }));
}
