/** One consumer that reads a log from its beginning, or as many bytes in frames from a server that only sends. */
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import type { Target } from '../clients/client.ts';

export interface ReplayJob {
  readonly job: 'replay';
  readonly target: Target;
  readonly topic: string;
  /** Bytes of values to receive. */
  readonly bytes: number;
}

const CREDIT = 100_000;

/** Bytes received per second, from the wish to the last of them. */
export async function replay({ target, topic, bytes }: ReplayJob): Promise<{ readonly perSecond: number }> {
  const start = performance.now();
  await (target.client === 'websocket' ? fromServer(target.url, bytes) : fromLog(target.url, topic, bytes));
  return { perSecond: (bytes * 1000) / (performance.now() - start) };
}

async function fromLog(url: string, topic: string, bytes: number): Promise<void> {
  const client = await connect(url, { WebSocket });
  let received = 0;
  for await (const batch of client.subscribe(topic, { from: 'earliest', credit: CREDIT }).batches()) {
    for (const record of batch) received += record.bytes().length;
    if (received >= bytes) break;
  }
  await client.close();
}

/** Asks for the bytes in the query: see `servers/websocket.ts`. */
function fromServer(url: string, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url}/?send=${bytes}`, { perMessageDeflate: false });
    let received = 0;
    socket.on('error', reject);
    socket.on('message', (data: Buffer) => {
      received += data.length;
      if (received < bytes) return;
      socket.terminate();
      resolve();
    });
  });
}
