/** Aedes behind `ws`, set up as its documentation shows, with its default persistence: memory. Prints its port. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Aedes } from 'aedes';
import { createWebSocketStream, WebSocketServer } from 'ws';

const aedes = await Aedes.createBroker({ queueLimit: 1_000_000 });
const http = createServer();
const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });
sockets.on('connection', (socket, request) => {
  const stream = createWebSocketStream(socket);
  // Clients that are done go without a goodbye.
  stream.on('error', () => socket.terminate());
  aedes.handle(stream, request);
});
http.listen(0, '127.0.0.1', () => console.log((http.address() as AddressInfo).port));
