/** What the operator writes: configuration from file, environment and flags; command lines; sizes and durations. */
import { parseArguments } from '../../../src/cli/arguments.ts';
import { CommandFailure } from '../../../src/cli/failure.ts';
import { jsonRecord } from '../../../src/cli/input-record.ts';
import { parseFrom } from '../../../src/cli/start-position.ts';
import { settings } from '../../../src/config.ts';
import { completeConfig, type LoadedConfig, loadConfig } from '../../../src/config-loader.ts';
import { flagOf, settingNames, variableOf } from '../../../src/config-name.ts';
import { formatBytes, formatMs, parseBytes, parseMs } from '../../../src/config-quantity.ts';
import { jsonMutator } from '../mutation.ts';
import { about, bytesOf, holds, refusal, type SyncTarget, sameJson } from '../target.ts';

const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'];
const values = [
  '0',
  '-1',
  '1',
  '7070',
  '65536',
  '64MiB',
  '1.5KB',
  '20s',
  '7d',
  'true',
  'off',
  'sync',
  'debug',
  '',
  '*',
  'é',
];

/** Parts divided by NUL: the file, variables one a line, flags one a line. */
function partsOf(input: Uint8Array): [file: string, variables: string[], flags: string[]] {
  const [file = '', variables = '', flags = ''] = Buffer.from(input).toString().split('\0');
  return [file, variables.split('\n').filter(Boolean), flags.split('\n').filter(Boolean)];
}

const flagNames = settingNames.flatMap((name) =>
  settings[name].kind === 'switch' ? [flagOf(name), `--no-${flagOf(name).slice(2)}`] : [flagOf(name)],
);

/** Names of flags as they are given, up to the end of flags. */
function flagsGiven(argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  const before = end < 0 ? argv : argv.slice(0, end);
  // What stands behind a flag may be its value.
  return before
    .filter((word, at) => word.startsWith('--') && (at === 0 || !argv[at - 1]?.startsWith('--')))
    .map((word) => word.split('=', 1)[0] as string);
}

export const configuration: SyncTarget = {
  name: 'configuration',
  seeds: () => [
    bytesOf('{"port": 0, "flushMs": "20ms", "origins": ["http://a"], "autoCreate": false}\0SLUICE_SHARDS=2\0--port=1'),
    bytesOf(
      '\0SLUICE_GROUP_BYTES=2MiB\nSLUICE_PORT=tcp://10.0.0.1:7070\nSLUICE_ORIGINS=a, b\0--no-auto-create\n--origins\nx',
    ),
    bytesOf('{"$schema":"x","adminHost":"0.0.0.0"}\0SLUICE_ADMIN_TOKEN=secret\0--frame-bytes=64KiB'),
  ],
  dictionary: [
    ...names.flatMap((name) => [name, `--${name}`, `--${name}=1`, `"${name}":1`, `SLUICE_${name.toUpperCase()}=1`]),
    ...settingNames.map((name) => `"${name}":`),
    ...flagNames,
    ...settingNames.map((name) => `${variableOf(name)}=`),
    ...values,
    '\0',
    '\n',
    '=',
    '--',
    '{',
    '}',
    ',',
  ], // prettier-ignore
  bytesMax: 1024,
  run: (input) => {
    const [file, variables, argv] = partsOf(input);
    const environment: Record<string, string> = Object.create(null);
    for (const line of variables) {
      const equals = line.indexOf('=');
      if (equals > 0) environment[line.slice(0, equals)] = line.slice(equals + 1);
    }
    if (file !== '') environment['SLUICE_CONFIG'] = 'fuzz.json';
    let loaded: LoadedConfig;
    try {
      loaded = loadConfig({ argv, environment, readFile: () => file });
    } catch (error) {
      const code = refusal(error, ['CONFIG_INVALID']);
      holds(!(error as Error).message.includes('undefined'), 'a fault says what was given');
      return `${code} ${about((error as Error).message.split('\n').length)}`;
    }
    for (const flag of flagsGiven(argv)) {
      holds(
        flag === '--' || flag === '--config' || flagNames.includes(flag),
        `an unknown flag is never ignored: ${flag}`,
      );
    }
    const { config, origins } = loaded;
    holds(sameJson(completeConfig(config), config), 'a configuration is one when it is given whole');
    holds(Object.getPrototypeOf(config) === Object.prototype, 'a configuration is a plain object');
    return `given ${[...origins.values()].filter((origin) => origin !== 'default').length}`;
  },
};

const flags = {
  from: { kind: 'text', default: undefined, text: '' },
  wait: { kind: 'number', unit: 'ms', min: 0, max: 1000, default: 5, text: '' },
  size: { kind: 'number', unit: 'bytes', min: 1, max: 2 ** 40, default: undefined, text: '' },
  max: { kind: 'number', unit: 'count', min: 0, max: 10, default: undefined, text: '' },
  header: { kind: 'list', text: '' },
  quiet: { kind: 'switch', text: '' },
  format: { kind: 'choice', choices: ['text', 'jsonl'], default: 'text', text: '' },
} as const;

export const commandLine: SyncTarget = {
  name: 'command-line',
  seeds: () => [
    bytesOf('--wait=5ms\n--header\na=b\ntopic\n--quiet'),
    bytesOf('topic\n--size\n1KiB\n--format=jsonl\n--max=3'),
  ],
  dictionary: [
    ...names.flatMap((name) => [`--${name}`, `--${name}=1`]),
    ...Object.keys(flags).map((name) => `--${name}`),
    ...values,
    '\n',
    '=',
    '--',
    '-',
    '--help',
    '--verbose',
  ], // prettier-ignore
  bytesMax: 512,
  run: (input) => {
    const argv = Buffer.from(input).toString().split('\n').filter(Boolean);
    try {
      const read = parseArguments('subscribe', flags as never, { required: ['topic'], more: 1 }, argv) as unknown as {
        positionals: string[];
        flags: Record<string, unknown>;
      };
      const known = ['--help', '--verbose', ...Object.keys(flags).map((name) => `--${name}`)];
      for (const flag of flagsGiven(argv))
        holds(flag === '--' || known.includes(flag), `an unknown flag is ignored: ${flag}`);
      holds(read.positionals.length >= 1 && read.positionals.length <= 2, 'as many arguments as may be');
      const { wait, size, max, format } = read.flags as Record<string, number & string>;
      holds(wait === undefined || (wait >= 0 && wait <= 1000), 'a number is in its bounds');
      holds(size === undefined || Number.isSafeInteger(size), 'a size is a whole number');
      holds(max === undefined || (max >= 0 && max <= 10), 'a count is in its bounds');
      holds(format === 'text' || format === 'jsonl', 'a choice is one of them');
      return `flags ${argv.length > 4}`;
    } catch (error) {
      if (error instanceof CommandFailure && error.code === 'USAGE') return 'USAGE';
      throw error;
    }
  },
};

export const quantity: SyncTarget = {
  name: 'quantity',
  seeds: () =>
    ['64MiB', '1.5KB', '250ms', '7d', '9007199254740991', 'offset:5', 'time:2026-01-31T12:00:00Z', 'last:3'].map(
      bytesOf,
    ),
  dictionary: [
    'KiB',
    'GB',
    'tib',
    'h',
    'm',
    's',
    'd',
    '.',
    ' ',
    '0',
    '9007199254740992',
    'offset:',
    'time:',
    'last:',
    'Z',
    '+01:00',
  ],
  bytesMax: 64,
  run: (input) => {
    const text = Buffer.from(input).toString();
    const size = parseBytes(text);
    const ms = parseMs(text);
    for (const number of [size, ms])
      holds(number === null || (Number.isSafeInteger(number) && number >= 0), 'a whole number');
    if (size !== null) holds(parseBytes(formatBytes(size)) === size, 'a size as written reads the same');
    if (ms !== null) holds(parseMs(formatMs(ms)) === ms, 'a duration as written reads the same');
    const from = parseFrom(text);
    if (typeof from === 'object' && from !== null) {
      holds(
        Object.values(from).every((number) => Number.isSafeInteger(number) && number >= 0),
        'a place is a number',
      );
    }
    return `${size !== null} ${ms !== null} ${typeof from === 'object' && from !== null ? Object.keys(from)[0] : from}`;
  },
};

const fieldNames = [
  'key',
  'keyEncoding',
  'value',
  'encoding',
  'headers',
  'partition',
  'base64',
  'utf8',
  'json',
  ...names,
];

export const inputLine: SyncTarget = {
  name: 'input-line',
  seeds: () => [
    bytesOf('{"key":"k","value":{"a":1},"headers":{"h":"v"},"partition":0}'),
    bytesOf('{"key":"AAE=","keyEncoding":"base64","value":"AAE=","encoding":"base64","topic":"t","offset":5}'),
    bytesOf('{"key":"k","value":"text","encoding":"utf8"}'),
  ],
  dictionary: [...fieldNames, '{', '}', ',', ':', '"'],
  mutators: [jsonMutator(fieldNames), jsonMutator(fieldNames)],
  bytesMax: 1024,
  run: (input) => {
    try {
      const { value, bytes, partition, headers } = jsonRecord(input, { key: null, headers: null }, 'fuzz:1');
      holds(bytes >= 0 && Number.isSafeInteger(bytes), 'a size is a number');
      holds(partition === undefined || (Number.isSafeInteger(partition) && partition >= 0), 'a partition is one');
      const texts = Object.values(headers ?? {});
      holds(
        texts.every((text) => typeof text === 'string'),
        'headers are texts',
      );
      return `record ${value === null ? 'null' : typeof value} ${headers !== null}`;
    } catch (error) {
      if (
        error instanceof TypeError &&
        error.constructor === TypeError &&
        !/undefined|not a function/.test(error.message)
      ) {
        return `refused ${/^"?\w{1,14}"? must|^not \w+/.exec(error.message)?.[0] ?? ''}`;
      }
      throw error;
    }
  },
};
