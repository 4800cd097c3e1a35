/**
 * The pictures that a recording lacks: one that ended before its charts were drawn has them without. Drawn when it is
 * opened, and told in a last batch. Used by `sluice replay`.
 */
import type { Batch, MachineFrame } from './frames.ts';
import { pictureOf } from './picture-drawer.ts';

/** Most charts that are drawn for one recording. */
const CHARTS_MAX = 500;
const machineMark = '"type":"machine"';

/** Passes lines on, then adds one with what is missing. A last line that was cut short is left out. */
export async function* withPictures(
  lines: AsyncIterable<string>,
  failed: (why: string) => void,
): AsyncGenerator<string> {
  const bare = new Map<string, MachineFrame>();
  let before: string | null = null;
  let last: string | null = null;
  for await (const line of lines) {
    if (last !== null) yield last;
    [before, last] = [last, line];
    if (line.includes(machineMark)) noteMachines(parsed(line), bare);
  }
  const end = parsed(last);
  if (last !== null && end !== null) yield last;
  const frames: MachineFrame[] = [];
  for (const machine of bare.values()) {
    const picture = await pictureOf(machine.hash, machine.definition, failed);
    if (picture !== '') frames.push({ ...machine, picture });
  }
  if (frames.length === 0) return;
  const { at = 0, seq = -1, dropped = 0 } = end ?? parsed(before) ?? {};
  yield JSON.stringify({ v: 1, seq: seq + 1, at, dropped, frames } satisfies Batch);
}

function noteMachines(batch: Partial<Batch> | null, bare: Map<string, MachineFrame>): void {
  for (const frame of Array.isArray(batch?.frames) ? batch.frames : []) {
    if (frame?.type !== 'machine' || typeof frame.hash !== 'string') continue;
    if (frame.picture !== '') bare.delete(frame.hash);
    else if (bare.size < CHARTS_MAX) bare.set(frame.hash, frame);
  }
}

function parsed(line: string | null): Partial<Batch> | null {
  if (line === null) return null;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : null;
  } catch {
    // Whoever reads the recording says what is wrong with it.
    return null;
  }
}
