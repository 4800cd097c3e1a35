/**
 * Reads the configuration of a broker: defaults, then a JSON file, then the environment, then flags; a later one wins.
 * Guarantees that what it returns has passed `configSchema` and the checks across settings, that every fault is found
 * in one go, and that each is named with where it stands, what was given and what would be right. Called by
 * `sluice serve`; an embedding application may call it too. Reads no file and no environment by itself.
 */
import { parseArgs } from 'node:util';
import type { Config, Setting, SettingName } from './config.ts';
import { configSchema, defaults, settings } from './config.ts';
import { configFaults } from './config-check.ts';
import { flagOf, settingNames, variableOf } from './config-name.ts';
import { expectedOf, readValue } from './config-value.ts';
import { BrokerError, messageOf } from './errors.ts';
import { didYouMean } from './nearest-name.ts';

export interface ConfigSources {
  /** Flags as they stand on the command line, without the command. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Reads the file of `--config` or `SLUICE_CONFIG` as UTF-8 text; throws when it cannot be read. */
  readonly readFile: (path: string) => string;
  /** Switches that the command itself understands (`help`, `verbose`); known here and left alone. */
  readonly otherSwitches?: readonly string[];
}

/** Where a value came from: the flag or variable by its name, `FILE: name`, or `default`. */
export type Origins = ReadonlyMap<SettingName, string>;

export interface LoadedConfig {
  readonly config: Config;
  readonly origins: Origins;
  /** The file that was read; null for none. */
  readonly file: string | null;
}

/** Values of one source, by setting, each with the place where it stands. */
interface Layer {
  readonly values: Map<SettingName, { readonly raw: unknown; readonly place: string }>;
  readonly faults: string[];
}

/** Variables that begin with `SLUICE_` and are no settings: where a client or the admin commands go. */
const otherVariables = ['SLUICE_CONFIG', 'SLUICE_URL', 'SLUICE_ADMIN_URL'];

/** Rejects with CONFIG_INVALID, one line a fault. */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const flags = flagLayer(sources.argv, sources.otherSwitches ?? []);
  const environment = environmentLayer(sources.environment);
  const file = flags.file ?? (sources.environment['SLUICE_CONFIG'] || null);
  const layers = [environment, flags.layer];
  if (file !== null) layers.unshift(fileLayer(file, sources.readFile));

  const faults = layers.flatMap((layer) => layer.faults);
  const merged = new Map<SettingName, unknown>();
  const origins = new Map<SettingName, string>(settingNames.map((name) => [name, 'default']));
  for (const layer of layers) {
    for (const [name, { raw, place }] of layer.values) {
      const read = readSound(name, raw);
      if (read === null) faults.push(valueFault(name, place, raw));
      else {
        merged.set(name, read.value);
        origins.set(name, place);
      }
    }
  }
  // Checks across settings only once each is sound by itself: a default in place of a refused value would mislead.
  const config: Config = { ...defaults, ...(Object.fromEntries(merged) as Partial<Config>) };
  if (faults.length === 0) faults.push(...configFaults(config, origins));
  if (faults.length > 0) throw invalid(faults);
  return { config: configSchema.parse(config), origins, file };
}

/**
 * Checks the options that an embedding application gives: the same schema, the same checks, the same messages.
 * Throws CONFIG_INVALID.
 */
export function completeConfig(options: Readonly<Record<string, unknown>>): Config {
  const faults: string[] = [];
  for (const [name, raw] of Object.entries(options)) {
    if (!isSetting(name)) faults.push(`${name}: no such setting${didYouMean(name, settingNames)}`);
    else if (raw !== undefined && !schemaTakes(name, raw)) faults.push(valueFault(name, name, raw));
  }
  if (faults.length > 0) throw invalid(faults);
  const given = Object.entries(options).filter(([, raw]) => raw !== undefined);
  const config = configSchema.parse(Object.fromEntries(given));
  faults.push(...configFaults(config, new Map(given.map(([name]) => [name as SettingName, name]))));
  if (faults.length > 0) throw invalid(faults);
  return config;
}

function invalid(faults: readonly string[]): BrokerError {
  const heading = faults.length === 1 ? 'a setting is wrong' : `${faults.length} settings are wrong`;
  return new BrokerError('CONFIG_INVALID', `${heading}\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
}

function isSetting(name: string): name is SettingName {
  return Object.hasOwn(settings, name);
}

function readSound(name: SettingName, raw: unknown): { readonly value: unknown } | null {
  const read = readValue(settings[name], raw);
  return read !== null && schemaTakes(name, read.value) ? read : null;
}

function schemaTakes(name: SettingName, value: unknown): boolean {
  return configSchema.safeParse({ [name]: value }).success;
}

function valueFault(name: SettingName, place: string, raw: unknown): string {
  const setting: Setting = settings[name];
  const hidden = setting.kind === 'text' && setting.secret === true;
  const given = hidden ? `a value of type ${typeof raw}` : shown(raw);
  const hint = setting.kind === 'choice' && typeof raw === 'string' ? didYouMean(raw, setting.choices) : '';
  return `${place}: got ${given}; expected ${expectedOf(setting)}${hint}`;
}

function shown(raw: unknown): string {
  const text = JSON.stringify(raw) ?? String(raw);
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}

function flagLayer(argv: readonly string[], otherSwitches: readonly string[]): { layer: Layer; file: string | null } {
  const layer: Layer = { values: new Map(), faults: [] };
  let file: string | null = null;
  const options: Record<string, { type: 'string' | 'boolean' }> = { config: { type: 'string' } };
  for (const name of otherSwitches) options[name] = { type: 'boolean' };
  const names = new Map<string, SettingName>();
  for (const name of settingNames) {
    const flag = flagOf(name).slice(2);
    names.set(flag, name);
    options[flag] = { type: settings[name].kind === 'switch' ? 'boolean' : 'string' };
    if (settings[name].kind === 'switch') options[`no-${flag}`] = { type: 'boolean' };
  }
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  let unknownAt = Number.NaN;
  for (const token of tokens) {
    // A word behind an unknown flag is most likely its value: one fault, not two.
    if (token.kind === 'positional' && token.index !== unknownAt + 1) {
      layer.faults.push(`${shown(token.value)}: an argument where only flags are known`);
    }
    if (token.kind !== 'option') continue;
    const { name: flag, value } = token;
    const known = names.get(flag) ?? names.get(flag.replace(/^no-/, ''));
    const option = Object.hasOwn(options, flag) ? options[flag] : undefined;
    if (option === undefined) {
      unknownAt = token.index;
      const flags = Object.keys(options).map((name) => `--${name}`);
      layer.faults.push(`${token.rawName}: no such flag${didYouMean(token.rawName, flags)}`);
    } else if (option.type === 'string' && (value === undefined || (!token.inlineValue && /^--/.test(value)))) {
      const got =
        value === undefined ? '' : `; got the flag ${value} (write ${token.rawName}=${value} if it is the value)`;
      layer.faults.push(`${token.rawName}: needs a value${got}`);
    } else if (flag === 'config') file = value ?? null;
    else if (known !== undefined) takeFlag(layer, known, token.rawName, flag !== flagOf(known).slice(2), value);
  }
  return { layer, file };
}

function takeFlag(layer: Layer, name: SettingName, place: string, negated: boolean, value: string | undefined): void {
  if (negated && value !== undefined) {
    layer.faults.push(`${place}: takes no value; write ${flagOf(name)}=false or ${place} alone`);
    return;
  }
  const before = layer.values.get(name);
  const raw = settings[name].kind === 'switch' ? (negated ? 'false' : (value ?? 'true')) : value;
  // A repeated list adds; anything else repeated, the last one counts, as shells' aliases expect.
  const adds = settings[name].kind === 'list' && before !== undefined;
  layer.values.set(name, { raw: adds ? `${String(before.raw)},${raw}` : raw, place });
}

function environmentLayer(environment: ConfigSources['environment']): Layer {
  const layer: Layer = { values: new Map(), faults: [] };
  const names = new Map(settingNames.map((name) => [variableOf(name), name]));
  for (const [variable, value] of Object.entries(environment)) {
    if (value === undefined || !variable.startsWith('SLUICE_') || otherVariables.includes(variable)) continue;
    if (isServiceLink(variable, value)) continue;
    const name = names.get(variable);
    if (name !== undefined) layer.values.set(name, { raw: value, place: variable });
    else layer.faults.push(`${variable}: no such setting${didYouMean(variable, [...names.keys(), ...otherVariables])}`);
  }
  return layer;
}

/**
 * Kubernetes puts variables such as SLUICE_PORT=tcp://10.0.0.1:7070 and SLUICE_SERVICE_HOST into every pod beside a
 * service of the name `sluice`. They are nobody's settings.
 */
function isServiceLink(variable: string, value: string): boolean {
  return (
    /_SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?$/.test(variable) ||
    /_PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?$/.test(variable) ||
    (variable.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value))
  );
}

function fileLayer(path: string, readFile: ConfigSources['readFile']): Layer {
  const layer: Layer = { values: new Map(), faults: [] };
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFile(path));
  } catch (error) {
    const what = error instanceof SyntaxError ? 'is not JSON' : 'cannot be read';
    layer.faults.push(`config file ${path}: ${what}: ${messageOf(error)}`);
    return layer;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    layer.faults.push(`config file ${path}: got ${shown(parsed)}; expected an object such as {"port": 7070}`);
    return layer;
  }
  for (const [name, raw] of Object.entries(parsed)) {
    if (isSetting(name)) layer.values.set(name, { raw, place: `${path}: ${name}` });
    // `$schema` is how editors are told what a file may hold.
    else if (name !== '$schema')
      layer.faults.push(`${path}: ${name}: no such setting${didYouMean(name, settingNames)}`);
  }
  return layer;
}
