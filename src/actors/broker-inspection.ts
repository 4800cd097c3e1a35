/** What the hub of a broker shows: its actors, its sessions, and once a second what `/status` and `/shutdown` answer. */
import { hostname } from 'node:os';
import type { Json } from '../inspection/frames.ts';
import { type HubOptions, InspectionHub } from '../inspection/hub.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../ports/clock.ts';
import type { AdminView } from './admin-server.ts';
import { SessionCrowd } from './session-crowd.ts';
import type { Sessions } from './sessions.ts';

/** A hub on another clock than the broker's sees it without a timer of its own among the broker's. */
export type MakeHub = (options: HubOptions) => InspectionHub;

export const newHub: MakeHub = (options) => new InspectionHub(options);

export interface BrokerHubOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sessions: Sessions;
  readonly view: AdminView;
  readonly version: string;
  /** Events may be sent to the broker's actors. */
  readonly send: boolean;
}

export function brokerHub({ clock, logger, sessions, view, version, send }: BrokerHubOptions): HubOptions {
  const supervisor = () => view.supervisor?.() ?? null;
  return {
    source: { name: 'sluice', version, pid: process.pid, startedAt: clock.now(), host: hostname() },
    actor: supervisor,
    may: { send, act: true },
    clock,
    facts: () => ({ status: view.status() as Json, shutdown: view.shutdown() as Json }),
    crowd: new SessionCrowd({
      sessions,
      parent: () => supervisor()?.system.get('gateway')?.sessionId ?? null,
    }),
    failed: (error, what) => logger.warn({ err: error, during: what }, 'inspection failed'),
  };
}
