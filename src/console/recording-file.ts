/** Reads a recording from lines, checking each; what is wrong is said with its line. Gives the page time in between. */
import type { Batch } from '../inspection/frames.ts';
import { isBatch } from './frame-check.ts';
import { Recording } from './recording.ts';
import { World } from './world.ts';

/** Largest file that is read, bytes: the page keeps it in memory. */
export const FILE_BYTES_MAX = 256 * 1024 * 1024;
/** Longest that it works without giving the page a turn, ms. */
const TURN_MS = 30;

export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

/**
 * Throws RecordingError when the text is no recording, or too large. A last line that was cut, as a kill leaves it, is
 * passed over.
 */
export async function readRecording(chunks: AsyncIterable<string>): Promise<Recording> {
  const recording = new Recording(Number.POSITIVE_INFINITY);
  const world = new World();
  let line = 0;
  let rest = '';
  let bytes = 0;
  let turn = performance.now();
  const take = (text: string, last: boolean): void => {
    line += 1;
    if (text.trim() === '') return;
    if (line === 1) {
      checkHeader(text);
      return;
    }
    const batch = parsedBatch(text, line, last);
    if (batch === null) return;
    recording.add(batch, text, world);
    world.apply(batch);
  };
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > FILE_BYTES_MAX) throw new RecordingError(`larger than ${FILE_BYTES_MAX / 1024 / 1024} MiB`);
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    // Before all of a wrong file is gathered as one line.
    if (line === 0 && lines.length === 0 && rest.length > 4096) throw new RecordingError(noRecording);
    for (const text of lines) {
      take(text, false);
      if (performance.now() - turn < TURN_MS) continue;
      await new Promise((resolve) => setTimeout(resolve, 0));
      turn = performance.now();
    }
  }
  if (rest !== '') take(rest, true);
  if (line === 0) throw new RecordingError('the file is empty');
  if (recording.empty) throw new RecordingError('the recording has no batches');
  return recording;
}

const noRecording = 'this is no recording of sluice: its first line is not {"sluice":"recording","v":1}';

function checkHeader(text: string): void {
  const header = parsed(text);
  if (!isObject(header) || header['sluice'] !== 'recording') throw new RecordingError(noRecording);
  if (header['v'] !== 1) {
    throw new RecordingError(`a recording of version ${String(header['v']).slice(0, 20)}; this page reads version 1`);
  }
}

function parsedBatch(text: string, line: number, last: boolean): Batch | null {
  const batch = parsed(text);
  if (batch === undefined) {
    if (last) return null;
    throw new RecordingError(`line ${line} is not JSON`);
  }
  if (!isBatch(batch)) throw new RecordingError(`line ${line} is no batch`);
  return batch;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
