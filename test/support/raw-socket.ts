/** A TCP connection that says what no WebSocket library would: half requests, half frames, frames without a mask. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface FrameShape {
  readonly opcode: number;
  readonly payload: Buffer;
  readonly final?: boolean;
  readonly masked?: boolean;
  /** Reserved bits, 0–7. */
  readonly reserved?: number;
  /** Length to claim instead of the payload's own. */
  readonly claimedBytes?: number;
}

export const TEXT = 1;
export const BINARY = 2;
export const CONTINUATION = 0;
export const PING = 9;

export class RawSocket {
  readonly socket: Socket;
  /** Everything received. */
  received: Buffer = Buffer.alloc(0);
  /** Resolves when the other side has ended or cut the connection. */
  readonly ended: Promise<void>;
  #onData: () => void = () => {};

  private constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1' });
    this.socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#onData();
    });
    this.socket.on('error', () => {});
    this.ended = new Promise((resolve) => this.socket.once('close', () => resolve()));
    this.socket.on('end', () => this.socket.end());
  }

  static async connect(port: number): Promise<RawSocket> {
    const raw = new RawSocket(port);
    await once(raw.socket, 'connect');
    return raw;
  }

  /** Connects and upgrades to a WebSocket. */
  static async upgraded(port: number): Promise<RawSocket> {
    const raw = await RawSocket.connect(port);
    raw.write(upgradeRequest(port));
    await raw.receives('"op":"welcome"');
    return raw;
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  write(data: string | Buffer): void {
    this.socket.write(data);
  }

  frame(shape: FrameShape): void {
    this.socket.write(frameBytes(shape));
  }

  /** Waits until the text has come; rejects when the connection ends before. */
  async receives(text: string): Promise<void> {
    const come = new Promise<void>((resolve) => {
      this.#onData = () => {
        if (this.text.includes(text)) resolve();
      };
      this.#onData();
    });
    const cut = this.ended.then(() => {
      if (!this.text.includes(text)) throw new Error(`the connection ended before ${text} came; got ${this.text}`);
    });
    await Promise.race([come, cut]);
  }

  /** Code of the close frame at the end of what came; null without one. */
  get closeCode(): number | null {
    for (let at = this.received.length - 4; at >= 0; at -= 1) {
      if (this.received[at] !== 0x88) continue;
      const bytes = this.received[at + 1] ?? 0;
      if (bytes >= 2 && at + 2 + bytes === this.received.length) return this.received.readUInt16BE(at + 2);
    }
    return null;
  }

  /** Goes away without a word. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}

export function upgradeRequest(port: number, lines: readonly string[] = []): string {
  return [
    'GET /v1 HTTP/1.1',
    `Host: 127.0.0.1:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
    ...lines,
    '\r\n',
  ].join('\r\n');
}

export function frameBytes({ opcode, payload, final = true, masked = true, ...more }: FrameShape): Buffer {
  const length = more.claimedBytes ?? payload.length;
  const head = [(final ? 0x80 : 0) | ((more.reserved ?? 0) << 4) | opcode];
  const mask = masked ? 0x80 : 0;
  const size =
    length < 126
      ? Buffer.from([mask | length])
      : length < 65_536
        ? Buffer.from([mask | 126, length >> 8, length & 0xff])
        : longSize(mask, length);
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([Buffer.from(head), size, masked ? Buffer.alloc(4) : Buffer.alloc(0), payload]);
}

function longSize(mask: number, length: number): Buffer {
  const size = Buffer.alloc(9);
  size[0] = mask | 127;
  size.writeBigUInt64BE(BigInt(length), 1);
  return size;
}
