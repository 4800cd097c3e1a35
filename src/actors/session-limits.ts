/** What a connection may do, as `welcome` tells it. */
import type { Config } from '../config.ts';
import { KEY_BYTES_MAX } from '../domain/record-batch.ts';
import type { Limits } from '../protocol/replies.ts';

export function limitsOf(config: Config): Limits {
  return {
    frameBytes: config.frameBytes,
    inFlightBytes: config.inFlightBytes,
    inFlightPublishes: config.inFlightPublishes,
    subscriptions: config.subscriptionsMax,
    topics: config.topicsMax,
    keyBytes: KEY_BYTES_MAX,
  };
}
