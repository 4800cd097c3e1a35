/**
 * A flight recorder: the newest batches as they came, within a bound in bytes, cut into segments. Each segment begins
 * with what a viewer would have been told at its start, so that any moment is rebuilt from one or two segments, and the
 * oldest can be let go. Written to and read from JSON lines: a header, then a batch a line.
 */
import type { Batch, MachineFrame } from '../inspection/frames.ts';
import { recordingHeader } from '../inspection/frames.ts';
import { shutdownOf } from './facts.ts';
import type { History } from './history.ts';
import type { ShutdownTrace } from './shutdown-trace.ts';
import { outerState } from './state-value.ts';
import { World } from './world.ts';

/** A segment is rebuilt in one go while somebody moves a slider: small enough to parse in some ten ms. */
const SEGMENT_BYTES_MAX = 1024 * 1024;
const SEGMENT_MS_MAX = 30_000;
/** A keyframe of thousands of actors is itself some hundred kB: not more often than this, unless a lot comes. */
const PHASES_MAX = 500;

interface Segment {
  readonly keyframe: Batch;
  readonly keyframeBytes: number;
  readonly history: History;
  readonly trace: ShutdownTrace;
  readonly batches: { readonly at: number; readonly text: string; readonly frames: number }[];
  bytes: number;
}

/** A moment of a recording: which segment, and how many of its batches are applied. */
export interface Position {
  readonly segment: number;
  readonly batch: number;
}

export interface PhaseMark {
  readonly at: number;
  readonly phase: string;
}

export class Recording {
  readonly machines = new Map<string, MachineFrame>();
  readonly #bytesMax: number;
  #segments: Segment[] = [];
  #dropped = 0;
  /** Phases of the source, and when each began. */
  phases: PhaseMark[] = [];
  bytes = 0;
  batches = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get from(): number | null {
    return this.#segments[0]?.batches[0]?.at ?? null;
  }

  get to(): number | null {
    return this.#segments.at(-1)?.batches.at(-1)?.at ?? null;
  }

  get empty(): boolean {
    return this.batches === 0;
  }

  /** Takes a batch and its text. `before`: the world that it has not been applied to yet. */
  add(batch: Batch, text: string, before: World): void {
    for (const frame of batch.frames) {
      if (frame.type === 'machine') this.#machine(frame);
      else if (frame.type === 'facts') this.#phase(frame.at, shutdownOf(frame.shutdown)?.phase);
      else if (frame.type === 'step' && isSupervisor(frame.id, before)) this.#phase(frame.at, outerState(frame.value));
    }
    let segment = this.#segments.at(-1);
    const first = segment?.batches[0]?.at ?? batch.at;
    if (segment === undefined || segment.bytes > SEGMENT_BYTES_MAX || batch.at - first > SEGMENT_MS_MAX) {
      segment = this.#newSegment(before);
    }
    segment.batches.push({ at: batch.at, text, frames: batch.frames.length });
    segment.bytes += text.length;
    this.bytes += text.length;
    this.batches += 1;
    this.#trim();
  }

  /** The world at `at`, with the events of the segment before, and where it stands. Null when nothing was recorded. */
  worldAt(at: number): { readonly world: World; readonly position: Position } | null {
    let index = this.#segments.findIndex(({ batches }) => (batches[0]?.at ?? 0) > at) - 1;
    if (index === -2) index = this.#segments.length - 1;
    index = Math.max(index, 0);
    const start = Math.max(index - 1, 0);
    const segment = this.#segments[start];
    if (segment === undefined) return null;
    const world = new World(this.machines);
    world.apply(segment.keyframe);
    world.history = segment.history.copy();
    world.trace = segment.trace.copy();
    const position = this.advance(world, { segment: start + this.#dropped, batch: 0 }, at);
    return { world, position };
  }

  /** Applies what came behind `position`, up to `at`. */
  advance(world: World, position: Position, at: number): Position {
    let { segment, batch } = position;
    // What it stood on was let go: it goes on with the oldest that is kept.
    if (segment < this.#dropped) [segment, batch] = [this.#dropped, 0];
    for (;;) {
      const current = this.#segments[segment - this.#dropped];
      const next = current?.batches[batch];
      if (next !== undefined) {
        if (next.at > at) break;
        world.apply(JSON.parse(next.text) as Batch);
        batch += 1;
      } else if (this.#segments[segment - this.#dropped + 1] !== undefined) [segment, batch] = [segment + 1, 0];
      else break;
    }
    return { segment, batch };
  }

  /** Frames in each of `bars` equal parts of the time recorded. */
  density(bars: number): number[] {
    const counts = new Array<number>(bars).fill(0);
    const { from, to } = this;
    if (from === null || to === null) return counts;
    const width = Math.max(to - from, 1) / bars;
    for (const { batches } of this.#segments) {
      for (const { at, frames } of batches) {
        const bar = Math.min(Math.floor((at - from) / width), bars - 1);
        counts[bar] = (counts[bar] ?? 0) + frames;
      }
    }
    return counts;
  }

  /** As lines of a file, the header first. */
  *lines(): Generator<string> {
    yield JSON.stringify(recordingHeader);
    const [first] = this.#segments;
    if (first === undefined) return;
    const [hello, ...others] = first.keyframe.frames;
    // Without one nothing came before: the first batch tells everything.
    if (hello !== undefined) {
      const at = first.batches[0]?.at ?? first.keyframe.at;
      const frames = [hello, ...this.machines.values(), ...others];
      yield JSON.stringify({ ...first.keyframe, at, frames } satisfies Batch);
    }
    for (const { batches } of this.#segments) {
      for (const { text } of batches) yield text;
    }
  }

  /** Told first with no picture, then with one: in the file it is drawn from the start. */
  #machine(frame: MachineFrame): void {
    if (frame.picture !== '' || !this.machines.has(frame.hash)) this.machines.set(frame.hash, frame);
  }

  #newSegment(before: World): Segment {
    const keyframe = before.keyframe();
    const keyframeBytes = keyframe.frames.length * 200;
    const { history, trace } = before;
    const segment = { keyframe, keyframeBytes, history: history.copy(), trace: trace.copy(), batches: [], bytes: 0 };
    this.#segments.push(segment);
    this.bytes += keyframeBytes;
    return segment;
  }

  #trim(): void {
    while (this.bytes > this.#bytesMax && this.#segments.length > 2) {
      const oldest = this.#segments.shift();
      if (oldest === undefined) return;
      this.bytes -= oldest.bytes + oldest.keyframeBytes;
      this.batches -= oldest.batches.length;
      this.#dropped += 1;
    }
  }

  /** By steps, which miss none however short it is, and by facts, for whoever came late. */
  #phase(at: number, phase: string | undefined): void {
    if (phase === undefined || this.phases.at(-1)?.phase === phase) return;
    this.phases.push({ at, phase });
    if (this.phases.length > PHASES_MAX) this.phases.shift();
  }
}

function isSupervisor(id: string, { actors, machines }: World): boolean {
  return machines.get(actors.get(id)?.machine ?? '')?.id === 'supervisor';
}
