/**
 * Commands that are answered one by one, told apart by `id`. A command that may be repeated is sent again on the next
 * connection until it is answered; one that may not is rejected with OUTCOME_UNKNOWN when its connection is lost. A
 * patient one is also sent again when it is refused for now.
 */
import type { Reply } from '../protocol/replies.ts';
import { Backoff } from './backoff.ts';
import type { ClientEvents } from './client.ts';
import { type ClientClock, Timer } from './clock.ts';
import type { Emitter } from './emitter.ts';
import { clientError, errorOf, type SluiceError } from './error.ts';
import { encodeHeader } from './frame.ts';
import type { Link } from './link.ts';

export interface Command {
  readonly op: string;
  readonly [field: string]: unknown;
}

export interface CallOptions<R extends Reply = Reply> {
  /** False: never sent a second time once it may have been heard. Default true. */
  readonly repeatable?: boolean;
  /** Refused for now, it is sent again after the broker's time or a back-off. Default false. */
  readonly patient?: boolean;
  /** As a binary frame, so that what follows from it is binary too. */
  readonly binary?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Called in the very turn of the answer, before anything that came behind it is looked at. */
  readonly onReply?: (reply: R) => void;
}

interface Call {
  readonly frame: string | Uint8Array;
  readonly repeatable: boolean;
  /** Null for one that is not patient. */
  readonly backoff: Backoff | null;
  /** Set while it waits for its time. */
  readonly timer: Timer;
  sent: boolean;
  readonly settle: (outcome: Reply | SluiceError) => void;
}

/** Windows of the back-off of a patient command, when the broker says no time, ms. */
export const refusalBackoff = { minMs: 250, maxMs: 5_000 };

export class Requests {
  readonly #link: Link;
  readonly #clock: ClientClock;
  readonly #random: () => number;
  readonly #emitter: Emitter<ClientEvents>;
  readonly #calls = new Map<number, Call>();
  #lastId = 0;
  #closed: SluiceError | null = null;

  /** Emits an `error` for every refusal after which a command is sent again. */
  constructor(link: Link, clock: ClientClock, random: () => number, emitter: Emitter<ClientEvents>) {
    this.#link = link;
    this.#clock = clock;
    this.#random = random;
    this.#emitter = emitter;
  }

  /** Calls not yet answered. */
  get size(): number {
    return this.#calls.size;
  }

  /** An id that no other command of this client has or will have. */
  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Sends a command, at once or when there is a connection; rejects with what the broker refuses it with. */
  call<R extends Reply>(command: Command, options: CallOptions<R> = {}): Promise<R> {
    const { repeatable = true, patient, binary, signal, onReply } = options;
    return new Promise<R>((resolve, reject) => {
      if (this.#closed !== null) throw this.#closed;
      if (signal?.aborted) throw aborted(signal);
      const id = this.nextId();
      const message = { ...command, id };
      const abort = (): void => call.settle(aborted(signal));
      const call: Call = {
        frame: binary ? encodeHeader(message) : JSON.stringify(message),
        repeatable,
        backoff: patient ? new Backoff(refusalBackoff, this.#random) : null,
        timer: new Timer(this.#clock),
        sent: false,
        settle: (outcome) => {
          call.timer.clear();
          this.#calls.delete(id);
          signal?.removeEventListener('abort', abort);
          if (outcome instanceof Error) return reject(outcome);
          onReply?.(outcome as R);
          resolve(outcome as R);
        },
      };
      signal?.addEventListener('abort', abort);
      this.#calls.set(id, call);
      this.#send(call);
    });
  }

  #send(call: Call): void {
    if (!this.#link.up) return;
    call.sent = true;
    this.#link.send(call.frame);
  }

  /** Takes the answer of a call; false when it is none. */
  settle(reply: Reply): boolean {
    const id = 'id' in reply ? reply.id : undefined;
    const call = typeof id === 'number' ? this.#calls.get(id) : undefined;
    if (call === undefined) return false;
    const outcome = reply.op === 'error' ? errorOf(reply) : reply;
    if (outcome instanceof Error && outcome.retryable && call.backoff !== null) {
      call.sent = false;
      call.timer.set(outcome.retryAfterMs ?? call.backoff.next(), () => this.#send(call));
      this.#emitter.emit('error', outcome);
    } else {
      call.settle(outcome);
    }
    return true;
  }

  ready(): void {
    for (const call of this.#calls.values()) {
      call.timer.clear();
      // Those that were made in this very turn, by a subscription, have gone already.
      if (!call.sent) this.#send(call);
    }
  }

  lost(): void {
    for (const call of this.#calls.values()) {
      // Those that wait for their time, too: what they name may mean another thing on the next connection.
      if (!call.repeatable) call.settle(clientError('OUTCOME_UNKNOWN', 'the connection was lost'));
      call.sent = false;
    }
  }

  close(reason: SluiceError): void {
    this.#closed = reason;
    for (const call of this.#calls.values()) call.settle(reason);
  }
}

/** What a caller is told whose signal fired. */
export function aborted(signal: AbortSignal | undefined): SluiceError {
  const cause: unknown = signal?.reason;
  // AbortSignal.timeout() fires with a TimeoutError: a deadline, told as one.
  const late = (cause as Error | undefined)?.name === 'TimeoutError';
  return late ? clientError('TIMEOUT', 'the deadline passed', cause) : clientError('ABORTED', 'aborted', cause);
}
