/** Opens connections that then do nothing, and holds them until this process is ended. */

import type { Target } from '../clients/client.ts';
import { connectMany } from '../clients/registry.ts';

export interface IdleJob {
  readonly job: 'idle';
  readonly target: Target;
  readonly connections: number;
}

export async function idle({ target, connections }: IdleJob): Promise<{ readonly connected: number }> {
  const clients = await connectMany(target, connections);
  return { connected: clients.length };
}
