/**
 * Reads a command line by the flags of its command, on Node's `parseArgs`. Finds every fault in one go and says for
 * each what would be right; an unknown flag is never ignored.
 */
import { parseArgs } from 'node:util';
import { BYTES_FORM, MS_FORM, parseBytes, parseMs } from '../config-quantity.ts';
import { numberText } from '../config-value.ts';
import { didYouMean } from '../nearest-name.ts';
import type { Arguments, Flag, Flags, NumberFlag } from './command.ts';
import { CommandFailure } from './failure.ts';

/** Flags that every command has. */
export const commonFlags = {
  help: { kind: 'switch', text: 'Show this and exit.' },
  verbose: { kind: 'switch', text: 'Show causes and stacks of errors.' },
} as const satisfies Flags;

export interface PositionalRule {
  /** Names of those that must be there, in order. */
  readonly required: readonly string[];
  /** Most that may follow; Infinity for any number. */
  readonly more: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Throws CommandFailure USAGE that names every fault. */
export function parseArguments<const F extends Flags>(
  command: string,
  flags: F,
  rule: PositionalRule,
  argv: readonly string[],
  environment: Environment = {},
): Arguments<F> {
  const faults: string[] = [];
  const { given, positionals } = split({ ...commonFlags, ...flags }, argv, faults);
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(flags)) {
    const variable = flag.variable === undefined ? undefined : environment[flag.variable];
    const raw = given.get(name) ?? (variable === undefined || variable === '' ? undefined : [variable]);
    const place = given.has(name) ? `--${name}` : (flag.variable ?? `--${name}`);
    values[name] = raw === undefined ? absent(flag) : readFlag(flag, place, raw, faults);
  }
  const missing = rule.required.slice(positionals.length);
  if (missing.length > 0) faults.push(`<${missing.join('> <')}> is missing`);
  for (const extra of positionals.slice(rule.required.length + rule.more)) {
    faults.push(`${JSON.stringify(extra)}: one argument too many`);
  }
  if (faults.length > 0) throw usageFailure(command, faults);
  return { positionals, flags: values } as unknown as Arguments<F>;
}

export function usageFailure(command: string, faults: readonly string[]): CommandFailure {
  const message = faults.length === 1 ? (faults[0] ?? '') : `\n${faults.map((fault) => `  ${fault}`).join('\n')}`;
  return new CommandFailure('USAGE', message, { hint: `\`sluice ${command} --help\` shows what it takes.` });
}

function split(
  flags: Flags,
  argv: readonly string[],
  faults: string[],
): { given: Map<string, string[]>; positionals: string[] } {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [
      name,
      { type: flag.kind === 'switch' ? 'boolean' : 'string' } as const,
    ]),
  );
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  let unknownAt = Number.NaN;
  for (const token of tokens) {
    // A word behind an unknown flag is most likely its value: one fault, not two.
    if (token.kind === 'positional' && token.index !== unknownAt + 1) positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const { name, rawName, value } = token;
    const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
    if (flag === undefined || !rawName.startsWith('--')) {
      unknownAt = token.index;
      faults.push(
        `${rawName}: no such flag${didYouMean(
          rawName,
          Object.keys(flags).map((known) => `--${known}`),
        )}`,
      );
    } else if (flag.kind === 'switch') {
      if (value === undefined || /^(true|false)$/.test(value)) given.set(name, [value ?? 'true']);
      else faults.push(`${rawName}: got ${JSON.stringify(value)}; expected nothing, true or false`);
    } else if (value === undefined) faults.push(`${rawName}: needs a value`);
    else if (!token.inlineValue && value.startsWith('--')) {
      faults.push(`${rawName}: needs a value; got the flag ${value} (write ${rawName}=${value} if it is the value)`);
    } else given.set(name, [...(given.get(name) ?? []), value]);
  }
  return { given, positionals };
}

function absent(flag: Flag): unknown {
  if (flag.kind === 'switch') return false;
  if (flag.kind === 'list') return [];
  return flag.default;
}

/** The last of repeated values counts; a list keeps them all. */
function readFlag(flag: Flag, place: string, raw: readonly string[], faults: string[]): unknown {
  const last = raw[raw.length - 1] ?? '';
  switch (flag.kind) {
    case 'list':
      return raw;
    case 'text':
      return last;
    case 'switch':
      return last !== 'false';
    case 'choice':
      if (flag.choices.includes(last)) return last;
      faults.push(
        `${place}: got ${JSON.stringify(last)}; expected one of ${flag.choices.join(', ')}${didYouMean(last, flag.choices)}`,
      );
      return undefined;
    case 'number': {
      const value = readNumber(flag, last);
      if (value !== null && value >= flag.min && value <= flag.max) return value;
      faults.push(`${place}: got ${JSON.stringify(last)}; expected ${numberForm(flag)}`);
      return undefined;
    }
  }
}

function readNumber(flag: NumberFlag, text: string): number | null {
  if (flag.unit === 'bytes') return parseBytes(text);
  if (flag.unit === 'ms') return parseMs(text);
  return /^\d{1,16}$/.test(text) ? Number(text) : null;
}

export function numberForm(flag: NumberFlag): string {
  const noun = { count: 'a whole number', bytes: BYTES_FORM, ms: MS_FORM }[flag.unit];
  if (flag.max === Number.MAX_SAFE_INTEGER) return `${noun}, at least ${numberText(flag.unit, flag.min)}`;
  return `${noun}, from ${numberText(flag.unit, flag.min)} to ${numberText(flag.unit, flag.max)}`;
}
