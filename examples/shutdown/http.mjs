/**
 * A broker within an HTTP server of your own, and one shutdown for both: on SIGTERM the server answers what it has
 * begun, then the broker stops, and the process ends with the broker's exit code.
 */
import { createServer } from 'node:http';
import { createBroker } from 'sluice';

const broker = createBroker({ data: process.argv[2] ?? './data', listen: false, admin: false, logLevel: 'warn' });
await broker.start();
const client = await broker.client({ name: 'http' });

let leaving = false;

// A connection that falls idle while the server closes is waited for that long.
const server = createServer({ keepAliveTimeout: 1000 }, async (request, response) => {
  try {
    if (request.method === 'GET' && request.url === '/readyz') {
      response.writeHead(leaving ? 503 : 200).end();
    } else if (request.method === 'POST') {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const { partition, offset } = await client.publish('posts', { value: Buffer.concat(chunks) });
      response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ partition, offset }));
    } else response.writeHead(404).end();
  } catch (error) {
    response.writeHead(503, { 'retry-after': '5' }).end(error.message);
  }
});

async function leave(signal) {
  leaving = true;
  // Requests that are under way are answered first, while the broker still takes what they publish.
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  await closed;
  const report = await broker.stop({ reason: signal });
  console.log(`stopped: ${report.outcome}`);
  process.exitCode = report.exitCode;
}

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => leave(signal));

server.listen(Number(process.argv[3] ?? 8080), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
