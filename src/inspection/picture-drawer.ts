/**
 * Pictures of charts, drawn once per chart and process, one at a time, in a thread of its own: drawing takes up to a
 * second, and the loop that asks may be one that serves clients. The thread starts with the first chart and ends when
 * nothing is left to draw. A chart that takes too long, or can't be drawn, has the empty picture.
 */
import { Worker } from 'node:worker_threads';
import { messageOf } from '../errors.ts';
import type { ChartDefinition } from './frames.ts';
import { drawPicture } from './picture.ts';
import type { DrawAnswer, DrawRequest } from './picture-thread.ts';

/** Longest time for one picture, ms. */
const DRAW_MS = 15_000;
/** Pictures kept; those drawn first are forgotten first. */
const KEPT_MAX = 200;

/** In a process that runs the sources, a thread could not load them: it draws where it is. */
const thread = import.meta.url.endsWith('.js') ? new URL('./picture-thread.js', import.meta.url) : null;

const kept = new Map<string, Promise<string>>();
let last: Promise<unknown> = Promise.resolve();
let worker: Worker | null = null;
let waiting = 0;
let over = false;

/** Tells once why a chart has no picture. */
export type DrawFailed = (why: string) => void;

/** The picture of a chart. Never rejects: '' when there is none, and `failed` says why. */
export function pictureOf(hash: string, definition: ChartDefinition, failed: DrawFailed): Promise<string> {
  const known = kept.get(hash);
  if (known !== undefined) return known;
  waiting += 1;
  const drawn = last
    .then(() => (thread === null ? drawPicture(definition) : drawInThread({ hash, definition }, thread)))
    .catch((error: unknown) => {
      failed(`the chart of ${definition.id} could not be drawn: ${messageOf(error)}`);
      return '';
    })
    .finally(() => {
      waiting -= 1;
      if (waiting === 0) endThread();
    });
  last = drawn;
  kept.set(hash, drawn);
  const [oldest] = kept.keys();
  if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest);
  return drawn;
}

/**
 * Draws no more, for a process that is about to end: resolves when the thread is gone. What a thread compiles can't be
 * broken off, and a process that ends waits for its threads.
 */
export async function endDrawing(): Promise<void> {
  over = true;
  const ending = worker;
  worker = null;
  await ending?.terminate();
}

function drawInThread(request: DrawRequest, file: URL): Promise<string> {
  if (over) return Promise.reject(new Error('the process ends'));
  const drawing = worker ?? startThread(file);
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      drawing.off('message', onMessage);
      drawing.off('error', onError);
      drawing.off('exit', onExit);
      act();
    };
    const fail = (why: unknown): void => {
      settle(() => reject(why));
      endThread();
    };
    const onMessage = ({ picture, error }: DrawAnswer): void => {
      settle(() => (error === null ? resolve(picture) : reject(new Error(error))));
    };
    const onError = (error: unknown): void => fail(error);
    const onExit = (): void => fail(new Error('the thread that draws ended'));
    const timer = setTimeout(() => fail(new Error(`it took over ${DRAW_MS} ms`)), DRAW_MS);
    timer.unref();
    drawing.on('message', onMessage);
    drawing.on('error', onError);
    drawing.on('exit', onExit);
    drawing.postMessage(request);
  });
}

function startThread(file: URL): Worker {
  worker = new Worker(file);
  // It keeps no process from ending.
  worker.unref();
  // An error that comes when nothing is drawn is of no more use; the next picture starts another thread.
  worker.on('error', () => endThread());
  return worker;
}

function endThread(): void {
  const ending = worker;
  worker = null;
  // It holds nothing that would have to be waited for.
  void ending?.terminate();
}
