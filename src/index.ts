/** Sluice, embedded: a durable message broker as a value in your own process. */
export {
  Broker,
  type BrokerOptions,
  type BrokerParts,
  createBroker,
  type ShutdownReport,
  type StopOptions,
} from './broker.ts';
export { type Config, configSchema, defaults, type Setting, settings } from './config.ts';
export type { LocalClientOptions } from './embedding/local-clients.ts';
export type { GivenUp, Supervised, SupervisedState, SuperviseOptions } from './embedding/supervision.ts';
export { BrokerError, type ErrorCode, type ErrorRow, errorTable } from './errors.ts';
export type { LogFields, Logger } from './logger.ts';
export { version } from './version.ts';
