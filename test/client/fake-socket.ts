/** A WebSocket between client and `FakeBroker`: frames arrive in order, each `latencyMs` after it was sent. */
import type { FakeBroker, Session } from './fake-broker.ts';

interface SocketEvents {
  onopen: (() => void) | null;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null;
  onerror: ((event: { message: string }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
}

export class FakeSocket implements SocketEvents {
  onopen: SocketEvents['onopen'] = null;
  onmessage: SocketEvents['onmessage'] = null;
  onerror: SocketEvents['onerror'] = null;
  onclose: SocketEvents['onclose'] = null;
  binaryType = 'blob';
  readonly url: string;
  readonly protocol: string;
  readonly #broker: FakeBroker;
  #session: Session | null = null;
  #closed = false;

  constructor(broker: FakeBroker, url: string, protocol: string) {
    this.#broker = broker;
    this.url = url;
    this.protocol = protocol;
    broker.dials += 1;
    this.#later(() => {
      if (!broker.reachable) {
        this.onerror?.({ message: 'connect ECONNREFUSED' });
        this.cut(1006, '');
        return;
      }
      this.onopen?.();
      this.#session = broker.opened(this);
    });
  }

  /** Client to broker. */
  send(data: string | Uint8Array): void {
    const copy = typeof data === 'string' ? data : data.slice();
    this.#later(() => {
      if (this.#session !== null) this.#broker.receive(this.#session, copy);
    });
  }

  /** The client closes: told to the broker, then back. */
  close(code = 1005, reason = ''): void {
    this.#later(() => this.cut(code, reason));
  }

  /** Broker to client. */
  deliver(data: string | Uint8Array): void {
    const event = { data: typeof data === 'string' ? data : new Uint8Array(data).buffer };
    this.#later(() => {
      if (this.binaryType !== 'arraybuffer') throw new Error('binaryType is not arraybuffer');
      this.onmessage?.(event);
    });
  }

  /** Gone at once; what was on the way is lost. */
  cut(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#session !== null) this.#broker.gone(this.#session);
    this.onclose?.({ code, reason });
  }

  #later(callback: () => void): void {
    this.#broker.clock.setTimeout(() => {
      if (!this.#closed) callback();
    }, this.#broker.latencyMs);
  }
}

/** A constructor to give to `connect`. */
export function socketOf(broker: FakeBroker) {
  return class extends FakeSocket {
    constructor(url: string, protocol: string) {
      super(broker, url, protocol);
    }
  };
}
