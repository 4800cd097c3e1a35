/**
 * Recordings: what a hub told, as JSON lines, in memory or in a file, to be opened later with no source at all. A
 * recording joins a hub like any viewer. Both kinds are bounded, and say when they have left something out.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { recordingHeader } from './frames.ts';
import type { Sink } from './viewer.ts';

const headerLine = JSON.stringify(recordingHeader);

/** What is wrong with the first line of a file that is to be a recording; null when nothing is. */
export function recordingFault(firstLine: string): string | null {
  const noRecording = `its first line is not ${headerLine}`;
  let header: unknown;
  try {
    header = JSON.parse(firstLine);
  } catch {
    // Whatever it is, it is no recording.
    return noRecording;
  }
  if (typeof header !== 'object' || header === null) return noRecording;
  const { sluice, v } = header as Readonly<Record<string, unknown>>;
  if (sluice !== recordingHeader.sluice) return noRecording;
  return v === recordingHeader.v ? null : `it is of version ${JSON.stringify(v)?.slice(0, 20)}; this reads version 1`;
}

/** Keeps what was told since the start, up to a number of bytes; what comes later is not kept, and `full` says so. */
export class MemoryRecording implements Sink {
  readonly bufferedBytes = 0;
  readonly #bytesMax: number;
  readonly #lines: string[] = [headerLine];
  #bytes = headerLine.length;
  #full = false;

  constructor(bytesMax = 64 * 1024 * 1024) {
    this.#bytesMax = bytesMax;
  }

  get full(): boolean {
    return this.#full;
  }

  send(text: string): void {
    if (this.#full || this.#bytes + text.length + 1 > this.#bytesMax) {
      this.#full = true;
      return;
    }
    this.#bytes += text.length + 1;
    this.#lines.push(text);
  }

  /** The whole recording. */
  get text(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

/**
 * Writes a new file, which must not be there yet. A disk that is slower than the source makes the hub leave frames out,
 * as for any viewer that does not read.
 */
export class FileRecording implements Sink {
  readonly #stream: WriteStream;
  #failure: Error | null = null;
  #bytes = 0;
  #batches = 0;

  private constructor(stream: WriteStream) {
    this.#stream = stream;
    stream.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  /** Rejects when the file is there already, or can't be made. */
  static async create(path: string): Promise<FileRecording> {
    const stream = createWriteStream(path, { flags: 'wx' });
    await new Promise<void>((resolve, reject) => {
      stream.once('open', () => resolve());
      stream.once('error', reject);
    });
    const recording = new FileRecording(stream);
    recording.#write(headerLine);
    return recording;
  }

  get bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  /** What kept it from being written; null while all is well. */
  get failure(): Error | null {
    return this.#failure;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get batches(): number {
    return this.#batches;
  }

  send(text: string): void {
    this.#batches += 1;
    this.#write(text);
  }

  /** Resolves when all is in the file; rejects with what kept it from that. */
  async end(): Promise<void> {
    if (this.#failure === null) {
      await new Promise<void>((resolve) => {
        this.#stream.once('close', () => resolve());
        this.#stream.end();
      });
    }
    if (this.#failure !== null) throw this.#failure;
  }

  #write(line: string): void {
    if (this.#failure !== null) return;
    this.#bytes += Buffer.byteLength(line) + 1;
    this.#stream.write(`${line}\n`);
  }
}
