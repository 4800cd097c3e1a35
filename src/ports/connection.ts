/**
 * The socket port: one client connection and the listener that brings them. The WebSocket adapter and the in-memory
 * one (`sluice/testing`) are the same to a session.
 */
import type { Config } from '../config.ts';
import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';

export interface ConnectionEvents {
  /** A whole text frame. */
  text(text: string): void;
  /** A whole binary frame. The buffer is the receiver's to keep. */
  binary(bytes: Uint8Array): void;
  pong(): void;
  /** Sent bytes left the process; `bufferedBytes` has gone down. */
  drained(): void;
  /** Once, last: the connection is gone. */
  closed(code: number, reason: string): void;
}

export interface Connection {
  /** Address of the other side, for people. */
  readonly remote: string;
  /** Bytes sent that have not left the process. */
  readonly bufferedBytes: number;
  /** Set once, by the session, before any event. */
  events: ConnectionEvents;
  /** All sends of one turn leave as one write. No-op after the close began. */
  sendText(text: string): void;
  /** Sends `parts`, one behind another, as one binary frame; they must not change afterwards. */
  sendBinary(parts: readonly Uint8Array[]): void;
  ping(): void;
  /** Stops reading from the socket; frames that were read already may still arrive. */
  pause(): void;
  resume(): void;
  /** Begins the closing handshake behind everything sent. `reason` is cut to 123 bytes of UTF-8. */
  close(code: number, reason: string): void;
  /** Ends the connection at once. */
  terminate(): void;
}

export interface Listener {
  /** `host:port` as bound. */
  readonly address: string;
  readonly port: number;
  /** From now on an upgrade is answered 503 with Retry-After (seconds), until `accept` again. */
  refuse(retryAfterSeconds: number): void;
  accept(): void;
  /** Stops listening and ends what is left of upgrades and plain HTTP; resolves when the port is free. */
  close(): Promise<void>;
}

/** What a client said before it became a connection. */
export interface ConnectionRequest {
  /** Of the page, where the client is a browser. */
  readonly origin: string | undefined;
  readonly userAgent: string | undefined;
  /** As chosen from the client's offers; undefined when it offered none. */
  readonly subprotocol: string | undefined;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Where clients connect; `/v1` by default. */
  readonly path?: string;
  readonly config: Pick<Config, 'frameBytes' | 'origins' | 'connectionsMax' | 'helloTimeoutMs'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called with every new connection; sets its `events` before it returns. */
  readonly onConnection: (connection: Connection, request: ConnectionRequest) => void;
}

/** Begins to listen. Rejects with LISTEN_FAILED, which says what is wrong and which flag changes it. */
export type Listen = (options: ListenOptions) => Promise<Listener>;
