/** redis-server with an append-only file, without snapshots. */
import { freePort } from '../../test/support/broker-process.ts';
import { findProgram, listens } from './program.ts';
import type { System } from './system.ts';

const program = findProgram('redis-server', 'BENCH_REDIS_SERVER');
const missing = 'redis-server is not on PATH: apt-get install redis-server (or BENCH_REDIS_SERVER)';

export function redis(name: string, appendfsync: 'always' | 'everysec', promise: string): System {
  return {
    name,
    durability: promise,
    missing: program === null ? missing : null,
    start: async (children, folder) => {
      const port = await freePort();
      const settings = {
        port: String(port),
        bind: '127.0.0.1',
        dir: folder,
        save: '',
        appendonly: 'yes',
        appendfsync,
        maxclients: '12000',
      };
      const flags = Object.entries(settings).flatMap(([setting, value]) => [`--${setting}`, value]);
      const child = children.spawn(program as string, flags);
      await child.until(() => listens(port));
      return { child, target: { client: 'redis', url: `redis://127.0.0.1:${port}` } };
    },
  };
}
