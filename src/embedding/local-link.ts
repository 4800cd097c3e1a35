/**
 * A connection between a client and a broker of one process: no socket, the same frames. To the session it is a
 * connection like any other, so that admission, limits, credit and the shutdown hold; to the client it is a transport.
 * Frames of one turn move together in a later one, so that a client that never stops can't keep the loop to itself.
 */
import type { Transport, TransportConnection, TransportEvents } from '../client/transport.ts';
import type { Clock } from '../ports/clock.ts';
import type { Connection } from '../ports/connection.ts';
import { MemoryConnection, type MemoryPair } from './memory-connection.ts';
import { type Item, Pipe } from './memory-pipe.ts';

/** The broker's door for connections of its own process. */
export interface LocalGate {
  /** Takes the connection in, or says why not: the code of an error, as the listener would answer it. */
  admit(connection: Connection): string | null;
  /** Bytes of a frame from a client, at most. */
  readonly frameBytesMax: number;
}

export interface LocalTransportOptions {
  readonly gate: LocalGate;
  readonly clock: Clock;
  /** Runs `callback` in a later turn of the event loop. */
  readonly defer: (callback: () => void) => void;
  /** Whom the log names as the other side. */
  readonly remote: string;
}

export function localTransport(options: LocalTransportOptions): Transport {
  return { open: (events) => new LocalLink(options, events) };
}

class LocalLink implements MemoryPair, TransportConnection {
  readonly clock: Clock;
  readonly remote: string;
  readonly frameBytesMax: number;
  readonly toServer: Pipe;
  readonly toClient: Pipe;
  readonly #server: MemoryConnection;
  readonly #events: TransportEvents;
  readonly #defer: LocalTransportOptions['defer'];
  #state: 'connecting' | 'open' | 'closing' | 'closed' = 'connecting';

  constructor({ gate, clock, defer, remote }: LocalTransportOptions, events: TransportEvents) {
    this.clock = clock;
    this.remote = remote;
    this.frameBytesMax = gate.frameBytesMax;
    this.#events = events;
    this.#defer = defer;
    this.#server = new MemoryConnection(this);
    this.toServer = new Pipe({ defer }, (item) => this.#server.receive(item));
    this.toClient = new Pipe(
      { defer },
      (item) => this.#receive(item),
      () => this.#server.noteSent(),
    );
    defer(() => this.#connect(gate));
  }

  #connect(gate: LocalGate): void {
    if (this.#state !== 'connecting') return;
    const refusal = gate.admit(this.#server);
    if (refusal !== null) {
      this.#gone(1006, refusal);
      return;
    }
    this.#state = 'open';
    this.#events.opened();
  }

  // --- the client's end ---

  send(frame: string | Uint8Array): void {
    if (this.#state === 'open') this.toServer.put({ is: 'frame', data: frame });
  }

  close(code: number, reason: string): void {
    if (this.#state === 'connecting') this.#gone(1006, '');
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.toServer.put({ is: 'close', code, reason });
  }

  abandon(): void {
    if (this.#state === 'closed') return;
    if (this.#state !== 'connecting') this.toServer.put({ is: 'end' });
    this.#state = 'closed';
  }

  #receive(item: Item): void {
    if (this.#state === 'closed') return;
    if (item.is === 'frame') this.#events.frame(item.data);
    else if (item.is === 'ping') this.toServer.put({ is: 'pong' });
    else if (item.is === 'close') {
      if (this.#state === 'open') this.toServer.put(item);
      this.#gone(item.code, item.reason);
    }
  }

  #gone(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#events.closed(code, reason);
  }

  // --- for the broker's end ---

  onEnd(): void {}

  /** The broker ends it at once; the client learns of it a turn later, as of a lost connection. */
  cut(): void {
    this.toServer.stall();
    this.toClient.stall();
    this.#defer(() => {
      this.#gone(1006, '');
      this.#server.gone(1006, '');
    });
  }
}
