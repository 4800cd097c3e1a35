/**
 * How long publishers wait for their answer, from the histogram that the broker has for Prometheus: of what was answered
 * between two looks, not since the start. Asked for only while somebody looks at it; a recording has none.
 */
import { signal } from '@preact/signals';
import { type Buckets, bucketsOf, quantileMs } from './ack-buckets.ts';
import { authorization } from './admin-token.ts';

const EVERY_MS = 2000;
const SAMPLES_MAX = 120;
const ANSWER_MS_MAX = 5000;
const PART = 0.99;

/** At the 99th percentile, ms, the newest last; 0 where nothing was answered. */
export const ackLatency = signal<readonly number[]>([]);

/** Begins to ask; what it gives ends it. */
export function watchAckLatency(): () => void {
  let before: Buckets | null = null;
  const ended = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = async (): Promise<void> => {
    const now = await ask(ended.signal);
    if (ended.signal.aborted) return;
    if (now !== null) {
      if (before !== null) {
        ackLatency.value = [...ackLatency.value, quantileMs(before, now, PART) ?? 0].slice(-SAMPLES_MAX);
      }
      before = now;
    }
    timer = setTimeout(() => void look(), EVERY_MS);
  };
  void look();
  return () => {
    ended.abort();
    clearTimeout(timer);
    ackLatency.value = [];
  };
}

/** Null when the source has no such figures. */
async function ask(ended: AbortSignal): Promise<Buckets | null> {
  try {
    const signal = AbortSignal.any([ended, AbortSignal.timeout(ANSWER_MS_MAX)]);
    const answer = await fetch('./metrics', { headers: authorization(), signal });
    return answer.ok ? bucketsOf(await answer.text()) : null;
  } catch {
    // The connection that the page lives by says when the broker is gone.
    return null;
  }
}
