/**
 * The WebSocket of the client on this Node: the built-in one where there is one (Node 22 and later), that of `ws` on
 * Node 20. The client itself depends on neither.
 */
import { WebSocket } from 'ws';
import type { WebSocketConstructor } from '../client/index.ts';

export const socketConstructor: WebSocketConstructor = globalThis.WebSocket ?? WebSocket;
