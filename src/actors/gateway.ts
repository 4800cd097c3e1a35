/** The gateway actor: the endpoint's chart with its effects: the listener, the sessions, and the pace of their closing. */
import { fromPromise } from 'xstate';
import type { Config } from '../config.ts';
import type { ErrorCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { EndpointEvent } from '../machines/endpoint.ts';
import { type ClosedCounts, gatewayMachine } from '../machines/gateway.ts';
import type { Clock } from '../ports/clock.ts';
import type { Connection, Listen, Listener } from '../ports/connection.ts';
import type { Sessions } from './sessions.ts';

export interface GatewayOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null for a gateway without a socket: its clients are all of this process. */
  readonly listen: Listen | null;
  readonly sessions: Sessions;
}

type Told = { readonly told: EndpointEvent | null };

/** Closes that say "come back soon", and "gone for good". */
const CLOSE_RESTART = 1012;
const CLOSE_GOING_AWAY = 1001;

export class Gateway {
  readonly #options: GatewayOptions;
  #listener: Listener | null = null;
  /** Takes connections of this process in, as the listener does those of others. */
  #accepting = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** Port that clients connect to; null while not bound. */
  get port(): number | null {
    return this.#listener?.port ?? null;
  }

  async bind(): Promise<void> {
    const { config, clock, logger, listen, sessions } = this.#options;
    this.#accepting = true;
    if (listen === null) return;
    this.#listener = await listen({
      host: config.host,
      port: config.port,
      config,
      clock,
      logger,
      onConnection: (connection) => sessions.accept(connection),
    });
    logger.info({ address: this.#listener.address, port: this.#listener.port }, 'listening');
  }

  /** Takes in a connection of this process, or says why not, on the listener's terms. */
  admit(connection: Connection): ErrorCode | null {
    const { sessions, config } = this.#options;
    if (!this.#accepting) return 'DRAINING';
    if (sessions.size >= config.connectionsMax) return 'TOO_MANY_CONNECTIONS';
    sessions.accept(connection);
    return null;
  }

  accept(): void {
    this.#accepting = true;
    this.#listener?.accept();
    if (this.#options.sessions.draining) this.#options.sessions.cancel();
  }

  announce({ plan, reason }: EndpointEvent): void {
    this.#options.sessions.announce({ stage: 'announce', reason, deadlineMs: this.#left(plan.reportUntil) });
  }

  refuse({ plan, reason, leaving }: EndpointEvent): void {
    const deadlineMs = this.#left(plan.reportUntil);
    this.#accepting = false;
    this.#listener?.refuse(Math.max(1, Math.ceil(deadlineMs / 10_000)));
    // A drain without exit may be cancelled: clients are told to stay away, and kept.
    this.#options.sessions.announce({
      stage: 'drain',
      reason: leaving ? reason : `${reason} (may be cancelled)`,
      deadlineMs,
    });
  }

  async commitsSettled({ told }: Told): Promise<void> {
    if (told === null || told.mode !== 'graceful') return;
    await this.#options.sessions.commitsSettled(this.#left(told.plan.drainUntil));
  }

  async close({ told }: Told): Promise<ClosedCounts> {
    const { sessions, logger } = this.#options;
    const withinMs = told === null ? 0 : this.#left(told.plan.closeUntil);
    const reason = told?.reason ?? '';
    await sessions.close({
      code: told?.returning === false ? CLOSE_GOING_AWAY : CLOSE_RESTART,
      reason: reason === '' ? 'shutting down' : `shutting down: ${reason}`,
      withinMs,
      paced: told?.mode === 'graceful',
    });
    await this.#listener?.close();
    const closed = sessions.closedCounts;
    logger.info({ ...closed }, 'clients closed');
    return closed;
  }

  /** The shutdown presses harder while the gateway closes. */
  hurry({ mode }: EndpointEvent): void {
    if (mode === 'immediate') this.#options.sessions.terminate();
    else if (mode === 'fast') this.#options.sessions.hurry();
  }

  #left(deadline: number): number {
    return Math.max(deadline - this.#options.clock.monotonic(), 0);
  }
}

/** The gateway's chart with these effects. */
export function gatewayLogic(gateway: Gateway): typeof gatewayMachine {
  return gatewayMachine.provide({
    actors: {
      bind: fromPromise<void, Told>(() => gateway.bind()),
      commitsSettled: fromPromise<void, Told>(({ input }) => gateway.commitsSettled(input)),
      close: fromPromise<ClosedCounts, Told>(({ input }) => gateway.close(input)),
    },
    actions: {
      accept: () => gateway.accept(),
      announce: (_, { told }) => gateway.announce(told),
      refuse: (_, { told }) => gateway.refuse(told),
      hurry: (_, { told }) => gateway.hurry(told),
    },
  });
}
