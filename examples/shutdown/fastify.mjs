/** The same with Fastify, whose `onClose` hooks run when its requests are answered: `npm install fastify`. */
import Fastify from 'fastify';
import { createBroker } from 'sluice';

// A connection that falls idle while the app closes is waited for that long; Fastify's default is 72 s.
const app = Fastify({ keepAliveTimeout: 1000 });
const broker = createBroker({ data: process.argv[2] ?? './data', listen: false, admin: false, logLevel: 'warn' });
await broker.start();
const client = await broker.client({ name: 'fastify' });

app.addHook('onClose', async () => {
  const report = await broker.stop({ reason: 'the app closes' });
  console.log(`stopped: ${report.outcome}`);
  process.exitCode = report.exitCode;
});

app.post('/posts', async (request, reply) => {
  const { partition, offset } = await client.publish('posts', { value: request.body });
  return reply.code(201).send({ partition, offset });
});

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close());

const address = await app.listen({ port: Number(process.argv[3] ?? 8080), host: '127.0.0.1' });
console.log(`listening on ${address}`);
