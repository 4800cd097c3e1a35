/**
 * Whether a connection is alive and reads: when it was last heard, whether a ping is out, since when its buffer is full.
 * Asked by the gateway's sweep, for all sessions with one timer.
 */
export interface LivenessLimits {
  readonly pingMs: number;
  readonly pingTimeoutMs: number;
  readonly slowConsumerMs: number;
}

export type LivenessVerdict = 'fine' | 'ping' | 'dead' | 'slow';

export class SessionLiveness {
  #limits: LivenessLimits;
  #heardAt: number;
  #pingedAt: number | null = null;
  #fullSince: number | null = null;

  /** Times are monotonic ms. */
  constructor(limits: LivenessLimits, now: number) {
    this.#limits = limits;
    this.#heardAt = now;
  }

  /** From now on silence is noticed within about `silenceMs`. It is looked at once a second. */
  watchClosely(silenceMs: number): void {
    const pingMs = Math.min(this.#limits.pingMs, silenceMs / 3);
    const pingTimeoutMs = Math.min(this.#limits.pingTimeoutMs, Math.max(silenceMs - pingMs - 1000, silenceMs / 3));
    this.#limits = { ...this.#limits, pingMs, pingTimeoutMs };
  }

  /** Something came from the other side. */
  heard(now: number): void {
    this.#heardAt = now;
    this.#pingedAt = null;
  }

  /** ms since something came from the other side. */
  silentMs(now: number): number {
    return now - this.#heardAt;
  }

  /** Its buffer is full: it does not take what it is sent. */
  full(now: number): void {
    this.#fullSince ??= now;
  }

  /** Sent bytes have left; `stillFull` when not enough of them. */
  drained(now: number, stillFull: boolean): void {
    this.#fullSince = stillFull ? now : null;
  }

  /** `reading`: whether its socket is read from at all; while it is not, its silence says nothing. */
  judge(now: number, reading: boolean): LivenessVerdict {
    const { pingMs, pingTimeoutMs, slowConsumerMs } = this.#limits;
    if (this.#fullSince !== null && now - this.#fullSince > slowConsumerMs) return 'slow';
    if (!reading) {
      this.heard(now);
      return 'fine';
    }
    if (this.#pingedAt !== null) return now - this.#pingedAt > pingTimeoutMs ? 'dead' : 'fine';
    if (now - this.#heardAt <= pingMs) return 'fine';
    this.#pingedAt = now;
    return 'ping';
  }
}
