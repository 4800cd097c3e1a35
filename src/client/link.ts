/**
 * The link to the broker: one connection at a time, made again for as long as it takes. Says hello, tells the others
 * when the broker has welcomed it and when the connection is gone, and paces its return: full-jitter back-off, or the
 * time that the broker gave in `goaway`, which is drawn so that a crowd does not come back in the same second.
 *
 * Only a close with 1008 or 4000–4099 is final: coming back unchanged would end the same way. The broker finds dead
 * clients by its pings; the link finds a dead connection by `Liveness`.
 */
import type { GoAway, Reply, Welcome } from '../protocol/replies.ts';
import { Backoff, type BackoffOptions } from './backoff.ts';
import type { ClientEvents } from './client.ts';
import { type ClientClock, pauseMs, Timer } from './clock.ts';
import { Deferred } from './deferred.ts';
import type { Emitter } from './emitter.ts';
import { clientError, errorOf, messageOf, type SluiceError } from './error.ts';
import { decodeFrame } from './frame.ts';
import { type Liveness, type LivenessOptions, watchLiveness } from './liveness.ts';
import type { Transport, TransportConnection } from './transport.ts';

/**
 * `connecting`: an attempt is under way · `ready`: welcomed · `draining`: welcomed, and the broker is about to go or
 * was asked to drain · `waiting`: until the next attempt · `closed`: for good.
 */
export type ClientState = 'connecting' | 'ready' | 'draining' | 'waiting' | 'closed';

/** What the link tells its client; `state`, `goaway` and `error` are emitted. */
export interface LinkEvents {
  /** Welcomed: frames may be sent until `lost`. */
  ready(welcome: Welcome): void;
  /** Every reply but `welcome`, `goaway` and a refused hello. */
  reply(reply: Reply, body: Uint8Array): void;
  goaway(goaway: GoAway): void;
  /** Whether anything waits for an answer. */
  busy(): boolean;
  /** The connection is gone; what was not answered on it never will be. */
  lost(): void;
  /** Once, last. */
  closed(reason: SluiceError): void;
}

export interface LinkOptions {
  readonly transport: Transport;
  readonly hello: { readonly client: string; readonly producer: string };
  /** Asked before every attempt. */
  readonly token: string | (() => string | PromiseLike<string>) | undefined;
  readonly backoff: BackoffOptions;
  readonly liveness: LivenessOptions;
  readonly clock: ClientClock;
  readonly random: () => number;
  readonly emitter: Emitter<ClientEvents>;
  readonly events: LinkEvents;
}

/** Bound on one attempt: token, upgrade, hello and welcome together. */
const ATTEMPT_MS = 10_000;
/** A connection that lasted this long was a success: the next failure starts with the first window again. */
const STABLE_MS = 5_000;
/** Bound on the closing handshake. */
const CLOSE_MS = 1_000;
const HELLO_ID = 'hello';

export class Link {
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  #state: ClientState = 'waiting';
  #connection: TransportConnection | null = null;
  /** Counts attempts; what comes from an earlier one is void. */
  #attempt = 0;
  #up = false;
  #upSince = 0;
  /** The end of the attempt, of the wait or of the broker's drain: a state has one at most. */
  readonly #timer: Timer;
  #liveness: Liveness | null = null;
  #returnAfterMs: number | null = null;
  /** The broker's complaint about this connection: why it is closed next. */
  #complaint: SluiceError | null = null;
  #failure: SluiceError | null = null;
  /** Resolves when the socket of a client that was closed is gone. */
  readonly #socketClosed = new Deferred<void>();

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.backoff, options.random);
    this.#timer = new Timer(options.clock);
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Welcomed, and not lost since. */
  get up(): boolean {
    return this.#up;
  }

  /** Why the last attempt or connection ended; null when none has. */
  get failure(): SluiceError | null {
    return this.#failure;
  }

  start(): void {
    this.#enter('connecting');
    const attempt = ++this.#attempt;
    this.#complaint = null;
    this.#timer.set(ATTEMPT_MS, () => this.#giveUp(clientError('TIMEOUT', `no welcome within ${ATTEMPT_MS} ms`)));
    this.#token().then(
      (token) => attempt === this.#attempt && this.#open(attempt, token),
      (error: unknown) => {
        if (attempt !== this.#attempt) return;
        this.#giveUp(clientError('CONNECTION_LOST', `the token failed: ${messageOf(error)}`, error));
      },
    );
  }

  /** Sends one frame; only while `up`. */
  send(frame: string | Uint8Array): void {
    this.#connection?.send(frame);
  }

  /** Ends for good behind everything sent; resolves when the connection is gone, within a second. */
  async close(reason: SluiceError): Promise<void> {
    const connection = this.#connection;
    const opened = this.#up;
    this.#finish(reason);
    if (connection === null) return;
    if (!opened) {
      connection.abandon();
      return;
    }
    this.#timer.set(CLOSE_MS, () => {
      connection.abandon();
      this.#socketClosed.resolve();
    });
    connection.close(1000, '');
    await this.#socketClosed.promise;
    this.#timer.clear();
  }

  async #token(): Promise<string | undefined> {
    const { token } = this.#options;
    return typeof token === 'function' ? await token() : token;
  }

  #open(attempt: number, token: string | undefined): void {
    const current = (): boolean => attempt === this.#attempt;
    try {
      this.#connection = this.#options.transport.open({
        opened: () => {
          if (current()) this.send(JSON.stringify({ op: 'hello', id: HELLO_ID, token, ...this.#options.hello }));
        },
        frame: (data) => {
          if (current()) this.#receive(data);
        },
        closed: (code, reason) => {
          if (current()) this.#ended(code, reason);
          else if (this.#state === 'closed') this.#socketClosed.resolve();
        },
      });
    } catch (error) {
      this.#finish(clientError('BAD_REQUEST', `cannot connect: ${messageOf(error)}`, error));
    }
  }

  #receive(data: string | Uint8Array): void {
    this.#liveness?.heard();
    try {
      const { reply, body } = decodeFrame(data);
      if (reply.op === 'welcome') this.#welcomed(reply);
      else if (reply.op === 'goaway') this.#goaway(reply);
      else if (reply.op === 'error' && reply.id === HELLO_ID) this.#refused(errorOf(reply));
      else {
        if (reply.op === 'error' && reply.id === undefined && reply.subscription === undefined) {
          this.#complaint = errorOf(reply);
          this.#options.emitter.emit('error', this.#complaint);
        }
        if (this.#up) this.#options.events.reply(reply, body);
      }
    } catch (error) {
      this.#giveUp(clientError('BAD_REPLY', `cannot read a frame: ${messageOf(error)}`, error));
    }
  }

  #welcomed(welcome: Welcome): void {
    // The first welcome comes with the connection; only the one that answers hello knows the producer and the token.
    if (welcome.id !== HELLO_ID || this.#up) return;
    this.#timer.clear();
    this.#up = true;
    const { liveness, clock, events } = this.#options;
    this.#upSince = clock.monotonic();
    this.#liveness = watchLiveness(
      liveness,
      clock,
      () => this.send('{"op":"ping"}'),
      events.busy,
      () => this.#giveUp(clientError('CONNECTION_LOST', 'no answer to a ping')),
    );
    this.#enter(welcome.draining ? 'draining' : 'ready');
    // A listener may have closed the client.
    if (this.#up) events.ready(welcome);
  }

  #refused(error: SluiceError): void {
    if (error.retryable) {
      this.#giveUp(error);
      return;
    }
    this.#connection?.abandon();
    this.#finish(error);
  }

  #goaway(goaway: GoAway): void {
    if (!this.#up) return;
    this.#returnAfterMs = pauseMs(goaway.reconnectAfterMs);
    // Past its deadline the broker is taken to have stayed: at once when the drain was cancelled.
    this.#timer.set(pauseMs(goaway.deadlineMs), () => {
      this.#returnAfterMs = null;
      this.#enter('ready');
    });
    this.#enter('draining');
    this.#options.events.goaway(goaway);
    this.#options.emitter.emit('goaway', goaway);
  }

  /** Ends an attempt or a connection that cannot be used. */
  #giveUp(error: SluiceError): void {
    this.#connection?.abandon();
    this.#lost(error);
  }

  #ended(code: number, reason: string): void {
    const text = `closed with ${code}${reason === '' ? '' : `: ${reason}`}`;
    if (code !== 1008 && (code < 4000 || code > 4099)) {
      this.#lost(this.#complaint ?? clientError('CONNECTION_LOST', text));
      return;
    }
    this.#finish(this.#complaint ?? clientError('CONNECTION_REFUSED', `${text}, for good`));
  }

  #lost(error: SluiceError): void {
    const { emitter, clock } = this.#options;
    const lived = clock.monotonic() - this.#upSince;
    if (this.#drop() && lived >= STABLE_MS) this.#backoff.reset();
    this.#failure = error;
    // Told to go and gone: no failure of anybody's.
    const told = this.#returnAfterMs;
    this.#returnAfterMs = null;
    if (told === null) emitter.emit('error', error);
    if (this.#state === 'closed') return;
    this.#enter('waiting');
    this.#timer.set(told ?? this.#backoff.next(), () => this.start());
  }

  /** The connection is gone, whichever way. True when it had been welcomed. */
  #drop(): boolean {
    this.#timer.clear();
    this.#liveness?.stop();
    this.#attempt += 1;
    this.#connection = null;
    if (!this.#up) return false;
    this.#up = false;
    this.#options.events.lost();
    return true;
  }

  #finish(reason: SluiceError): void {
    if (this.#state === 'closed') return;
    this.#drop();
    this.#enter('closed');
    this.#options.events.closed(reason);
  }

  #enter(state: ClientState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.emitter.emit('state', state);
  }
}
