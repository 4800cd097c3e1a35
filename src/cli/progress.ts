/**
 * The progress of a `publish` on a terminal: records and bytes acknowledged, the rate, acks outstanding. Nothing is
 * drawn where standard error is no terminal. Drawn over one line and taken away at the end, so that the summary stands
 * alone.
 */
import { SingleBar } from 'cli-progress';
import type { PublishWindow } from './publish-window.ts';
import { countText, roughBytes, roughMs } from './table.ts';

const REDRAW_MS = 100;

export class Progress {
  readonly #bar: SingleBar | null;
  readonly #totalBytes: number | null;
  readonly #startedAt: number;
  readonly #now: () => number;
  #drawnAt = Number.NEGATIVE_INFINITY;

  /** `totalBytes`: size of all inputs, null when it cannot be known. `now`: monotonic ms. */
  constructor(stream: NodeJS.WriteStream | null, totalBytes: number | null, now: () => number) {
    this.#now = now;
    this.#startedAt = now();
    this.#totalBytes = totalBytes;
    this.#bar =
      stream === null
        ? null
        : new SingleBar({
            stream,
            format: totalBytes === null ? '{line}' : '{bar} {percentage}% | {line} | {left}',
            clearOnComplete: true,
            hideCursor: true,
            barsize: 24,
            barCompleteChar: '█',
            barIncompleteChar: '░',
            forceRedraw: true,
            // Its own signal handler would end the process before the acks are in.
            gracefulExit: false,
          });
    this.#bar?.start(totalBytes ?? 1, 0, { line: '', left: '' });
  }

  /** Shows where things stand. `readBytes`: input read so far, which is what the bar is drawn from. Cheap when called often. */
  show(window: PublishWindow, readBytes: number): void {
    const now = this.#now();
    if (this.#bar === null || now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    const elapsedMs = Math.max(1, now - this.#startedAt);
    const total = this.#totalBytes;
    this.#bar.update(total === null ? 0 : Math.min(readBytes, total), {
      line: progressLine(window, elapsedMs),
      left: total === null || readBytes === 0 ? '' : `${roughMs((elapsedMs * (total - readBytes)) / readBytes)} left`,
    });
  }

  /** Takes the line away. */
  stop(): void {
    this.#bar?.stop();
  }
}

export function progressLine(window: PublishWindow, elapsedMs: number): string {
  const rate = roughBytes((window.ackedBytes * 1000) / elapsedMs);
  return `${countText(window.acked)} records | ${rate}/s | ${countText(window.outstanding)} acks outstanding`;
}
