/** A logger that keeps its lines, for tests. Children share the lines of the logger that they come from. */
import type { LogFields, Logger, LogLine } from '../ports/logger.ts';

export type RecordedLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

export interface RecordedLine {
  readonly level: RecordedLevel;
  /** Those of the logger's ancestors, then its own, then the line's. */
  readonly fields: LogFields;
  readonly message: string;
}

export class RecordingLogger implements Logger {
  /** Oldest first. */
  readonly lines: RecordedLine[];
  readonly #fields: LogFields;
  readonly trace: LogLine;
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;

  constructor(lines: RecordedLine[] = [], fields: LogFields = {}) {
    this.lines = lines;
    this.#fields = fields;
    this.trace = this.#line('trace');
    this.debug = this.#line('debug');
    this.info = this.#line('info');
    this.warn = this.#line('warn');
    this.error = this.#line('error');
  }

  child(fields: LogFields): RecordingLogger {
    return new RecordingLogger(this.lines, { ...this.#fields, ...fields });
  }

  /** Messages of one level, or of all. */
  messages(level?: RecordedLevel): string[] {
    return this.lines.filter((line) => level === undefined || line.level === level).map((line) => line.message);
  }

  #line(level: RecordedLevel): LogLine {
    return (fieldsOrMessage: LogFields | string, message?: string): void => {
      const isMessage = typeof fieldsOrMessage === 'string';
      this.lines.push({
        level,
        fields: { ...this.#fields, ...(isMessage ? {} : fieldsOrMessage) },
        message: isMessage ? fieldsOrMessage : (message ?? ''),
      });
    };
  }
}
