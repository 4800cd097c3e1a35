/** The trace that `disk-trace.c` leaves: every call of a broker that changed its files, in order. */
import { readFileSync } from 'node:fs';

export type TraceEvent = {
  /** Position behind the record in the trace: what `fs.stat` of the trace said once the call was written down. */
  readonly end: number;
  /** Number of the call; what came back has that of what began. */
  readonly call: string;
} & (
  | {
      readonly is: 'open';
      readonly file: string;
      readonly path: string;
      readonly create: boolean;
      readonly cut: boolean;
    }
  | { readonly is: 'write'; readonly file: string; readonly position: number; readonly bytes: Buffer }
  /** `taken`: bytes, −1 for an error. */
  | { readonly is: 'written'; readonly taken: number; readonly durable: boolean }
  | { readonly is: 'size'; readonly file: string; readonly bytes: number }
  | { readonly is: 'sync'; readonly file: string }
  | { readonly is: 'synced'; readonly worked: boolean }
  | { readonly is: 'made' | 'removed'; readonly path: string }
  | { readonly is: 'renamed'; readonly path: string; readonly to: string }
);

const HEADER_BYTES = 32;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;

/** Reads a trace; paths are relative to `directory`, which itself is `.`. */
export function readTrace(path: string, directory: string): TraceEvent[] {
  const trace = readFileSync(path);
  const events: TraceEvent[] = [];
  for (let at = 0; at + HEADER_BYTES <= trace.length; ) {
    const end = at + HEADER_BYTES + trace.readUInt32LE(at);
    if (end > trace.length) break;
    events.push(readEvent(trace.subarray(at, end), end, directory));
    at = end;
  }
  return events;
}

function readEvent(record: Buffer, end: number, directory: string): TraceEvent {
  const process = record.readUInt32LE(8);
  const file = `${process}:${record.readUInt32LE(12)}`;
  const base = { end, call: `${process}:${record.readUInt32LE(16)}` };
  const position = Number(record.readBigInt64LE(24));
  const payload = record.subarray(HEADER_BYTES);
  const pathBytes = record.readUInt16LE(6);
  const path = relative(payload.toString('utf8', 0, pathBytes), directory);
  const what = String.fromCharCode(record.readUInt8(4));
  switch (what) {
    case 'o':
      return { ...base, is: 'open', file, path, create: (position & O_CREAT) !== 0, cut: (position & O_TRUNC) !== 0 };
    case 'w':
    case 'd':
      return { ...base, is: 'write', file, position, bytes: payload };
    case 'W':
    case 'D':
      return { ...base, is: 'written', taken: position, durable: what === 'D' };
    case 't':
      return { ...base, is: 'size', file, bytes: position };
    case 's':
      return { ...base, is: 'sync', file };
    case 'S':
      return { ...base, is: 'synced', worked: position === 0 };
    case 'm':
      return { ...base, is: 'made', path };
    case 'u':
      return { ...base, is: 'removed', path };
    case 'r':
      return { ...base, is: 'renamed', path, to: relative(payload.toString('utf8', pathBytes), directory) };
    default:
      throw new Error(`an unknown record in the trace: ${JSON.stringify(what)}`);
  }
}

function relative(path: string, directory: string): string {
  return path === directory ? '.' : path.slice(directory.length + 1);
}
