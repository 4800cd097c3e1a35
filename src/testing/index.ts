/** What tests of a program that uses Sluice need: a clock they move, sockets and stores in memory, faults on demand. */
export { MemoryMeta } from './memory-meta.ts';
export { type MemoryClient, type MemoryNetwork, memoryNetwork } from './memory-sockets.ts';
export { RecordingLogger } from './recording-logger.ts';
export { SimulatedClock, settle } from './simulated-clock.ts';
