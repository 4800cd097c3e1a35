/**
 * What a command is: its name, its texts, its flags and what it does. One file a command; `registry.ts` lists them.
 * Parsing, `--help` and `docs/cli.md` all follow from this.
 */
import type { Terminal } from './terminal.ts';

interface FlagText {
  /** One sentence for `--help`. */
  readonly text: string;
  /** Why the default is what it is; where there is one worth a reason. */
  readonly reason?: string;
  /** Shown for the value: `N`, `FILE`. */
  readonly placeholder?: string;
  /** Variable that is read when the flag is absent. */
  readonly variable?: string;
}
export interface SwitchFlag extends FlagText {
  readonly kind: 'switch';
}
export interface TextFlag extends FlagText {
  readonly kind: 'text';
  readonly default?: string;
}
/** May be given several times. */
export interface ListFlag extends FlagText {
  readonly kind: 'list';
}
export interface ChoiceFlag extends FlagText {
  readonly kind: 'choice';
  readonly choices: readonly string[];
  readonly default?: string;
}
export interface NumberFlag extends FlagText {
  readonly kind: 'number';
  readonly unit: 'count' | 'bytes' | 'ms';
  readonly min: number;
  readonly max: number;
  readonly default?: number;
}
export type Flag = SwitchFlag | TextFlag | ListFlag | ChoiceFlag | NumberFlag;
export type Flags = Readonly<Record<string, Flag>>;

type Given<F extends Flag, V> = F extends { readonly default: unknown } ? V : V | undefined;

export type FlagValue<F extends Flag> = F extends SwitchFlag
  ? boolean
  : F extends ListFlag
    ? readonly string[]
    : F extends NumberFlag
      ? Given<F, number>
      : F extends { readonly choices: readonly (infer C)[] }
        ? Given<F, C>
        : Given<F, string>;

export interface Arguments<F extends Flags> {
  readonly positionals: readonly string[];
  readonly flags: { readonly [N in keyof F]: FlagValue<F[N]> };
}

/** The texts of a command, for `--help`. */
export interface CommandText {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What stands behind the name, a line a form: `<topic> [file…]`. */
  readonly forms: readonly string[];
  /** Paragraphs below the usage. */
  readonly about: readonly string[];
  readonly exits: readonly (readonly [code: string, meaning: string])[];
  readonly examples: readonly string[];
}

export interface Command extends CommandText {
  readonly flags: Flags;
  /** Text in place of the generated flags in `--help`; for `serve`, whose flags are the settings. */
  readonly flagHelp?: () => string;
  /** Resolves with the exit code. */
  readonly run: (argv: readonly string[], terminal: Terminal) => Promise<number>;
}

/** Exit codes that every command has. */
export const commonExits = [
  ['0', 'done'],
  ['1', 'an error, printed on standard error'],
  ['2', 'the command line is wrong'],
] as const;
