/**
 * What `sluice publish` reads: files and standard input, as lines, JSON lines or whole files. A stream from end to end:
 * no more is read than was asked for, and what is held is bounded by one piece of a file and one line.
 */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { messageOf } from '../errors.ts';
import { CommandFailure } from './failure.ts';
import { type InputRecord, inputFault, jsonRecord, plainRecord, type RecordDefaults } from './input-record.ts';
import { LineSplitter, LineTooLong } from './line-splitter.ts';

/** Bytes read from a file at a time; the lines in it are published as one batch. */
const PIECE_BYTES = 128 * 1024;

export interface InputSource {
  /** As given; `-` is standard input. */
  readonly path: string;
  /** Null where it cannot be known beforehand. */
  readonly bytes: number | null;
}

export interface InputForm {
  readonly format: 'lines' | 'jsonl' | 'file';
  /** The byte that ends a line. */
  readonly lineEnd: number;
  readonly keepLineEnd: boolean;
  /** Most bytes of a line or a whole file as they are read. */
  readonly readBytesMax: number;
  /** Most bytes of key, headers and value of a record. */
  readonly recordBytesMax: number;
  readonly defaultsOf: (path: string) => RecordDefaults;
}

/** Records that were read together, and the bytes of input that they took. */
export interface InputPiece {
  readonly records: readonly InputRecord[];
  readonly bytes: number;
}

/** Looks at every input before anything is published. Rejects with BAD_INPUT that names all that cannot be read. */
export async function findInputs(paths: readonly string[]): Promise<InputSource[]> {
  const faults: string[] = [];
  const sources: InputSource[] = [];
  for (const path of paths.length === 0 ? ['-'] : paths) {
    if (path === '-') {
      sources.push({ path, bytes: null });
      continue;
    }
    try {
      const found = await stat(path);
      if (found.isDirectory()) faults.push(`${path} is a directory; give the files in it`);
      else sources.push({ path, bytes: found.isFile() ? found.size : null });
    } catch (error) {
      faults.push(messageOf(error));
    }
  }
  if (sources.filter((source) => source.path === '-').length > 1) faults.push('- (standard input) was given twice');
  if (faults.length > 0) throw new CommandFailure('BAD_INPUT', faults.join('\n  '));
  return sources;
}

/** Most bytes of a path in a list of files. */
const PATH_BYTES_MAX = 32 * 1024;
/** Most paths in all lists; about as much memory as a shell would need for them. */
const PATHS_MAX = 1_000_000;

/** The paths in lists of files, in order; empty lines are none. Rejects with BAD_INPUT. */
export async function readFileList(lists: readonly string[], lineEnd: number, stdin: Readable): Promise<string[]> {
  const paths: string[] = [];
  for (const source of await findInputs(lists)) {
    const splitter = new LineSplitter({ bytesMax: PATH_BYTES_MAX, end: lineEnd });
    const take = (line: Buffer): void => {
      if (line.length > 0) paths.push(line.toString('utf8'));
      if (paths.length > PATHS_MAX)
        throw new CommandFailure('BAD_INPUT', `more than ${PATHS_MAX} files; publish them in parts`);
    };
    try {
      const stream = source.path === '-' ? stdin : createReadStream(source.path);
      for await (const chunk of stream as AsyncIterable<Buffer>) for (const line of splitter.push(chunk)) take(line);
      const last = splitter.finish();
      if (last !== null) take(last);
    } catch (error) {
      throw inputFailure(source, 0, error);
    }
  }
  if (paths.includes('-')) {
    throw new CommandFailure(
      'BAD_INPUT',
      'a list of files cannot name standard input; write ./- for a file of that name',
    );
  }
  return paths;
}

/** All records in order. Rejects with BAD_INPUT that names file and line; ends early and in order once `stop` aborts. */
export async function* readInputs(
  sources: readonly InputSource[],
  form: InputForm,
  stdin: Readable,
  stop: AbortSignal,
): AsyncGenerator<InputPiece, void, undefined> {
  for (const source of sources) {
    if (stop.aborted) return;
    const defaults = form.defaultsOf(source.path);
    if (form.format === 'file') yield await readWhole(source, form, defaults, stdin);
    else yield* readLines(source, form, defaults, stdin, stop);
  }
}

async function* readLines(
  source: InputSource,
  form: InputForm,
  defaults: RecordDefaults,
  stdin: Readable,
  stop: AbortSignal,
): AsyncGenerator<InputPiece, void, undefined> {
  const splitter = new LineSplitter({ bytesMax: form.readBytesMax, end: form.lineEnd, keepEnd: form.keepLineEnd });
  let line = 0;
  const record = (bytes: Buffer): InputRecord => {
    line += 1;
    const place = `${nameOf(source)}:${line}`;
    return sound(
      form.format === 'jsonl' ? jsonRecord(bytes, defaults, place) : plainRecord(bytes, defaults, place),
      form,
    );
  };
  const stream = source.path === '-' ? stdin : createReadStream(source.path, { highWaterMark: PIECE_BYTES });
  const end = (): void => void stream.destroy();
  stop.addEventListener('abort', end, { once: true });
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const records: InputRecord[] = [];
      let fault: unknown = null;
      // What precedes a bad line in the same piece is still published: where it stops does not hang on piece borders.
      try {
        for (const bytes of splitter.push(chunk)) records.push(record(bytes));
      } catch (error) {
        fault = error;
      }
      yield { records, bytes: chunk.length };
      if (fault !== null) throw fault;
    }
    const last = stop.aborted ? null : splitter.finish();
    if (last !== null) yield { records: [record(last)], bytes: 0 };
  } catch (error) {
    if (!stop.aborted) throw inputFailure(source, line, error);
  } finally {
    stop.removeEventListener('abort', end);
    // An input left early would keep the process alive.
    stream.destroy();
  }
}

function sound(record: InputRecord, form: InputForm): InputRecord {
  const fault = inputFault(record, form.recordBytesMax);
  if (fault !== null) throw new TypeError(fault);
  return record;
}

function inputFailure(source: InputSource, line: number, error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error;
  if (error instanceof LineTooLong) {
    return new CommandFailure('BAD_INPUT', `${nameOf(source)}:${error.line}: ${error.message}, the most that is taken`);
  }
  const place = error instanceof TypeError ? `${nameOf(source)}:${line}` : nameOf(source);
  return new CommandFailure('BAD_INPUT', `${place}: ${messageOf(error)}`, { cause: error });
}

async function readWhole(
  source: InputSource,
  form: InputForm,
  defaults: RecordDefaults,
  stdin: Readable,
): Promise<InputPiece> {
  const tooLarge = (bytes: number): CommandFailure =>
    new CommandFailure(
      'BAD_INPUT',
      `${nameOf(source)}: ${bytes} bytes do not fit into one record of ${form.readBytesMax}`,
    );
  if (source.bytes !== null && source.bytes > form.readBytesMax) throw tooLarge(source.bytes);
  let value: Buffer;
  try {
    value = source.path === '-' ? await readAll(stdin, form.readBytesMax, tooLarge) : await readFile(source.path);
  } catch (error) {
    throw inputFailure(source, 0, error);
  }
  if (value.length > form.readBytesMax) throw tooLarge(value.length);
  const record = plainRecord(value, defaults, nameOf(source));
  const fault = inputFault(record, form.recordBytesMax);
  if (fault !== null) throw new CommandFailure('BAD_INPUT', `${record.place}: ${fault}`);
  return { records: [record], bytes: value.length };
}

async function readAll(stdin: Readable, bytesMax: number, tooLarge: (bytes: number) => Error): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(bytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function nameOf(source: InputSource): string {
  return source.path === '-' ? 'standard input' : source.path;
}
