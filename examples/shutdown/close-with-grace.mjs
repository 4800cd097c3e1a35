/** The same with `close-with-grace`, which takes the signals and bounds the time: `npm install close-with-grace`. */
import { createServer } from 'node:http';
import closeWithGrace from 'close-with-grace';
import { createBroker } from 'sluice';

const GRACE_MS = 30_000;

// The broker's time lies within that of close-with-grace, so that it is never cut off in its flush.
const options = { listen: false, admin: false, logLevel: 'warn', gracePeriodMs: GRACE_MS };
const broker = createBroker({ data: process.argv[2] ?? './data', ...options });
await broker.start();
const client = await broker.client({ name: 'close-with-grace' });

// A connection that falls idle while the server closes is waited for that long.
const server = createServer({ keepAliveTimeout: 1000 }, async (_request, response) => {
  const { partition, offset } = await client.publish('visits', { value: { at: Date.now() } });
  response.end(`${JSON.stringify({ partition, offset })}\n`);
});

closeWithGrace({ delay: GRACE_MS }, async ({ signal, err }) => {
  if (err) console.error(err);
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  await closed;
  const report = await broker.stop({ reason: signal ?? err?.message ?? 'close', fatal: err !== undefined });
  console.log(`stopped: ${report.outcome}`);
});

server.listen(Number(process.argv[3] ?? 8080), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
