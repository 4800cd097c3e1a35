/** nats-server with its WebSocket listener. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/support/broker-process.ts';
import type { Target } from '../clients/client.ts';
import { findProgram, listens } from './program.ts';
import type { System } from './system.ts';

const program = findProgram('nats-server', 'BENCH_NATS_SERVER');
const missing =
  'nats-server is not on PATH: go install github.com/nats-io/nats-server/v2@latest (or BENCH_NATS_SERVER)';

/** `syncInterval`: how long a stored message may wait for the disk; null for a server without JetStream. */
export function nats(
  name: string,
  client: Target['client'],
  syncInterval: 'always' | '2m' | null,
  promise: string,
): System {
  return {
    name,
    durability: promise,
    missing: program === null ? missing : null,
    start: async (children, folder) => {
      const [port, clientPort] = [await freePort(), await freePort()];
      const file = join(folder, 'nats.conf');
      const storage =
        syncInterval === null ? '' : `jetstream { store_dir: "${folder}/store", sync_interval: "${syncInterval}" }`;
      writeFileSync(
        file,
        `listen: "127.0.0.1:${clientPort}"\n${storage}\n` +
          `websocket { listen: "127.0.0.1:${port}", no_tls: true, compression: false }\n`,
      );
      const child = children.spawn(program as string, ['-c', file]);
      await child.until(() => listens(port));
      await child.until((output) => /Server is ready/.test(output) || undefined);
      return { child, target: { client, url: `ws://127.0.0.1:${port}` } };
    },
  };
}
