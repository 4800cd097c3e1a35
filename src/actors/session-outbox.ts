/**
 * What a session says, gathered per turn: the acknowledgements of binary publishes of one turn leave as one frame, and
 * replies to text are text frames of their own. Deliveries go through here too, so that order on the wire is the order
 * of calls.
 */
import type { BrokerError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Connection } from '../ports/connection.ts';
import type { CommandId } from '../protocol/commands.ts';
import { encodeFrame } from '../protocol/frame.ts';
import type { ErrorReply, Reply, WireId } from '../protocol/replies.ts';
import { encodeReply } from '../protocol/reply-encoder.ts';

/** How a command came, and so how its reply goes. */
export type FrameKind = 'text' | 'binary';

export type AckRow = readonly [WireId | null, number, number, number, number, 1?];

export class SessionOutbox {
  readonly #connection: Connection;
  readonly #clock: Clock;
  #rows: AckRow[] = [];

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes;
  }

  send(kind: FrameKind, reply: Reply): void {
    const text = encodeReply(reply);
    if (kind === 'text') this.#connection.sendText(text);
    else {
      this.flush();
      this.#connection.sendBinary(encodeFrame(text, []));
    }
  }

  /** A row of this turn's acknowledgement frame. */
  acknowledge(row: AckRow): void {
    if (this.#rows.length === 0) this.#clock.defer(() => this.flush());
    this.#rows.push(row);
  }

  deliver(header: string, parts: readonly Uint8Array[]): void {
    this.#connection.sendBinary(encodeFrame(header, parts));
  }

  deliverText(text: string): void {
    this.#connection.sendText(text);
  }

  refuse(
    kind: FrameKind,
    id: CommandId,
    error: BrokerError,
    about: Pick<ErrorReply, 'subscription' | 'topic' | 'partition'> = {},
  ): void {
    const { retryAfterMs } = error;
    this.send(kind, {
      op: 'error',
      ...(id === undefined ? {} : { id }),
      code: error.code,
      retryable: error.retryable,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.ceil(retryAfterMs) }),
      message: error.message,
      ...about,
    });
  }

  /** Sends the acknowledgements gathered so far; before any close. */
  flush(): void {
    if (this.#rows.length === 0) return;
    const rows = this.#rows;
    this.#rows = [];
    this.#connection.sendBinary(encodeFrame(encodeReply({ op: 'published', acks: rows }), []));
  }
}

/** The id of a command as its reply carries it. */
export function idOf(id: CommandId): { id?: number | string } {
  return id === undefined ? {} : { id };
}
