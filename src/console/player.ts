/** Goes to any moment of a recording, plays it on from there, and comes back to what is live. */
import { computed, signal } from '@preact/signals';
import type { Position, Recording } from './recording.ts';
import { RecordingError, readRecording } from './recording-file.ts';
import { changed, link, live, opened, recorder, replayed, say, selectedId, world } from './store.ts';

export const speeds = [0.25, 1, 4, 16] as const;
const STEP_MS = 50;

/** The recording that the slider moves over. */
export const shownRecording = computed<Recording>(() => opened.value?.recording ?? recorder.value);
/** Moment that is shown, wall ms; null while what is live is. */
export const moment = signal<number | null>(null);
export const isPlaying = signal(false);
export const speed = signal<number>(1);
export const isOpening = signal(false);

let position: Position = { segment: 0, batch: 0 };
let timer: ReturnType<typeof setTimeout> | undefined;
let playedAt = 0;

/** Shows the recording at `at`; forwards from where it is that costs only what lies between. */
export function seek(at: number): void {
  const recording = shownRecording.value;
  const { from, to } = recording;
  if (from === null || to === null) return;
  const wanted = Math.min(Math.max(at, from), to);
  const now = replayed.value;
  if (now !== null && moment.value !== null && wanted >= moment.value && wanted - moment.value < 2000) {
    position = recording.advance(now, position, wanted);
  } else {
    const found = recording.worldAt(wanted);
    if (found === null) return;
    position = found.position;
    replayed.value = found.world;
  }
  moment.value = wanted;
  changed();
}

export function play(): void {
  const { from, to } = shownRecording.value;
  if (from === null || to === null) return;
  if (moment.value === null || moment.value >= to) seek(from);
  isPlaying.value = true;
  playedAt = performance.now();
  clearTimeout(timer);
  timer = setTimeout(step, STEP_MS);
}

export function pause(): void {
  isPlaying.value = false;
  clearTimeout(timer);
}

/** Back to what is live; with a file only, to its end. */
export function goLive(): void {
  pause();
  if (link.value === 'file') {
    seek(shownRecording.value.to ?? 0);
    return;
  }
  opened.value = null;
  moment.value = null;
  replayed.value = null;
  changed();
}

/** Opens a file, which then is what the page shows. Says what is wrong with it. */
export async function openRecording(name: string, body: ReadableStream<Uint8Array>): Promise<void> {
  isOpening.value = true;
  try {
    const recording = await readRecording(textOf(body));
    pause();
    opened.value = { name, recording };
    replayed.value = null;
    moment.value = null;
    selectedId.value = null;
    // At its end, which is what most recordings were made for; the slider is right there.
    seek(recording.to ?? 0);
    say(`Opened ${name}.`);
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error;
    say(`${name} can't be opened: ${error.message}`, true);
  } finally {
    isOpening.value = false;
  }
}

/** The file that the recording makes. */
export function recordingBlob(recording: Recording): Blob {
  const parts: string[] = [];
  for (const line of recording.lines()) parts.push(line, '\n');
  return new Blob(parts, { type: 'application/jsonl' });
}

/** `sluice-20261124-140509.jsonl` */
export function fileName(): string {
  const { source } = world.value;
  const at = new Date(shownRecording.value.to ?? Date.now()).toISOString().replace(/[-:]|\.\d+Z$/g, '');
  return `${(source?.name ?? live.value.source?.name ?? 'sluice').replace(/[^\w.-]+/g, '-').slice(0, 40)}-${at.replace('T', '-')}.jsonl`;
}

function step(): void {
  const now = performance.now();
  const { to } = shownRecording.value;
  const at = (moment.value ?? 0) + (now - playedAt) * speed.value;
  playedAt = now;
  seek(at);
  if (to === null || at >= to) {
    pause();
    return;
  }
  timer = setTimeout(step, STEP_MS);
}

async function* textOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield decoder.decode(value, { stream: true });
    }
    yield decoder.decode();
  } finally {
    await reader.cancel();
  }
}
