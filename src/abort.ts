/** What an AbortSignal does to a broker, and that nothing of the broker stays behind on it. */
import { messageOf } from './errors.ts';

/** Calls `act` when the signal is aborted, at once when it is already; not any more once `over` has settled. */
export function onAbort(signal: AbortSignal, over: Promise<unknown>, act: () => void): void {
  if (signal.aborted) act();
  else signal.addEventListener('abort', act, { once: true });
  // The signal may outlive many brokers.
  void over.then(() => signal.removeEventListener('abort', act));
}

export function abortText(signal: AbortSignal): string {
  return `aborted: ${messageOf(signal.reason)}`;
}
