/** A gate of the record path: open, or shut with what is answered to whoever comes. Shut and opened by the shard's chart. */
import { BrokerError, type ErrorCode } from '../errors.ts';

interface Shut {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
}

export class Gate {
  #shut: Shut | null = { code: 'SHARD_FAILED', message: 'the shard is not open yet', retryAfterMs: 1000 };

  open(): void {
    this.#shut = null;
  }

  shut(code: ErrorCode, message: string, retryAfterMs?: number): void {
    this.#shut = { code, message, retryAfterMs };
  }

  /** The code answered while shut; null when open. */
  get code(): ErrorCode | null {
    return this.#shut?.code ?? null;
  }

  /** The answer to whoever comes now; null when the gate is open. */
  refusal(): BrokerError | null {
    if (this.#shut === null) return null;
    const { code, message, retryAfterMs } = this.#shut;
    return new BrokerError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
  }
}
