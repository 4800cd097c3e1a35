/** The gateway as a session sees it. Types alone. */
import type { Config } from '../config.ts';
import type { Logger } from '../logger.ts';
import type { Clock } from '../ports/clock.ts';
import type { Catalogue } from '../shard/catalogue.ts';
import type { ShardTable } from '../shard/shard-table.ts';
import type { FlightMeter } from './flight-meter.ts';
import type { Groups } from './groups.ts';
import type { Session } from './session.ts';
import type { TextCache } from './text-cache.ts';

/** What all sessions of a gateway share. */
export interface SessionHost {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly shards: ShardTable;
  readonly catalogue: Catalogue;
  readonly groups: Groups;
  readonly meter: FlightMeter;
  readonly texts: TextCache;
  readonly brokerName: string;
  readonly draining: boolean;
  /** The session publishes under this id from now on; whoever did before is closed with 4001. */
  claimProducer(producer: string, session: Session): void;
  /** The session publishes no more under the id that it has. */
  releaseProducer(session: Session): void;
  closed(session: Session): void;
}
