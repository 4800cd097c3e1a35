/** The logger port: what the broker writes log lines through. `logger.ts` writes them out; tests record them. */

/** What a line says besides its message. Never a payload, never a token. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface LogLine {
  (message: string): void;
  /** `error` or `err` among the fields is written with its code and its causes. */
  (fields: LogFields, message: string): void;
}

export interface Logger {
  readonly trace: LogLine;
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
  /** A logger whose every line carries `fields`. */
  child(fields: LogFields): Logger;
}
