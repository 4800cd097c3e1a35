/**
 * Every code that Sluice answers with, in one table: what it means, whether the same request may succeed later, and
 * the WebSocket close code when the connection cannot go on. Codes are stable between majors; messages are free.
 * Imported by every layer; imports nothing. `docs/protocol.md` carries the same table, held equal by a test.
 */

export interface ErrorRow {
  /** The same request may succeed later, unchanged. */
  readonly retryable: boolean;
  /** Close code when the connection ends with this error; absent when it goes on. */
  readonly closeCode?: number;
  /** `wire`: may be answered to a client. `start`: stops the process from starting. `disk`: a shard's own. */
  readonly where: 'wire' | 'start' | 'disk';
  readonly meaning: string;
}

const table = {
  BAD_FRAME: {
    where: 'wire',
    retryable: false,
    closeCode: 1002,
    meaning:
      'A frame that does not follow the framing: short header, header longer than the frame, body where none may be.',
  },
  BAD_JSON: {
    where: 'wire',
    retryable: false,
    closeCode: 1007,
    meaning: 'A text frame or header that is not a JSON object in UTF-8.',
  },
  BAD_REQUEST: {
    where: 'wire',
    retryable: false,
    meaning: 'A field is missing, of the wrong type or out of range; the message names it and what would be right.',
  },
  BAD_BATCH: {
    where: 'wire',
    retryable: false,
    meaning: 'The record batch in a binary frame is malformed; the message names the record and the field.',
  },
  UNKNOWN_OP: { where: 'wire', retryable: false, meaning: 'The `op` is none that this version knows.' },
  FRAME_TOO_LARGE: {
    where: 'wire',
    retryable: false,
    closeCode: 1009,
    meaning: 'A frame is larger than `limits.frameBytes`.',
  },
  RECORD_TOO_LARGE: { where: 'wire', retryable: false, meaning: 'A key, the headers or a batch exceeds its limit.' },
  UNAUTHENTICATED: {
    where: 'wire',
    retryable: false,
    closeCode: 4000,
    meaning: 'A token is required, and the one given is missing or wrong.',
  },
  PRODUCER_TAKEN: {
    where: 'wire',
    retryable: false,
    closeCode: 4001,
    meaning: 'Another connection said hello with the same producer id; only the newest may publish under it.',
  },
  SLOW_CONSUMER: {
    where: 'wire',
    retryable: true,
    closeCode: 4100,
    meaning:
      'The connection did not read what it asked for within `slowConsumerMs`. Come back and resume from your offset.',
  },
  PING_TIMEOUT: {
    where: 'wire',
    retryable: true,
    closeCode: 4101,
    meaning: 'No pong within `pingTimeoutMs`: the connection was taken for dead.',
  },
  HELLO_REQUIRED: {
    where: 'wire',
    retryable: false,
    closeCode: 1008,
    meaning: 'A token is required; the first command must be `hello`, within `helloTimeoutMs`.',
  },
  TOO_MANY_CONNECTIONS: {
    where: 'wire',
    retryable: true,
    closeCode: 1013,
    meaning: 'The broker serves as many connections as it may.',
  },
  INVALID_TOPIC: {
    where: 'wire',
    retryable: false,
    meaning: 'The topic name is not one: 1–249 characters of A–Z a–z 0–9 _ - in parts separated by single dots.',
  },
  UNKNOWN_TOPIC: { where: 'wire', retryable: false, meaning: 'No such topic, and creation on first publish is off.' },
  TOPIC_EXISTS: { where: 'wire', retryable: false, meaning: 'The topic exists with other settings.' },
  UNKNOWN_PARTITION: { where: 'wire', retryable: false, meaning: 'The topic has no such partition.' },
  UNKNOWN_SUBSCRIPTION: { where: 'wire', retryable: false, meaning: 'This connection has no such subscription.' },
  OFFSET_OUT_OF_RANGE: {
    where: 'wire',
    retryable: false,
    meaning: 'The offset lies outside what the partition holds; the message says the range.',
  },
  NOT_ASSIGNED: {
    where: 'wire',
    retryable: false,
    meaning: "The partition is not this member's, or the group has members and this subscription is none of them.",
  },
  STALE_GENERATION: {
    where: 'wire',
    retryable: false,
    meaning: 'The commit carries another generation than that in which the member got the partition.',
  },
  MEMBER_TAKEN: {
    where: 'wire',
    retryable: false,
    meaning: 'Another connection joined the group as the same member; only the newest is that member.',
  },
  UNSUPPORTED_VERSION: {
    where: 'wire',
    retryable: false,
    meaning:
      'The version of group membership asked for is none that this broker knows; the message says which it does.',
  },
  PRODUCER_REQUIRED: {
    where: 'wire',
    retryable: false,
    meaning: 'A `sequence` needs a `producer` id, given in `hello`.',
  },
  SEQUENCE_OUT_OF_ORDER: {
    where: 'wire',
    retryable: false,
    meaning:
      'The sequence is not above the last one stored for this producer and partition, nor among those remembered.',
  },
  LIMIT_EXCEEDED: {
    where: 'wire',
    retryable: false,
    meaning: 'One of the limits told in `welcome` would be passed; the message names it.',
  },
  OVERLOADED: {
    where: 'wire',
    retryable: true,
    meaning: 'Memory for writes in flight is used up. Nothing was stored.',
  },
  DISK_FULL: {
    where: 'wire',
    retryable: true,
    meaning: 'Free disk space is under the mark. Nothing was stored; reads and commits go on.',
  },
  DRAINING: {
    where: 'wire',
    retryable: true,
    meaning: 'The broker is shutting down. Nothing was stored; come back after `retryAfterMs`.',
  },
  OUTCOME_UNKNOWN: {
    where: 'wire',
    retryable: true,
    meaning:
      'The write was under way when the shard failed or was abandoned: it may or may not be stored. Resend with the same sequence.',
  },
  SHARD_FAILED: {
    where: 'wire',
    retryable: true,
    meaning: 'The shard that owns the partition has failed or is not serving. Nothing was stored; its siblings go on.',
  },
  INTERNAL: {
    where: 'wire',
    retryable: true,
    closeCode: 1011,
    meaning: 'A defect of the broker; logged with its cause.',
  },
  CONFIG_INVALID: {
    where: 'start',
    retryable: false,
    meaning: 'A setting is wrong; the message names it, what was given and what would be right.',
  },
  DATA_DIR_INVALID: {
    where: 'start',
    retryable: false,
    meaning: 'The data directory cannot be used: a file, not writable, or not a Sluice directory.',
  },
  DATA_DIR_LOCKED: {
    where: 'start',
    retryable: true,
    meaning: 'Another process holds the data directory; the message names it.',
  },
  DATA_DIR_VERSION: {
    where: 'start',
    retryable: false,
    meaning: 'The data directory was written by a newer version of Sluice.',
  },
  LISTEN_FAILED: {
    where: 'start',
    retryable: true,
    meaning: 'The address cannot be listened on; the message says why.',
  },
  LOG_CORRUPT: {
    where: 'disk',
    retryable: false,
    meaning: 'A log entry that was durable is damaged; the message names file, position and sequence.',
  },
  LOG_VERSION: {
    where: 'disk',
    retryable: false,
    meaning: 'A log segment or entry has a format version that this Sluice does not know.',
  },
  LOG_WRITE_FAILED: {
    where: 'disk',
    retryable: false,
    meaning: 'Writing or syncing the log failed; its descriptor is fenced.',
  },
  LOG_READ_FAILED: { where: 'disk', retryable: true, meaning: 'Reading the log failed; never taken for its end.' },
  META_DAMAGED: {
    where: 'disk',
    retryable: false,
    meaning: 'The derived state is damaged; it is rebuilt from the log.',
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof table;
export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = table;

export interface BrokerErrorOptions {
  readonly cause?: unknown;
  /** ms until the same request may succeed. */
  readonly retryAfterMs?: number;
}

/** An operating error: expected, named by a code of the table. A programmer's error is `InvariantError`. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: BrokerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }

  get closeCode(): number | undefined {
    return errorTable[this.code].closeCode;
  }

  /** Wraps an unknown error once, at the edge where it is first understood; a `BrokerError` passes as it is. */
  static from(error: unknown, code: ErrorCode, message: string): BrokerError {
    if (error instanceof BrokerError) return error;
    const detail = error instanceof Error ? error.message : String(error);
    return new BrokerError(code, `${message}: ${detail}`, { cause: error });
  }
}

/** A defect: something that the code promised cannot be. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system error code (`ENOSPC`, `EIO`, …) of an error or of its causes, if it has one. */
export function systemCodeOf(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    const code = (at as NodeJS.ErrnoException).code;
    if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code;
  }
  return undefined;
}
