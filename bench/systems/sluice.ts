/** The broker as it is shipped, with its defaults; a synced or an asynchronous topic is the client's choice. */
import { resolve } from 'node:path';
import type { System } from './system.ts';

const command = resolve(import.meta.dirname, '../../dist/cli/sluice.cjs');

export function sluice(name: string, durability: 'sync' | 'async', promise: string): System {
  return {
    name,
    durability: promise,
    missing: null,
    start: async (children, folder, port = 0) => {
      const flags = ['serve', '--data', folder, '--port', String(port), '--admin-port', '0'];
      const child = children.spawn(process.execPath, [command, ...flags]);
      const listening = await child.until((output) =>
        /"msg":"running"/.test(output) ? /"port":(\d+)[^\n]*"msg":"listening"/.exec(output)?.[1] : undefined,
      );
      return { child, target: { client: 'sluice', url: `ws://127.0.0.1:${listening}/v1`, durability } };
    },
  };
}
