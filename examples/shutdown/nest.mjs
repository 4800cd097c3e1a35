/**
 * The same with Nest, whose shutdown hooks a provider takes part in:
 * `npm install @nestjs/core @nestjs/common @nestjs/platform-fastify reflect-metadata rxjs`.
 */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { createBroker } from 'sluice';

class BrokerService {
  #broker = createBroker({ data: process.argv[2] ?? './data', listen: false, admin: false, logLevel: 'warn' });

  async onModuleInit() {
    await this.#broker.start();
    this.client = await this.#broker.client({ name: 'nest' });
  }

  /** Behind the close of the HTTP server. */
  async onApplicationShutdown(signal) {
    const report = await this.#broker.stop({ reason: signal ?? 'the app closes' });
    console.log(`stopped: ${report.outcome}`);
    process.exitCode = report.exitCode;
  }
}

class AppModule {}
Module({ providers: [BrokerService] })(AppModule);

// A connection that falls idle while the app closes is waited for that long; Fastify's default is 72 s.
const adapter = new FastifyAdapter({ keepAliveTimeout: 1000 });
const app = await NestFactory.create(AppModule, adapter, { logger: ['error', 'warn'] });
// Not `enableShutdownHooks`: it ends the process by the signal, which hides the exit code.
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close(signal));
const service = app.get(BrokerService);
app.getHttpAdapter().post('/posts', async (request, reply) => {
  const { partition, offset } = await service.client.publish('posts', { value: request.body });
  reply.code(201).send({ partition, offset });
});
await app.listen(Number(process.argv[3] ?? 8080), '127.0.0.1');
console.log(`listening on ${await app.getUrl()}`);
