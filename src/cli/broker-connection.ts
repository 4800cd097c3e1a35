/**
 * The connection of a command to a broker: its flags, and a start that does not try for ever. Once connected, the
 * client comes back by itself for as long as it takes; each loss and return is told on standard error.
 */
import { type Client, type ConnectOptions, connect } from '../client/index.ts';
import { formatMs } from '../config-quantity.ts';
import { messageOf } from '../errors.ts';
import type { Flags } from './command.ts';
import { CommandFailure } from './failure.ts';
import { interruptedExit, type Terminal } from './terminal.ts';

export const connectionFlags = {
  url: {
    kind: 'text',
    placeholder: 'URL',
    default: 'ws://127.0.0.1:7070/v1',
    variable: 'SLUICE_URL',
    text: 'Where the broker is.',
    reason: 'where `sluice serve` listens by default',
  },
  token: {
    kind: 'text',
    placeholder: 'TOKEN',
    variable: 'SLUICE_TOKEN',
    text: 'Token, where the broker asks for one; better given by the variable, since others can read flags.',
  },
  'connect-timeout': {
    kind: 'number',
    unit: 'ms',
    min: 0,
    max: 86_400_000,
    default: 5000,
    text: 'How long to try to reach the broker at the start.',
    reason: 'a restart fits in; a wrong address does not keep you waiting',
  },
} as const satisfies Flags;

export interface ConnectionFlagValues {
  readonly url: string;
  readonly token: string | undefined;
  readonly 'connect-timeout': number;
}

/**
 * Connects, or rejects with UNREACHABLE when no broker answered in time; a refusal that will not change by waiting
 * (a wrong token) rejects at once with the client's own error. `stop` ends the wait early.
 */
export async function connectBroker(
  flags: ConnectionFlagValues,
  terminal: Terminal,
  stop: AbortSignal,
  options: ConnectOptions = {},
): Promise<Client> {
  const timeout = AbortSignal.timeout(flags['connect-timeout']);
  let client: Client;
  try {
    client = await connect(flags.url, {
      ...options,
      ...(flags.token === undefined || flags.token === '' ? {} : { token: flags.token }),
      name: 'sluice-cli',
      WebSocket: terminal.WebSocket,
      signal: AbortSignal.any([timeout, stop]),
    });
  } catch (error) {
    if (stop.aborted) {
      const exit = interruptedExit(stop.reason);
      throw new CommandFailure('INTERRUPTED', 'stopped before the broker answered', { cause: error, exit });
    }
    if (!timeout.aborted) throw error;
    throw new CommandFailure(
      'UNREACHABLE',
      `no broker answered at ${flags.url} within ${formatMs(flags['connect-timeout'])}: ${messageOf((error as Error).cause ?? error)}`,
      { cause: error, hint: 'Start one with `sluice serve`, or say where it is with --url.' },
    );
  }
  tellOutages(client, terminal);
  return client;
}

function tellOutages(client: Client, terminal: Terminal): void {
  let lost = false;
  client.on('state', (state) => {
    if (state === 'waiting' && !lost) {
      lost = true;
      note(terminal, 'connection lost; trying again until it is back');
    } else if (state === 'ready' && lost) {
      lost = false;
      note(terminal, 'connected again');
    }
  });
}

function note(terminal: Terminal, text: string): void {
  terminal.stderr.write(`${text}\n`);
  void terminal.stderr.flush();
}
