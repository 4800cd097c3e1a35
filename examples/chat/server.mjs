/**
 * A chat in the browser. The page talks to the broker itself; this process serves the page and runs the broker.
 * Arguments: data directory, port of the page. Ctrl-C stops it: the page says so, and comes back with what was said.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { createBroker } from 'sluice';

const [data = './data', port = '8080'] = process.argv.slice(2);
const types = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8' };
const page = new URL('./', import.meta.url);
/** The client's modules, as the package has them: no bundler is needed. */
const library = new URL('../', import.meta.resolve('sluice/client'));

let broker;

function fileOf(path) {
  if (path === '/') return new URL('index.html', page);
  if (path === '/chat.js') return new URL('chat.js', page);
  const module = /^\/sluice\/((?:client|domain)\/[a-z-]+\.js)$/.exec(path);
  return module === null ? null : new URL(module[1], library);
}

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://page');
  if (pathname === '/broker') {
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ port: broker?.port ?? null }));
    return;
  }
  const file = fileOf(pathname);
  if (file === null) {
    response.writeHead(404).end();
    return;
  }
  try {
    const body = await readFile(fileURLToPath(file));
    response.writeHead(200, { 'content-type': types[file.pathname.split('.').at(-1)] }).end(body);
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
});
await new Promise((resolve) => server.listen(Number(port), '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

broker = createBroker({ data, port: 0, admin: false, origins: [origin], logLevel: 'warn' });
await broker.start();
const client = await broker.client({ name: 'chat-server' });
await client.createTopic('chat', { partitions: 1 });
console.log(`the chat is at ${origin}`);

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    const report = await broker.stop({ reason: signal });
    server.close();
    server.closeAllConnections();
    process.exitCode = report.exitCode;
  });
}
