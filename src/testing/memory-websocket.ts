/**
 * The WebSocket API of browsers over the network in memory, so that the client library runs against a broker in the
 * same process without a socket. As much of the standard as clients use: events by `on…` and by `addEventListener`,
 * text, and binary as `arraybuffer` or `blob`.
 */

import type { MemoryFrame } from '../embedding/memory-pipe.ts';
import type { MemoryClient } from './memory-client.ts';
import type { DialOptions } from './memory-sockets.ts';

type Handler<E extends Event> = ((event: E) => void) | null;

/** Node 20 has no `CloseEvent`. */
export class MemoryCloseEvent extends Event {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;

  constructor(code: number, reason: string) {
    super('close');
    this.code = code;
    this.reason = reason;
    this.wasClean = code !== 1006;
  }
}

const readyStates = { connecting: 0, open: 1, closing: 2, closed: 3 } as const;
const DEFAULT_PORT = 80;

class MemoryWebSocketBase extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly url: string;
  readonly extensions = '';
  binaryType: 'arraybuffer' | 'blob' = 'blob';
  onopen: Handler<Event> = null;
  onmessage: Handler<MessageEvent> = null;
  onerror: Handler<Event> = null;
  onclose: Handler<MemoryCloseEvent> = null;
  readonly #client: MemoryClient;
  #opened = false;

  constructor(dial: (options: DialOptions) => MemoryClient, url: string | URL, protocols: string | readonly string[]) {
    super();
    const { href, protocol, port, pathname, search } = new URL(url);
    if (protocol !== 'ws:' && protocol !== 'wss:') throw new SyntaxError(`a WebSocket url is ws: or wss:; got ${href}`);
    this.url = href;
    this.#client = dial({
      port: port === '' ? DEFAULT_PORT : Number(port),
      path: pathname + search,
      subprotocols: typeof protocols === 'string' ? [protocols] : protocols,
    });
    this.#client.events = {
      open: () => {
        this.#opened = true;
        this.#fire(new Event('open'), this.onopen);
      },
      frame: (frame) => this.#fire(new MessageEvent('message', { data: this.#data(frame) }), this.onmessage),
      close: (code, reason) => {
        if (!this.#opened) this.#fire(new Event('error'), this.onerror);
        this.#fire(new MemoryCloseEvent(code, reason), this.onclose);
      },
    };
  }

  get readyState(): number {
    return readyStates[this.#client.state];
  }

  get protocol(): string {
    return this.#client.subprotocol ?? '';
  }

  /** Bytes sent that the broker has not read. */
  get bufferedAmount(): number {
    return this.#client.bufferedBytes;
  }

  send(data: string | ArrayBuffer | ArrayBufferView): void {
    if (this.#client.state === 'connecting') {
      throw new DOMException('send before the connection was open', 'InvalidStateError');
    }
    if (typeof data === 'string') this.#client.sendText(data);
    else if (data instanceof ArrayBuffer) this.#client.sendBinary(new Uint8Array(data));
    else this.#client.sendBinary(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  /** Without a code the broker sees 1005, as on the wire. */
  close(code?: number, reason = ''): void {
    if (code !== undefined && code !== 1000 && (code < 3000 || code > 4999)) {
      throw new DOMException(`a page may close with 1000 or 3000–4999; got ${code}`, 'InvalidAccessError');
    }
    this.#client.close(code ?? 1005, reason);
  }

  #data(frame: MemoryFrame): string | ArrayBuffer | Blob {
    if (typeof frame === 'string') return frame;
    const bytes = frame.slice();
    return this.binaryType === 'arraybuffer' ? bytes.buffer : new Blob([bytes]);
  }

  #fire<E extends Event>(event: E, handler: Handler<E>): void {
    handler?.call(this, event);
    this.dispatchEvent(event);
  }
}

export type MemoryWebSocket = MemoryWebSocketBase;

export interface MemoryWebSocketConstructor {
  new (url: string | URL, protocols?: string | readonly string[]): MemoryWebSocket;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;
}

/** The class whose connections are made by `dial`. */
export function memoryWebSocket(dial: (options: DialOptions) => MemoryClient): MemoryWebSocketConstructor {
  return class extends MemoryWebSocketBase {
    constructor(url: string | URL, protocols: string | readonly string[] = []) {
      super(dial, url, protocols);
    }
  };
}
