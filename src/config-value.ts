/**
 * One setting's value as it comes from a flag, a variable or a JSON file, and what would be right. Used by the loader
 * for values and messages, and by `--help` and the reference for the texts. Bounds are the schema's business.
 */
import type { Setting } from './config.ts';
import { formatBytes, formatMs, parseBytes, parseMs } from './config-quantity.ts';

const switchWords: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['on', true],
  ['false', false],
  ['0', false],
  ['no', false],
  ['off', false],
]);

/** The value in the setting's own type; null when `raw` is none. A JSON value may stand as itself or as its text. */
export function readValue(setting: Setting, raw: unknown): { readonly value: unknown } | null {
  if (typeof raw !== 'string') return { value: raw };
  switch (setting.kind) {
    case 'number':
      return present(readNumber(setting.unit, raw));
    case 'switch':
      return present(switchWords.get(raw.trim().toLowerCase()) ?? null);
    case 'list':
      return {
        value: raw
          .split(',')
          .map((item) => item.trim())
          .filter((item) => item !== ''),
      };
    case 'text':
    case 'choice':
      return { value: raw };
  }
}

function readNumber(unit: 'ms' | 'bytes' | 'count' | 'port', raw: string): number | null {
  if (unit === 'bytes') return parseBytes(raw);
  if (unit === 'ms') return parseMs(raw);
  return /^\d{1,16}$/.test(raw.trim()) ? Number(raw) : null;
}

function present(value: number | boolean | null): { readonly value: unknown } | null {
  return value === null ? null : { value };
}

/** What would be right, for a message: `a size from 4KiB to 64MiB, such as 1MiB`. */
export function expectedOf(setting: Setting): string {
  switch (setting.kind) {
    case 'number': {
      const noun = { ms: 'a duration', bytes: 'a size', count: 'a whole number', port: 'a port' }[setting.unit];
      const example = setting.unit === 'ms' || setting.unit === 'bytes' ? `, such as ${defaultText(setting)}` : '';
      return `${noun} from ${numberText(setting.unit, setting.min)} to ${numberText(setting.unit, setting.max)}${example}`;
    }
    case 'switch':
      return 'true or false';
    case 'list':
      return 'texts separated by commas (in a file: a JSON array of strings)';
    case 'choice':
      return `one of ${setting.choices.join(', ')}`;
    case 'text':
      return setting.default === '' ? 'a text' : `a text that is not empty, such as ${setting.default}`;
  }
}

/** The default as somebody would write it; empty for an empty text or list. */
export function defaultText(setting: Setting): string {
  switch (setting.kind) {
    case 'number':
      return numberText(setting.unit, setting.default);
    case 'list':
      return setting.default.join(',');
    case 'text':
    case 'choice':
    case 'switch':
      return String(setting.default);
  }
}

export function numberText(unit: 'ms' | 'bytes' | 'count' | 'port', value: number): string {
  if (unit === 'ms') return formatMs(value);
  if (unit === 'bytes') return formatBytes(value);
  return String(value);
}
