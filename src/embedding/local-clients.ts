/**
 * The clients of a broker in its own process: made by `broker.client`, ended with the broker. Each has its goaway and
 * its close like any other client; behind the broker's end there is nothing to come back to, so it is closed for good.
 */
import { type Client, type ConnectOptions, connect } from '../client/index.ts';
import { BrokerError } from '../errors.ts';
import { type Clock, systemClock } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import { type LocalGate, localTransport } from './local-link.ts';

/** What a client in the broker's process may be told: all of `connect`'s, but how to reach the broker. */
export type LocalClientOptions = Omit<ConnectOptions, 'WebSocket'>;

export interface LocalClientsOptions extends LocalGate {
  readonly clock: Clock;
  readonly random: Random;
}

export class LocalClients {
  readonly #options: LocalClientsOptions;
  readonly #clients = new Set<Client>();
  readonly #connecting = new Set<AbortController>();
  #made = 0;
  #over = false;

  constructor(options: LocalClientsOptions) {
    this.#options = options;
  }

  /** Resolves when the broker welcomes the client. Rejects as `connect` does, and when the broker ends before that. */
  async connect({ signal, ...options }: LocalClientOptions): Promise<Client> {
    if (this.#over) throw new BrokerError('DRAINING', 'the broker has stopped');
    const { clock, random } = this.#options;
    // A clock of a test decides about turns as about time.
    const defer = clock === systemClock ? setImmediate : (callback: () => void) => clock.defer(callback);
    this.#made += 1;
    const transport = localTransport({ gate: this.#options, clock, defer, remote: `in-process:${this.#made}` });
    const attempt = new AbortController();
    this.#connecting.add(attempt);
    try {
      const client = await connect(transport, {
        clock,
        random: () => random.next(),
        ...options,
        signal: signal === undefined ? attempt.signal : AbortSignal.any([signal, attempt.signal]),
      });
      this.#keep(client);
      return client;
    } finally {
      this.#connecting.delete(attempt);
    }
  }

  #keep(client: Client): void {
    this.#clients.add(client);
    client.on('state', (state) => {
      if (state === 'closed') this.#clients.delete(client);
    });
  }

  /** The broker has ended: clients end, and what they still waited for is answered. */
  async close(): Promise<void> {
    this.#over = true;
    for (const attempt of this.#connecting) attempt.abort(new BrokerError('DRAINING', 'the broker has stopped'));
    await Promise.all([...this.#clients].map((client) => client.close()));
  }
}
