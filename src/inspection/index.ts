/** `sluice/inspect`: the console for any XState 5 actor system, and recordings of it. */
export type * from './frames.ts';
export { type Facts, type HubOptions, InspectionHub, type Seat } from './hub.ts';
export { type Inspection, type InspectOptions, inspect, type Recorder, record } from './inspect.ts';
export { FileRecording, MemoryRecording } from './recording.ts';
export type { Sink } from './viewer.ts';
