/**
 * Errors of the command line itself: their codes, exit codes and how any error is printed. A command throws; `main`
 * prints once. Errors of the broker and of the client keep their own codes.
 */

/** Codes that are the command's own. `docs/cli.md` says what each means. */
export type FailureCode =
  /** The command line is wrong; exit 2. */
  | 'USAGE'
  /** Nothing answers at the address given. */
  | 'UNREACHABLE'
  /** What answers is not what was expected of it. */
  | 'UNEXPECTED_ANSWER'
  /** An input file or line cannot be read as asked. */
  | 'BAD_INPUT'
  /** The broker or the client refused a record. */
  | 'REFUSED'
  /** It was told to stop before it was done. */
  | 'INTERRUPTED'
  /** No group of that name has or had members. */
  | 'UNKNOWN_GROUP';

export const EXIT_OK = 0;
export const EXIT_ERROR = 1;
export const EXIT_USAGE = 2;

export interface FailureOptions {
  readonly cause?: unknown;
  /** What would help; printed on a line of its own. */
  readonly hint?: string;
  /** Exit code; 2 for USAGE and 1 for the others where it is not given. */
  readonly exit?: number;
}

export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly code: FailureCode;
  readonly hint: string | undefined;
  readonly exit: number;

  constructor(code: FailureCode, message: string, options: FailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.exit = options.exit ?? (code === 'USAGE' ? EXIT_USAGE : EXIT_ERROR);
  }
}

const hints: Readonly<Record<string, string>> = {
  UNAUTHENTICATED: 'Give the token by --token or SLUICE_TOKEN.',
  HELLO_REQUIRED: 'Give the token by --token or SLUICE_TOKEN.',
  UNKNOWN_TOPIC: 'Make it with `sluice topics create NAME`, or publish with --partitions N.',
  DATA_DIR_LOCKED: 'Stop that process first, or give this one another directory with --data.',
  DISK_FULL: 'Free some space; the broker takes publishes again by itself.',
  PRODUCER_TAKEN: 'Another publisher runs under the same --producer id.',
};

/** Exit code of anything thrown by a command. */
export function exitCodeOf(error: unknown): number {
  return error instanceof CommandFailure ? error.exit : EXIT_ERROR;
}

/**
 * An error as lines for standard error, without a final newline: `sluice publish: CODE: message`, a hint where there is
 * one, and with `verbose` its causes and stack.
 */
export function errorText(command: string, error: unknown, verbose: boolean): string {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const lines = [`${command}: ${code === null ? '' : `${code}: `}${message}`];
  const hint = (error instanceof CommandFailure ? error.hint : undefined) ?? (code === null ? undefined : hints[code]);
  if (hint !== undefined) lines.push(hint);
  if (verbose) lines.push(...causeLines(error));
  else if (code === null) lines.push('This is not an error that was foreseen; --verbose shows where it comes from.');
  return lines.join('\n');
}

function codeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const { code } = error as Error & { code?: unknown };
  return typeof code === 'string' ? code : null;
}

function causeLines(error: unknown): string[] {
  const lines: string[] = [];
  let at: unknown = error;
  for (let depth = 0; at !== undefined && depth < 8; depth += 1) {
    if (!(at instanceof Error)) {
      lines.push(`  cause: ${String(at)}`);
      break;
    }
    if (depth > 0) lines.push(`  cause: ${at.message}`);
    lines.push(...(at.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)));
    at = at.cause;
  }
  return lines;
}
