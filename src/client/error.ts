/**
 * What the client throws and rejects with: one class, told apart by `code`. Codes of the broker pass through as they
 * are (the table in docs/protocol.md); those below are the client's own.
 */
import type { ErrorReply } from '../protocol/replies.ts';
import { pauseMs } from './clock.ts';

export type ClientErrorCode =
  /** The caller's signal fired; nothing was sent. */
  | 'ABORTED'
  /** The caller's deadline passed and nothing was sent, or a connection attempt took too long. */
  | 'TIMEOUT'
  /** The outbox is full and was told to reject, or as many callers wait for room as may. */
  | 'OUTBOX_FULL'
  /** The record was on the wire and no answer will be waited for: it may or may not be stored. */
  | 'OUTCOME_UNKNOWN'
  /** The client was closed, or is draining; nothing was stored. */
  | 'CLOSED'
  /** A record does not fit its schema, or its value is not what its encoding says. */
  | 'INVALID_RECORD'
  /** An argument is wrong; the message names it and what would be right. The broker uses the same code. */
  | 'BAD_REQUEST'
  /** Key, headers or record are larger than the broker takes. The broker uses the same code. */
  | 'RECORD_TOO_LARGE'
  /** A publish could not be told from another of the same producer id. The broker uses the same code. */
  | 'SEQUENCE_OUT_OF_ORDER'
  /** This platform has no WebSocket and none was given. */
  | 'NO_WEBSOCKET'
  /** The connection ended or could not be made; the client comes back by itself. */
  | 'CONNECTION_LOST'
  /** The broker closed the connection for good, without a code of its own. */
  | 'CONNECTION_REFUSED'
  /** The broker sent what this client does not understand. */
  | 'BAD_REPLY';

export interface SluiceErrorOptions {
  readonly retryable?: boolean | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

export class SluiceError extends Error {
  override readonly name = 'SluiceError';
  /** A `ClientErrorCode`, or a code of the broker's table. */
  declare readonly code: string;
  /** The same call may succeed later, unchanged. */
  declare readonly retryable: boolean;
  /** ms until it may, where the broker said so. */
  declare readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, options: SluiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

const retryableCodes: readonly ClientErrorCode[] = ['TIMEOUT', 'OUTBOX_FULL', 'OUTCOME_UNKNOWN', 'CONNECTION_LOST'];

/** An error of the client's own, as against one that the broker answered. */
export function clientError(code: ClientErrorCode, message: string, cause?: unknown): SluiceError {
  return new SluiceError(code, message, { retryable: retryableCodes.includes(code), cause });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The error that a reply tells; BAD_REPLY when it names none. */
export function errorOf(reply: ErrorReply): SluiceError {
  const { code, message, retryable, retryAfterMs } = reply;
  if (typeof code !== 'string') return clientError('BAD_REPLY', 'an error without a code');
  return new SluiceError(code, message, { retryable, retryAfterMs: retryAfterMs && pauseMs(retryAfterMs) });
}
