/**
 * A network in memory: the socket port without sockets, for tests and for clients in the same process. A listener on
 * it is to the gateway what the WebSocket listener is, with the same checks of an upgrade; `dial` gives the client's
 * end as a test wants it, and `WebSocket` as an application's client wants it.
 *
 * Deterministic: frames move in the order they were sent, all that were sent in one turn together, once
 * `clock.defer` calls; time passes only where a closing handshake is not answered.
 */
import { chosenSubprotocol, pathOf, type Refusal, upgradeRefusal } from '../actors/upgrade-check.ts';
import { BrokerError, errorTable } from '../errors.ts';
import { isLoopback } from '../inspection/request-check.ts';
import type { Clock } from '../ports/clock.ts';
import type { Listen, Listener, ListenOptions } from '../ports/connection.ts';
import type { MemoryClient } from './memory-client.ts';
import { MemoryLink } from './memory-link.ts';
import { type MemoryWebSocketConstructor, memoryWebSocket } from './memory-websocket.ts';

export type { MemoryFrame } from '../embedding/memory-pipe.ts';
export type { ClientRefusal, MemoryClient } from './memory-client.ts';
export type { MemoryWebSocket, MemoryWebSocketConstructor } from './memory-websocket.ts';

export interface DialOptions {
  /** Port of the listener; the one first bound by default. */
  readonly port?: number;
  /** Path and query; that of the listener by default. */
  readonly path?: string;
  /** What the client says its address is; a number of its own by default. */
  readonly remote?: string;
  readonly origin?: string;
  readonly userAgent?: string;
  readonly subprotocols?: readonly string[];
  /** Time on this connection alone, where its frames take longer or shorter than those of others. */
  readonly clock?: Clock;
}

export interface MemoryNetwork {
  readonly listen: Listen;
  /** The client's end of a new connection. It is open, or refused, one turn later. */
  dial(options?: DialOptions): MemoryClient;
  /** A `WebSocket` class that connects over this network: `new network.WebSocket('ws://memory:7070/v1')`. */
  readonly WebSocket: MemoryWebSocketConstructor;
}

/** First of the ports given to listeners that ask for any. */
const FREE_PORT = 49_152;

export function memoryNetwork({ clock }: { readonly clock: Clock }): MemoryNetwork {
  const listeners = new Map<number, MemoryListener>();
  let dialled = 0;

  const listen: Listen = async (options) => {
    let { port } = options;
    if (port === 0) for (port = FREE_PORT; listeners.has(port); ) port += 1;
    if (listeners.has(port)) {
      const message = `port ${port} on ${options.host} is in use; choose another with --port`;
      throw new BrokerError('LISTEN_FAILED', message);
    }
    const listener = new MemoryListener(options, port, () => listeners.delete(port));
    listeners.set(port, listener);
    return listener;
  };

  const dial = (options: DialOptions = {}): MemoryClient => {
    dialled += 1;
    const link = new MemoryLink(options.clock ?? clock, options.remote ?? `memory:${dialled}`);
    // The address is looked up a turn later, when the connection would be made.
    (options.clock ?? clock).defer(() => {
      const [first] = listeners.values();
      const listener = options.port === undefined ? first : listeners.get(options.port);
      if (listener === undefined) link.refuse({ status: 0, line: 'nothing listens there' });
      else listener.take(link, options);
    });
    return link.client;
  };

  return { listen, dial, WebSocket: memoryWebSocket(dial) };
}

class MemoryListener implements Listener {
  readonly port: number;
  readonly #options: ListenOptions;
  readonly #path: string;
  readonly #onClose: () => void;
  #connections = 0;
  #retryAfterSeconds: number | null = null;

  constructor(options: ListenOptions, port: number, onClose: () => void) {
    this.#options = options;
    this.#path = options.path ?? '/v1';
    this.port = port;
    this.#onClose = onClose;
  }

  get address(): string {
    return `${this.#options.host}:${this.port}`;
  }

  refuse(retryAfterSeconds: number): void {
    this.#retryAfterSeconds = Math.max(0, Math.ceil(retryAfterSeconds));
  }

  accept(): void {
    this.#retryAfterSeconds = null;
  }

  async close(): Promise<void> {
    this.#onClose();
  }

  take(link: MemoryLink, dialled: DialOptions): void {
    if (!link.awaited) return;
    const { config, logger, onConnection } = this.#options;
    const refusal = this.#refusalOf(dialled);
    if (refusal !== null) {
      link.refuse(refusal);
      return;
    }
    this.#connections += 1;
    link.onEnd = () => {
      this.#connections -= 1;
    };
    const subprotocol = chosenSubprotocol(dialled.subprotocols?.join(','));
    const { server } = link;
    link.frameBytesMax = config.frameBytes;
    try {
      onConnection(server, { origin: dialled.origin, userAgent: dialled.userAgent, subprotocol });
    } catch (error) {
      logger.error({ remote: server.remote, error }, 'a connection could not be taken in');
      server.close(errorTable.INTERNAL.closeCode ?? 1011, 'INTERNAL');
    }
    link.client.opened(subprotocol);
  }

  #refusalOf({ path, origin, subprotocols }: DialOptions): (Refusal & { retryAfterSeconds?: number }) | null {
    const { host, config } = this.#options;
    if (this.#retryAfterSeconds !== null) {
      return { status: 503, line: 'DRAINING', retryAfterSeconds: this.#retryAfterSeconds };
    }
    const url = path ?? this.#path;
    const refusal = upgradeRefusal(
      { url: pathOf(url), host: this.address, origin, subprotocols: subprotocols?.join(',') },
      { path: this.#path, origins: config.origins, loopback: isLoopback(host) },
    );
    if (refusal !== null) return refusal;
    if (this.#connections < config.connectionsMax) return null;
    return { status: 503, line: 'TOO_MANY_CONNECTIONS', retryAfterSeconds: 1 };
  }
}
