/**
 * What the page is about, as signals: the world that is shown, live or replayed, what is selected, and the pulse at which
 * views look again. Worlds are changed in place, tens of times a second; `pulse` tells views at most ten times a second.
 */
import { computed, signal } from '@preact/signals';
import type { Batch } from '../inspection/frames.ts';
import { Recording } from './recording.ts';
import { World } from './world.ts';

export type Link =
  /** No answer yet. */
  | 'connecting'
  | 'live'
  /** The source was there and is gone; the page tries again. */
  | 'lost'
  /** The source wants a token. */
  | 'locked'
  /** No source at all: a recording is shown. */
  | 'file';

/** What the flight recorder keeps, bytes. */
export const RECORDING_BYTES_MAX = 48 * 1024 * 1024;
const PULSE_MS = 100;

export const link = signal<Link>('connecting');
/** Goes up when what is shown has changed. */
export const pulse = signal(0);
export const live = signal(new World());
/** The run before, as far as this page saw it. */
export const previous = signal<World | null>(null);
export const recorder = signal(new Recording(RECORDING_BYTES_MAX));
export const isRecording = signal(true);
/** A recording that was opened from a file. */
export const opened = signal<{ readonly name: string; readonly recording: Recording } | null>(null);
/** The world at a moment of a recording; null while what is live is shown. */
export const replayed = signal<World | null>(null);
export const world = computed(() => replayed.value ?? live.value);
/** What the page has to say that no view does; read out. */
export const notice = signal<{ readonly text: string; readonly bad: boolean } | null>(null);

export const selectedId = signal<string | null>(null);
export const isFollowing = signal(false);

let due = false;
let pulsedAt = 0;

/** What is shown has changed: views will look. */
export function changed(): void {
  if (due) return;
  due = true;
  setTimeout(
    () => {
      due = false;
      pulsedAt = performance.now();
      follow();
      pulse.value += 1;
    },
    Math.max(PULSE_MS - (performance.now() - pulsedAt), 0),
  );
}

/** Takes a batch of the live source. */
export function take(batch: Batch, text: string): void {
  const hello = batch.frames.find((frame) => frame.type === 'hello');
  if (hello !== undefined) welcome(hello.source.pid, hello.source.startedAt);
  const now = live.value;
  if (isRecording.value) recorder.value.add(batch, text, now);
  now.apply(batch);
  if (replayed.value === null) changed();
}

/** The first frame of a connection: of the run that was seen before, or of another. */
function welcome(pid: number, startedAt: number): void {
  const { source } = live.value;
  if (source === null) return;
  if (source.pid === pid && source.startedAt === startedAt) return;
  live.value.close('another run has taken its place');
  previous.value = live.value;
  live.value = new World();
  selectedId.value = null;
}

/** The connection is gone: what was seen stays, and says so. */
export function lose(): void {
  if (link.value !== 'live') return;
  link.value = 'lost';
  live.value.close('the connection was lost');
  changed();
}

function follow(): void {
  const { lastChanged } = world.value;
  if (isFollowing.value && lastChanged !== null) selectedId.value = lastChanged;
}

export function say(text: string, bad = false): void {
  notice.value = { text, bad };
}
