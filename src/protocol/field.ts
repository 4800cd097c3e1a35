/**
 * Typed reading of a command's fields. A field of the wrong type or out of range is BAD_REQUEST, whose message names
 * the field, what came and what would be right. Only own properties count; fields that nobody asks for are ignored.
 */
import { BrokerError } from '../errors.ts';

const SHOWN_LENGTH_MAX = 60;

export type JsonObject = Readonly<Record<string, unknown>>;

/** The fields of one JSON object, read by name. Absent optional fields are undefined; `null` counts as a value. */
export class FieldReader {
  readonly #fields: JsonObject;
  readonly #where: string;

  /** `where` goes before a field's name in messages, such as `records[3].`; empty for the command itself. */
  constructor(fields: JsonObject, where = '') {
    this.#fields = fields;
    this.#where = where;
  }

  /** A field as it came; undefined when it is absent. */
  value(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name);
  }

  /** The full name of a field, for a message. */
  path(name: string): string {
    return this.#where + name;
  }

  wrong(name: string, expected: string, got: unknown = this.value(name)): BrokerError {
    return wrong(this.path(name), expected, got);
  }

  integer(name: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
    return integer(this.path(name), this.value(name), min, max);
  }

  optionalInteger(name: string, min: number, max = Number.MAX_SAFE_INTEGER): number | undefined {
    return this.has(name) ? this.integer(name, min, max) : undefined;
  }

  /** Text of at most `lengthMax` UTF-16 units. */
  optionalText(name: string, lengthMax: number): string | undefined {
    const value = this.value(name);
    if (value === undefined || (typeof value === 'string' && value.length <= lengthMax)) return value;
    throw this.wrong(name, `a string of at most ${lengthMax} characters`);
  }

  optionalBoolean(name: string): boolean | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.wrong(name, 'true or false');
  }

  optionalChoice<const C extends string>(name: string, choices: readonly C[]): C | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    throw this.wrong(name, choices.map((choice) => `"${choice}"`).join(' or '));
  }

  optionalObject(name: string): JsonObject | undefined {
    const value = this.value(name);
    if (value === undefined || isObject(value)) return value;
    throw this.wrong(name, 'an object');
  }

  optionalArray(name: string, lengthMin: number, lengthMax: number): readonly unknown[] | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.length >= lengthMin && value.length <= lengthMax) return value;
    throw this.wrong(name, `an array of ${lengthMin} to ${lengthMax} elements`);
  }

  /** An array of objects, each read under its own place in messages. */
  optionalObjects(name: string, lengthMin: number, lengthMax: number): readonly FieldReader[] | undefined {
    return this.optionalArray(name, lengthMin, lengthMax)?.map((element, index) => {
      const place = this.path(`${name}[${index}]`);
      if (!isObject(element)) throw wrong(place, 'an object', element);
      return new FieldReader(element, `${place}.`);
    });
  }

  /** An array of integers. */
  optionalIntegers(name: string, lengthMin: number, lengthMax: number, min: number): readonly number[] | undefined {
    return this.optionalArray(name, lengthMin, lengthMax)?.map((element, index) =>
      integer(this.path(`${name}[${index}]`), element, min, Number.MAX_SAFE_INTEGER),
    );
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function integer(path: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw wrong(path, `an integer from ${min} to ${max}`, value);
}

function wrong(path: string, expected: string, got: unknown): BrokerError {
  return new BrokerError('BAD_REQUEST', `"${path}" must be ${expected}; got ${shown(got)}`);
}

/** A value as it is shown to people: on one line, and shortened. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value !== 'string') return String(value);
  if (value.length <= SHOWN_LENGTH_MAX) return JSON.stringify(value);
  return `${JSON.stringify(value.slice(0, SHOWN_LENGTH_MAX))}… (${value.length} characters)`;
}
