/** What a broker is made of and asked for. Types alone; `docs/shutdown.md` explains the stop. */
import type { AnyActorRef, InspectionEvent } from 'xstate';
import type { MakeHub } from './actors/broker-inspection.ts';
import type { Config } from './config.ts';
import type { Logger } from './logger.ts';
import type { ShutdownMode } from './machines/shutdown-mode.ts';
import type { Clock } from './ports/clock.ts';
import type { Listen } from './ports/connection.ts';
import type { Random } from './ports/random.ts';
import type { Watchdog } from './ports/watchdog.ts';
import type { AcquireDataLock } from './storage/data-lock.ts';
import type { Disk } from './storage/disk.ts';
import type { MetaFactory } from './storage/meta.ts';

/** Settings that differ from the defaults, by the names of `docs/configuration.md`, and what only an embedder has. */
export interface BrokerOptions extends Partial<Config> {
  /** False for a broker that opens no socket for clients: `broker.client` is the way in. */
  readonly listen?: boolean;
  /** False for a broker without the admin endpoint. */
  readonly admin?: boolean;
  /** Actors of your own that leave with the broker: told `{ type: 'shutdown' }`, waited for until they are done. */
  readonly guests?: readonly { readonly id: string; readonly actor: AnyActorRef }[];
  /** Aborted: the broker stops, as by `stop`. */
  readonly signal?: AbortSignal;
  /** Told every event, snapshot and actor of the supervisor and its children, as XState inspects them. Never throws. */
  readonly inspect?: (event: InspectionEvent) => void;
}

/** What a broker is made of besides its settings; the real world where nothing else is given. */
export interface BrokerParts {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
  readonly disk?: Disk;
  readonly meta?: MetaFactory;
  readonly lock?: AcquireDataLock;
  readonly listen?: Listen;
  readonly watchdog?: Watchdog;
  /** Makes what shows the broker to viewers. */
  readonly hub?: MakeHub;
}

export interface StopOptions {
  /** How hard; a later stop can only escalate. Graceful by default. */
  readonly mode?: ShutdownMode;
  /** Why, for the log, the clients and the report. */
  readonly reason?: string;
  /** It stops because of an error that nobody handled. */
  readonly fatal?: boolean;
  /** Gone by then: an earlier end than the budget's, in ms of `performance.now()`. A later one changes nothing. */
  readonly deadline?: number;
  /** Aborted: as another stop in mode `fast`. It is still flushed, and the promise still resolves with the report. */
  readonly signal?: AbortSignal;
  /** False when no broker will come back in its place: clients are closed with 1001 in place of 1012. */
  readonly returning?: boolean;
}
