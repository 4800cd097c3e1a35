import { describe, expect, it } from 'vitest';
import { parseArguments } from '../../src/cli/arguments.ts';
import type { Flags } from '../../src/cli/command.ts';
import { CommandFailure } from '../../src/cli/failure.ts';

const flags = {
  format: { kind: 'choice', choices: ['lines', 'jsonl'], default: 'lines', text: '' },
  mode: { kind: 'choice', choices: ['soft', 'hard'], text: '' },
  header: { kind: 'list', text: '' },
  count: { kind: 'number', unit: 'count', min: 1, max: 100, text: '' },
  size: { kind: 'number', unit: 'bytes', min: 1, max: Number.MAX_SAFE_INTEGER, default: 10, text: '' },
  time: { kind: 'number', unit: 'ms', min: 0, max: 60_000, text: '' },
  url: { kind: 'text', default: 'ws://here', variable: 'X_URL', text: '' },
  name: { kind: 'text', text: '' },
  json: { kind: 'switch', text: '' },
} as const satisfies Flags;

const any = { required: [], more: Number.POSITIVE_INFINITY };

function message(argv: readonly string[], rule: Parameters<typeof parseArguments>[2] = any, environment = {}): string {
  try {
    parseArguments('thing', flags, rule, argv, environment);
  } catch (error) {
    expect(error).toBeInstanceOf(CommandFailure);
    expect((error as CommandFailure).code).toBe('USAGE');
    expect((error as CommandFailure).exit).toBe(2);
    return (error as CommandFailure).message;
  }
  throw new Error('the command line was taken');
}

describe('parseArguments', () => {
  it('gives defaults, absent values and empty lists', () => {
    expect(parseArguments('thing', flags, any, []).flags).toEqual({
      format: 'lines',
      mode: undefined,
      header: [],
      count: undefined,
      size: 10,
      time: undefined,
      url: 'ws://here',
      name: undefined,
      json: false,
    });
  });

  it('reads every kind, in either form', () => {
    const { flags: given, positionals } = parseArguments('thing', flags, any, [
      'topic',
      '--format=jsonl',
      '--header',
      'a=1',
      '--header=b=2',
      '--count',
      '7',
      '--size=64KiB',
      '--time',
      '20s',
      '--json',
      '-',
      '--',
      '--file',
    ]);
    expect(given).toMatchObject({
      format: 'jsonl',
      header: ['a=1', 'b=2'],
      count: 7,
      size: 65_536,
      time: 20_000,
      json: true,
    });
    expect(positionals).toEqual(['topic', '-', '--file']);
  });

  it('reads the variable of a flag where the flag is absent or the variable is not empty', () => {
    expect(parseArguments('thing', flags, any, [], { X_URL: 'ws://there' }).flags.url).toBe('ws://there');
    expect(parseArguments('thing', flags, any, [], { X_URL: '' }).flags.url).toBe('ws://here');
    expect(parseArguments('thing', flags, any, ['--url', 'ws://x'], { X_URL: 'ws://there' }).flags.url).toBe('ws://x');
  });

  it.each([
    [['--formt', 'x'], /^--formt: no such flag; did you mean --format\?/],
    [['-j'], /^-j: no such flag/],
    [['--format', 'line'], /^--format: got "line"; expected one of lines, jsonl; did you mean lines\?$/],
    [['--count', '0'], /^--count: got "0"; expected a whole number, from 1 to 100$/],
    [['--count', '1.5'], /^--count: got "1.5"/],
    [['--count'], /^--count: needs a value$/],
    [['--count', '--json'], /^--count: needs a value; got the flag --json \(write --count=--json/],
    [['--size', '64M'], /^--size: got "64M"; expected a size such as .*, at least 1B$/],
    [['--time', '2m'], /^--time: got "2m"; expected a duration such as .*, from 0ms to 1m$/],
    [['--json=maybe'], /^--json: got "maybe"; expected nothing, true or false$/],
  ])('names what is wrong with %j', (argv, pattern) => expect(message(argv)).toMatch(pattern));

  it('names the variable where the variable is wrong', () => {
    const variable = { port: { kind: 'number', unit: 'count', min: 1, max: 9, variable: 'X_PORT', text: '' } } as const;
    expect(() => parseArguments('thing', variable, any, [], { X_PORT: 'x' })).toThrow(/^X_PORT: got "x"/);
  });

  it('names arguments that are missing or too many', () => {
    expect(message([], { required: ['topic', 'file'], more: 0 })).toBe('<topic> <file> is missing');
    expect(message(['a', 'b', 'c'], { required: ['topic'], more: 1 })).toBe('"c": one argument too many');
  });

  it('tells all faults at once', () => {
    const lines = message(['--bogus', '--count', 'x'], { required: ['topic'], more: 0 })
      .trim()
      .split('\n');
    expect(lines).toHaveLength(3);
  });
});

describe('a flag by the name of a property that every object has', () => {
  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('is as unknown as any other: --%s', (name) => {
    expect(message([`--${name}`])).toContain(`--${name}: no such flag`);
    expect(message([`--${name}=1`])).toContain(`--${name}: no such flag`);
  });
});
