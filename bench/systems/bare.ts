/** The ceilings: `ws` and nothing behind it. (The disk needs no server: `jobs/appends.ts`.) */
import type { System } from './system.ts';

export const bareWebSocket: System = {
  name: 'ws',
  durability: 'none',
  missing: null,
  start: async (children) => {
    const child = children.spawn(process.execPath, [children.script('servers/websocket')]);
    const port = await child.until((output) => /^\d+$/m.exec(output)?.[0]);
    return { child, target: { client: 'websocket', url: `ws://127.0.0.1:${port}` } };
  },
};
