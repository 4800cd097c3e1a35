/** The supervisor as a running actor: its chart with the effects of an assembly, on the broker's clock. */
import { type Actor, createActor } from 'xstate';
import type { Assembly } from './assembly.ts';
import type { BrokerOptions } from './broker-options.ts';
import type { Config } from './config.ts';
import type { supervisorMachine } from './machines/supervisor.ts';
import type { Clock } from './ports/clock.ts';

export type Supervisor = Actor<typeof supervisorMachine>;

export interface SupervisorParts {
  readonly assembly: Assembly;
  readonly options: BrokerOptions;
  readonly config: Config;
  readonly clock: Clock;
  readonly shards: number;
}

/** Made, and not yet started. */
export function supervisorActor(parts: SupervisorParts): Supervisor {
  const { assembly, options, config, clock, shards } = parts;
  return createActor(assembly.logic, {
    id: 'supervisor',
    systemId: 'supervisor',
    ...(options.inspect === undefined ? {} : { inspect: options.inspect }),
    clock: {
      setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
      clearTimeout: (handle) => clock.clearTimeout(handle),
    },
    input: {
      shards,
      grace: config,
      now: () => clock.monotonic(),
      load: assembly.load,
      shardCounts: assembly.shardCounts,
      // Without a socket, too: clients of this process are its sessions.
      gateway: true,
      admin: options.admin !== false,
      guests: (options.guests ?? []).map(({ id, actor }) => ({ id, ref: actor })),
    },
  });
}
