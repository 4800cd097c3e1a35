/**
 * The bare server: answers every frame with four bytes and looks into none. With `?send=N` it sends N bytes instead,
 * in frames of 256 KiB, as fast as the socket takes them. Prints its port.
 */
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const ANSWER = Buffer.from('okay');
/** What Sluice puts into a delivery. */
const FRAME_BYTES = 256 * 1024;
/** Unsent bytes at which it waits for the socket: what Sluice allows. */
const BUFFERED_MAX = 1024 * 1024;

function sendAll(socket: WebSocket, bytes: number): void {
  const frame = Buffer.alloc(FRAME_BYTES, 7);
  let left = bytes;
  const more = (): void => {
    while (left > 0 && socket.bufferedAmount < BUFFERED_MAX) {
      socket.send(left >= FRAME_BYTES ? frame : frame.subarray(0, left), more);
      left -= FRAME_BYTES;
    }
  };
  more();
}

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: false,
  maxPayload: 64 * 1024 * 1024,
});
server.on('connection', (socket, request) => {
  const bytes = Number(new URL(request.url ?? '/', 'ws://localhost').searchParams.get('send') ?? 0);
  if (bytes > 0) sendAll(socket, bytes);
  socket.on('message', () => socket.send(ANSWER));
  // Clients that are done go without a goodbye.
  socket.on('error', () => socket.terminate());
});
server.on('listening', () => console.log((server.address() as AddressInfo).port));
