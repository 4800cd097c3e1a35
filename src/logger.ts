/**
 * The log of the process: one JSON object per line, or, on a terminal, a line for people. Built once by the
 * composition root; everything else sees the `Logger` port.
 *
 * Guarantees: a line never holds a token or a payload field; a reader that stops reading costs at most `BUFFER_BYTES`
 * of memory and then lines, which are counted, and never blocks the broker; a reader that has gone is no error. There
 * is no worker thread, which could die or hang while the broker shuts down.
 */
import { pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { BrokerError } from './errors.ts';
import { type Clock, systemClock } from './ports/clock.ts';
import type { Logger } from './ports/logger.ts';

export type { LogFields, Logger, LogLine } from './ports/logger.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** What lines are written to: a part of `process.stdout`. */
export interface LogOutput {
  readonly isTTY?: boolean;
  /** Bytes taken and not yet passed on. */
  readonly writableLength: number;
  write(text: string): boolean;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'drain', listener: () => void): unknown;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Wall time of the lines; the system's without one. */
  readonly clock?: Pick<Clock, 'now'>;
  /** `process.stdout` by default. */
  readonly output?: LogOutput;
  /** Lines for people; by default when the output is a terminal. */
  readonly pretty?: boolean;
}

/** Most bytes that wait for a slow reader of the log. */
export const BUFFER_BYTES = 1024 * 1024;

/** Causes of an error that are written. */
const CAUSES_MAX = 8;

const secret = [
  'token',
  'adminToken',
  'authorization',
  'Authorization',
  'payload',
  'value',
  'records',
  'batch',
  'body',
];
const redactedPaths = secret.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** A number under one of these names is a count or a size, and stays. */
function redact(value: unknown): unknown {
  return typeof value === 'number' ? value : '[redacted]';
}

export function createLogger(options: LoggerOptions): Logger {
  const output = options.output ?? process.stdout;
  const pretty = options.pretty ?? output.isTTY === true;
  const clock = options.clock ?? systemClock;
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${timeOf(clock)}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: redactedPaths, censor: redact },
      serializers: { err: errorFields, error: errorFields },
    },
    boundedWriter(output, pretty ? prettyLine(output.isTTY === true) : null, clock),
  );
}

function timeOf(clock: Pick<Clock, 'now'>): string {
  return new Date(clock.now()).toISOString();
}

function prettyLine(colorize: boolean): (line: string) => string {
  return prettyFactory({
    colorize,
    colorizeObjects: false,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    errorLikeObjectKeys: [],
  });
}

/** Writes lines while the output keeps up; drops and counts them while it does not, and says how many. */
function boundedWriter(
  output: LogOutput,
  format: ((line: string) => string) | null,
  clock: Pick<Clock, 'now'>,
): { write(line: string): void } {
  let dropped = 0;
  let gone = false;
  const put = (line: string): void => {
    output.write(format === null ? line : format(line));
  };
  // Nobody reads the log any more (EPIPE). There is nowhere left to say so, and the broker goes on.
  output.on('error', () => {
    gone = true;
  });
  const report = (): void => {
    if (gone || dropped === 0) return;
    const fields = { level: 'warn', time: timeOf(clock), dropped, msg: 'log lines dropped' };
    dropped = 0;
    put(`${JSON.stringify(fields)}\n`);
  };
  return {
    write(line) {
      if (gone) return;
      if (output.writableLength <= BUFFER_BYTES) {
        put(line);
        return;
      }
      if (dropped === 0) output.once('drain', report);
      dropped += 1;
    },
  };
}

/** An error as a log line shows it. An operating error is named by its code; only a defect shows its stack. */
export function errorFields(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const isOperating = error instanceof BrokerError || typeof code === 'string';
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    message: error.message,
    ...(error.cause === undefined || depth >= CAUSES_MAX ? {} : { cause: errorFields(error.cause, depth + 1) }),
    ...(isOperating ? {} : { stack: error.stack }),
  };
}
