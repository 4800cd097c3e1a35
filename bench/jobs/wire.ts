/**
 * Sluice's binary frames by hand, for work where the client library is not what is measured: a batch that is encoded
 * once and sent over and over, as a client in another language might. The protocol is that of `docs/protocol.md`.
 */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { encodeBatch } from '../../src/domain/record-batch.ts';
import { payload } from './payload.ts';

/** The bytes of a batch of `records` records with values of `bytes` bytes. */
export function batchOf(records: number, bytes: number): Uint8Array {
  const value = payload(bytes);
  return encodeBatch(Array.from({ length: records }, () => ({ key: null, headers: null, value, encoding: 'bytes' })));
}

export class Wire {
  readonly #socket: WebSocket;
  #answered: (publishes: number) => void = () => {};
  #failed: (error: Error) => void = () => {};

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer, isBinary) => this.#take(data, isBinary));
    socket.on('error', (error) => this.#failed(error));
    socket.on('close', (code, reason) => this.#failed(new Error(`closed with ${code} ${String(reason)}`)));
  }

  static async open(url: string): Promise<Wire> {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    await once(socket, 'message');
    return new Wire(socket);
  }

  /** `answered` hears how many publishes an answer was for, `failed` of a refusal or the end of the connection. */
  on(answered: (publishes: number) => void, failed: (error: Error) => void): void {
    this.#answered = answered;
    this.#failed = failed;
  }

  publish(id: number, topic: string, partition: number, batch: Uint8Array): void {
    const header = Buffer.from(JSON.stringify({ op: 'publish', id, topic, partition }));
    const frame = Buffer.allocUnsafe(4 + header.length + batch.length);
    frame.writeUInt32BE(header.length);
    frame.set(header, 4);
    frame.set(batch, 4 + header.length);
    this.#socket.send(frame);
  }

  close(): void {
    this.#failed = () => {};
    this.#socket.terminate();
  }

  #take(data: Buffer, isBinary: boolean): void {
    const text = isBinary ? data.toString('utf8', 4, 4 + data.readUInt32BE(0)) : data.toString();
    const reply = JSON.parse(text) as { readonly op: string; readonly acks?: readonly unknown[] };
    if (reply.op === 'published') this.#answered(reply.acks?.length ?? 1);
    else if (reply.op === 'error') this.#failed(new Error(text));
  }
}
