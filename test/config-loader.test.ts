import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Config, NumberSetting, SettingName } from '../src/config.ts';
import { defaults, settings } from '../src/config.ts';
import { completeConfig, loadConfig } from '../src/config-loader.ts';
import { flagOf, settingNames, variableOf } from '../src/config-name.ts';
import { numberText } from '../src/config-value.ts';
import { BrokerError } from '../src/errors.ts';

function load(argv: readonly string[], environment: Record<string, string> = {}, files: Record<string, string> = {}) {
  return loadConfig({
    argv,
    environment,
    otherSwitches: ['help', 'verbose'],
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
      return text;
    },
  });
}

/** The faults of a load that must fail, a line each. */
function faults(...args: Parameters<typeof load>): readonly string[] {
  try {
    load(...args);
  } catch (error) {
    expect(error).toBeInstanceOf(BrokerError);
    expect((error as BrokerError).code).toBe('CONFIG_INVALID');
    return (error as BrokerError).message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  throw new Error('the configuration was taken');
}

describe('precedence', () => {
  it('takes every default when nothing is given', () => {
    const { config, origins, file } = load([]);
    expect(config).toEqual(defaults);
    expect(new Set(origins.values())).toEqual(new Set(['default']));
    expect(file).toBeNull();
  });

  it('lets a flag win over a variable, a variable over the file, the file over the default', () => {
    const file = JSON.stringify({ port: 1, adminPort: 2, shards: 3 });
    const { config, origins } = load(
      ['--config', 'x.json', '--port', '9'],
      { SLUICE_PORT: '5', SLUICE_ADMIN_PORT: '6' },
      { 'x.json': file },
    );
    expect([config.port, config.adminPort, config.shards, config.partitions]).toEqual([9, 6, 3, 4]);
    expect([origins.get('port'), origins.get('adminPort'), origins.get('shards'), origins.get('partitions')]).toEqual([
      '--port',
      'SLUICE_ADMIN_PORT',
      'x.json: shards',
      'default',
    ]);
  });

  it('prefers the file of the flag to that of SLUICE_CONFIG', () => {
    const files = { a: '{"port":1}', b: '{"port":2}' };
    expect(load([], { SLUICE_CONFIG: 'a' }, files).config.port).toBe(1);
    expect(load(['--config=b'], { SLUICE_CONFIG: 'a' }, files).config.port).toBe(2);
  });

  it('counts the last of a repeated flag, and adds up a repeated list', () => {
    const { config } = load(['--port', '1', '--port', '2', '--origins', 'a', '--origins=b, c']);
    expect(config.port).toBe(2);
    expect(config.origins).toEqual(['a', 'b', 'c']);
  });

  it.each([
    [['--auto-create'], true],
    [['--auto-create=false'], false],
    [['--no-auto-create'], false],
    [['--no-auto-create', '--auto-create'], true],
  ])('reads the switch %j as %s', (argv, value) => expect(load(argv).config.autoCreate).toBe(value));

  it('leaves the switches of the command alone', () => {
    expect(load(['--verbose', '--port', '1']).config.port).toBe(1);
  });
});

describe('faults', () => {
  it.each([
    [['--prot', '1'], /^--prot: no such flag; did you mean --port\?$/],
    [['--port', 'http'], /^--port: got "http"; expected a port from 0 to 65535$/],
    [['--port', '65536'], /^--port: got "65536"; expected a port/],
    [['--port'], /^--port: needs a value$/],
    [['--port', '--data', 'x'], /^--port: needs a value; got the flag --data \(write --port=--data/],
    [['--port='], /^--port: got ""; expected a port/],
    [['--segment-bytes', '64M'], /^--segment-bytes: got "64M"; expected a size from 64KiB to 2GiB, such as 64MiB$/],
    [['--flush-ms', '2h'], /^--flush-ms: got "2h"; expected a duration from 1ms to 1m, such as 20ms$/],
    [['--shards', '1.5'], /^--shards: got "1.5"; expected a whole number from 1 to 256$/],
    [['--auto-create=maybe'], /^--auto-create: got "maybe"; expected true or false$/],
    [['--no-auto-create=false'], /^--no-auto-create: takes no value/],
    [['--no-port'], /^--no-port: no such flag/],
    [['--log-level', 'wran'], /^--log-level: got "wran"; expected one of .*; did you mean warn\?$/],
    [['--host', ''], /^--host: got ""; expected a text that is not empty, such as 127\.0\.0\.1$/],
    [['here'], /^"here": an argument where only flags are known$/],
    [['-p', '1'], /^-p: no such flag/],
    [['--config', 'none.json'], /^config file none\.json: cannot be read: ENOENT/],
  ])('names what is wrong with %j', (argv, message) => {
    const found = faults(argv);
    expect(found[0]).toMatch(message);
  });

  it.each([
    [{ SLUICE_PRT: '1' }, /^SLUICE_PRT: no such setting; did you mean SLUICE_PORT\?$/],
    [{ SLUICE_PORT: '' }, /^SLUICE_PORT: got ""; expected a port/],
    [{ SLUICE_AUTO_CREATE: 'nope' }, /^SLUICE_AUTO_CREATE: got "nope"; expected true or false$/],
    [{ SLUICE_GRACE_PERIOD_MS: 'Infinity' }, /^SLUICE_GRACE_PERIOD_MS: got "Infinity"; expected a duration/],
  ])('names what is wrong with the environment %j', (environment, message) => {
    expect(faults([], environment as Record<string, string>)).toEqual([expect.stringMatching(message)]);
  });

  it.each([
    ['{"port": "7070x"}', /^f\.json: port: got "7070x"; expected a port/],
    ['{"port": 1.5}', /^f\.json: port: got 1\.5; expected a port/],
    ['{"port": null}', /^f\.json: port: got null; expected a port/],
    ['{"prot": 1}', /^f\.json: prot: no such setting; did you mean port\?$/],
    ['{"origins": [1]}', /^f\.json: origins: got \[1\]; expected texts/],
    ['{"autoCreate": 1}', /^f\.json: autoCreate: got 1; expected true or false/],
    ['{"__proto__": {"port": 1}}', /^f\.json: __proto__: no such setting/],
    ['[]', /^config file f\.json: got \[\]; expected an object/],
    ['{', /^config file f\.json: is not JSON: /],
  ])('names what is wrong with the file %s', (text, message) => {
    expect(faults(['--config', 'f.json'], {}, { 'f.json': text })).toEqual([expect.stringMatching(message)]);
  });

  it('tells all faults of all sources at once, also of values that a later source overrides', () => {
    const found = faults(['--port', '1', '--bogus', '--shards', '0'], { SLUICE_PORT: 'x', SLUICE_NOTHING: '1' }, {});
    expect(found).toHaveLength(4);
    for (const start of ['SLUICE_PORT', 'SLUICE_NOTHING', '--bogus', '--shards']) {
      expect(found.some((fault) => fault.startsWith(start))).toBe(true);
    }
  });

  it('never repeats a token', () => {
    const found = faults(['--config', 'f.json'], {}, { 'f.json': '{"token": ["s3cret"], "adminToken": 12345}' });
    expect(found).toHaveLength(2);
    expect(found.join()).not.toMatch(/s3cret|12345/);
  });

  it('takes the variables that Kubernetes makes for a service called sluice for nobody’s', () => {
    const environment = {
      SLUICE_PORT: 'tcp://10.0.0.1:7070',
      SLUICE_SERVICE_HOST: '10.0.0.1',
      SLUICE_SERVICE_PORT: '7070',
      SLUICE_SERVICE_PORT_ADMIN: '7071',
      SLUICE_PORT_7070_TCP: 'tcp://10.0.0.1:7070',
      SLUICE_PORT_7070_TCP_ADDR: '10.0.0.1',
      SLUICE_PORT_7070_TCP_PROTO: 'tcp',
      SLUICE_ADMIN_PORT: 'tcp://10.0.0.2:7071',
    };
    expect(load([], environment).config).toEqual(defaults);
  });
});

describe('bounds that settings set each other', () => {
  it.each([
    [
      ['--group-bytes', '32MiB', '--reserve-bytes', '1GiB'],
      /^--group-bytes: 32MiB is more than shardQueueBytes \(default\), 16MiB/,
    ],
    [['--frame-bytes', '20MiB', '--in-flight-bytes', '64MiB'], /^--frame-bytes: 20MiB is more than shardQueueBytes/],
    [['--frame-bytes', '16MiB'], /^--frame-bytes: 16MiB is more than inFlightBytes \(default\), 8MiB/],
    [['--in-flight-bytes', '1GiB'], /^--in-flight-bytes: 1GiB is more than inFlightBytesTotal/],
    [
      ['--reserve-bytes', '1MiB'],
      /^--reserve-bytes: 1MiB cannot hold .* at least shardQueueBytes \+ groupBytes, 17MiB$/,
    ],
    [['--shard-queue-bytes', '64MiB'], /^reserveBytes \(default\): 20MiB cannot hold/],
    [['--port', '7071'], /^adminPort \(default\): got 7071, which is the client port too/],
    [['--admin-host', '0.0.0.0'], /^--admin-host: 0\.0\.0\.0 is reachable from other machines.*SLUICE_ADMIN_TOKEN/],
    [['--grace-period-ms', '3s'], /^--grace-period-ms: 3000 less preStopMs 0 .* set gracePeriodMs to at least \d+$/],
    [['--announce-ms', '1m'], /^--announce-ms: 60000 does not fit .* or gracePeriodMs to at least \d+$/],
    [['--pre-stop-ms', '29s'], /^gracePeriodMs \(default\): 30000 less preStopMs 29000/],
    [['--admin-host', 'example.org'], /^--admin-host: example\.org is reachable/],
  ])('refuses %j', (argv, message) => expect(faults(argv)[0]).toMatch(message));

  it.each([
    [['--admin-host', '::1']],
    [['--admin-host', '[::1]']],
    [['--admin-host', 'localhost']],
    [['--admin-host', '127.0.0.2']],
    [['--admin-host', '0.0.0.0', '--admin-token', 't']],
    [['--reserve-bytes', '0']],
    [['--port', '0', '--admin-port', '0']],
  ])('takes %j', (argv) => expect(() => load(argv)).not.toThrow());

  it('is silent about them while a setting is wrong by itself', () => {
    expect(faults(['--port', '7071', '--shards', 'x'])).toEqual([expect.stringMatching(/^--shards/)]);
  });
});

describe('round trips', () => {
  const texts = fc.string({ minLength: 1, maxLength: 30 }).filter((text) => !text.includes('\0'));
  function valuesOf(name: SettingName): fc.Arbitrary<unknown> {
    const setting = settings[name];
    switch (setting.kind) {
      case 'number':
        return fc.integer({ min: setting.min, max: setting.max });
      case 'switch':
        return fc.boolean();
      case 'choice':
        return fc.constantFrom<string>(...setting.choices);
      case 'text':
        return texts;
      case 'list':
        return fc.array(
          texts.map((text) => `o${text.replaceAll(',', '')}o`),
          { maxLength: 5 },
        );
    }
  }
  function written(name: SettingName, value: unknown): string {
    if (Array.isArray(value)) return value.join(',');
    const setting = settings[name];
    return setting.kind === 'number' ? numberText((setting as NumberSetting).unit, value as number) : String(value);
  }
  function loaded(...args: Parameters<typeof load>): Config | null {
    try {
      return load(...args).config;
    } catch (error) {
      // A value may be sound and at odds with a default of another setting; the other tests are about those.
      if (/is more than|cannot hold|client port|reachable|gracePeriodMs to at least/.test(String(error))) return null;
      throw error;
    }
  }

  it.each(settingNames)('%s is the same from a flag, a variable and a file', (name) => {
    fc.assert(
      fc.property(valuesOf(name), (value) => {
        const text = written(name, value);
        const results = [
          loaded([`${flagOf(name)}=${text}`]),
          loaded([], { [variableOf(name)]: text }),
          loaded(['--config', 'f'], {}, { f: JSON.stringify({ [name]: value }) }),
          loaded(['--config', 'f'], {}, { f: JSON.stringify({ [name]: text }) }),
        ];
        for (const config of results) if (config !== null) expect(config[name]).toEqual(value);
        expect(new Set(results.map((config) => config === null)).size).toBe(1);
      }),
      { numRuns: 50 },
    );
  });
});

describe('options of an embedding application', () => {
  it('fills in what is absent or undefined', () => {
    expect(completeConfig({ port: 0, host: undefined })).toEqual({ ...defaults, port: 0 });
  });

  it('names every fault', () => {
    expect(() => completeConfig({ port: '7070', prot: 1, shards: 0 })).toThrow(
      /3 settings are wrong\n {2}port: got "7070".*\n {2}prot: no such setting; did you mean port\?\n {2}shards: got 0/,
    );
  });

  it('holds the bounds that settings set each other', () => {
    expect(() => completeConfig({ adminHost: '0.0.0.0' })).toThrow(/adminHost: 0\.0\.0\.0 is reachable/);
  });
});

describe('a setting by the name of a property that every object has', () => {
  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('is as unknown as any other: %s', (name) => {
    expect(faults([`--${name}`])).toEqual([expect.stringContaining(`--${name}: no such flag`)]);
    expect(faults([`--${name}=1`])).toEqual([expect.stringContaining(`--${name}: no such flag`)]);
    expect(faults(['--config=c'], {}, { c: `{"${name}": 1}` })).toEqual([
      expect.stringContaining(`${name}: no such setting`),
    ]);
  });
});
