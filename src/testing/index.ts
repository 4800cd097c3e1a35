/**
 * `sluice/testing`: what tests of a program that uses Sluice need. `createTestBroker` is a whole broker without a file,
 * a socket or a clock of the system; its parts are here, too, for whoever puts one together another way.
 */
export type { Clock } from '../ports/clock.ts';
export type { Connection, Listen, Listener } from '../ports/connection.ts';
export type { Random } from '../ports/random.ts';
export type { AcquireDataLock } from '../storage/data-lock.ts';
export type { Disk, DiskFile } from '../storage/disk.ts';
export { MemoryLog } from '../storage/memory-log.ts';
export { DiskFaults, type HeldWrites } from './disk-faults.ts';
export { type CrashMode, DiskFault, type DiskHook, type DiskOp, MemoryDisk } from './memory-disk.ts';
export { MemoryMeta, type MemoryMetaDisk } from './memory-meta.ts';
export {
  type ClientRefusal,
  type DialOptions,
  type MemoryClient,
  type MemoryFrame,
  type MemoryNetwork,
  type MemoryWebSocket,
  type MemoryWebSocketConstructor,
  memoryNetwork,
} from './memory-sockets.ts';
export { ProcessClock } from './process-clock.ts';
export { type RecordedLine, RecordingLogger } from './recording-logger.ts';
export { seededRandom } from './seeded-random.ts';
export { SimulatedClock, settle } from './simulated-clock.ts';
export { type CrashOptions, createTestBroker, TestBroker, type TestBrokerOptions } from './test-broker.ts';
