/**
 * A process in which an embedded broker starts and stops again and again, with its listeners and a client that
 * publishes. Arguments: data directory, cycles. Prints a line of JSON for each cycle: what the process holds behind
 * it. Run with --expose-gc, from the built package.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { createBroker } from '../../../dist/index.js';

const [data, cycles] = [process.argv[2], Number(process.argv[3])];

function descriptors() {
  const held = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      held.push(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // The one that read the folder is gone again.
    }
  }
  return held;
}

async function publish(port, value) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1`);
  const answer = new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('message', (text) => {
      const reply = JSON.parse(String(text));
      if (reply.op === 'welcome')
        socket.send(JSON.stringify({ op: 'publish', id: 1, topic: 'cycles', partition: 0, value }));
      if (reply.id === 1) resolve(reply);
    });
  });
  const closed = new Promise((resolve) => socket.on('close', (code) => resolve(code)));
  return { reply: await answer, closed };
}

for (let cycle = 0; cycle < cycles; cycle += 1) {
  const broker = createBroker({ data, port: 0, adminPort: 0, logLevel: 'silent', reserveBytes: 0 });
  await broker.start();
  const { reply, closed } = await publish(broker.port, cycle);
  const began = performance.now();
  const report = await broker.stop({ reason: 'cycle' });
  const ms = performance.now() - began;
  const closeCode = await closed;
  // A turn for what the client's end of the connection still has to say.
  await pause(5);
  global.gc();
  const resources = process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap' && name !== 'TTYWrap');
  const line = { cycle, ms, outcome: report.outcome, offset: reply.offset, closeCode, resources };
  console.log(JSON.stringify({ ...line, descriptors: descriptors(), heapBytes: process.memoryUsage().heapUsed }));
}
