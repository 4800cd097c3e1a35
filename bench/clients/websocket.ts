/**
 * Bare `ws`: a frame for each record, answered by a server that does nothing else with four bytes. A ceiling, not a
 * peer: what any broker over WebSocket pays that sends and acknowledges record by record.
 */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { BenchClient, Target } from './client.ts';

/** Settled entries at the front of the queue before it is cut: a shift for each would cost more than what is measured. */
const SETTLED_KEPT = 4096;

export async function connectWebSocket({ url }: Target): Promise<BenchClient> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, 'open');
  const waiting: (() => void)[] = [];
  let next = 0;
  socket.on('message', () => {
    const answered = waiting[next] as () => void;
    next += 1;
    if (next === SETTLED_KEPT) {
      waiting.splice(0, next);
      next = 0;
    }
    answered();
  });
  return {
    prepare: async () => {},
    publish: (_topic, value) =>
      new Promise<void>((resolve) => {
        waiting.push(resolve);
        socket.send(value);
      }),
    subscribe: () => Promise.reject(new Error('a bare WebSocket server passes nothing on')),
    close: async () => {
      socket.terminate();
    },
  };
}
