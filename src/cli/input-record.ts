/**
 * A record as the command publishes it, and its two text forms: a plain line, and a JSON line with `key`, `value`,
 * `headers`, `partition` in the form of the text protocol, which `sluice subscribe --format jsonl` prints.
 */
import { isUtf8 } from 'node:buffer';
import { HEADERS_BYTES_MAX, KEY_BYTES_MAX } from '../domain/record-batch.ts';
import { messageOf } from '../errors.ts';

/** A JSON value that the client sends as JSON also when it is a string, which alone it would take for a text. */
export class JsonValue {
  readonly #value: unknown;

  constructor(value: unknown) {
    this.#value = value;
  }

  toJSON(): unknown {
    return this.#value;
  }
}

export interface InputRecord {
  readonly key: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>> | null;
  /** Text, bytes or JSON, in the form in which the client takes it; null is a tombstone. */
  readonly value: string | Uint8Array | JsonValue | null;
  /** Size of key, headers and value as stored. */
  readonly bytes: number;
  readonly partition: number | undefined;
  /** Where it came from, for messages: `orders.txt:12`. */
  readonly place: string;
}

/** What every record of an input gets unless its line says otherwise. */
export interface RecordDefaults {
  readonly key: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>> | null;
}

/** A record of bytes as they are; marked as text where they are UTF-8, so that readers of text frames see text. */
export function plainRecord(value: Buffer, defaults: RecordDefaults, place: string): InputRecord {
  const { key, headers } = defaults;
  const bytes = value.length + partBytes(key, headers);
  return { key, headers, value: isUtf8(value) ? value.toString('utf8') : value, bytes, partition: undefined, place };
}

/**
 * What is wrong with a record, for its author; null when the client will take it. Looked at before anything behind the
 * record is sent: a refusal that comes only then would shift the sequences by which a run is resumed.
 */
export function inputFault(record: InputRecord, recordBytesMax: number): string | null {
  if (record.value === null && record.key === null)
    return 'a record without a value needs a "key", which it says is gone';
  if (record.key !== null && record.key.length > KEY_BYTES_MAX) {
    return `the key has ${record.key.length} bytes; at most ${KEY_BYTES_MAX} fit`;
  }
  if (headerBytes(record.headers) > HEADERS_BYTES_MAX) {
    return `the headers have ${headerBytes(record.headers)} bytes as JSON; at most ${HEADERS_BYTES_MAX} fit`;
  }
  if (record.bytes > recordBytesMax) {
    return `the record has ${record.bytes} bytes; the broker takes at most ${recordBytesMax} (its frameBytes sets that)`;
  }
  return null;
}

function partBytes(key: Uint8Array | null, headers: InputRecord['headers']): number {
  return (key?.length ?? 0) + headerBytes(headers);
}

function headerBytes(headers: InputRecord['headers']): number {
  return headers === null ? 0 : Buffer.byteLength(JSON.stringify(headers), 'utf8');
}

const utf8 = new TextDecoder('utf-8', { fatal: true });
const fields = ['key', 'keyEncoding', 'value', 'encoding', 'headers', 'partition'];
/** Fields that `subscribe` prints and a publish has no use for. */
const ignoredFields = ['topic', 'offset', 'epoch', 'time'];

/** A record from a JSON line. Throws TypeError that says what is wrong with it. */
export function jsonRecord(line: Uint8Array, defaults: RecordDefaults, place: string): InputRecord {
  const object = parseObject(line);
  for (const name of Object.keys(object)) {
    if (!fields.includes(name) && !ignoredFields.includes(name)) {
      throw new TypeError(`unknown field ${JSON.stringify(name.slice(0, 80))}; known are ${fields.join(', ')}`);
    }
  }
  const { value, bytes } = contentOf(object);
  const own = headersOf(object['headers']);
  const headers = own === null && defaults.headers === null ? null : { ...defaults.headers, ...own };
  const key = keyOf(object) ?? defaults.key;
  return {
    key,
    headers,
    value,
    bytes: bytes + partBytes(key, headers),
    partition: partitionOf(object['partition']),
    place,
  };
}

function parseObject(line: Uint8Array): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(utf8.decode(line));
  } catch (error) {
    throw new TypeError(`not JSON in UTF-8: ${messageOf(error)}`, { cause: error });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new TypeError('not a JSON object such as {"key":"k","value":1}');
  }
  // Own fields only, so that a field called `__proto__` is a field like another.
  return Object.assign(Object.create(null), parsed) as Record<string, unknown>;
}

function keyOf(object: Readonly<Record<string, unknown>>): Uint8Array | null {
  const { key, keyEncoding } = object as { key?: unknown; keyEncoding?: unknown };
  if (key === undefined || key === null) return null;
  if (typeof key !== 'string') throw new TypeError(`"key" must be a string; got ${typeof key}`);
  if (keyEncoding === undefined || keyEncoding === 'utf8') return Buffer.from(key, 'utf8');
  if (keyEncoding === 'base64') return base64Of('key', key);
  throw new TypeError(`"keyEncoding" must be "utf8" or "base64"; got ${JSON.stringify(keyEncoding)}`);
}

function contentOf(object: Readonly<Record<string, unknown>>): { value: InputRecord['value']; bytes: number } {
  const { value, encoding } = object as { value?: unknown; encoding?: unknown };
  if (value === undefined) return { value: null, bytes: 0 };
  if (encoding === undefined || encoding === 'json') {
    return { value: new JsonValue(value), bytes: Buffer.byteLength(JSON.stringify(value), 'utf8') };
  }
  if (encoding !== 'utf8' && encoding !== 'base64') {
    throw new TypeError(`"encoding" must be "json", "utf8" or "base64"; got ${JSON.stringify(encoding)}`);
  }
  if (typeof value !== 'string') throw new TypeError(`"value" must be a string where "encoding" is "${encoding}"`);
  if (encoding === 'utf8') return { value, bytes: Buffer.byteLength(value, 'utf8') };
  const bytes = base64Of('value', value);
  return { value: bytes, bytes: bytes.length };
}

function base64Of(field: string, text: string): Uint8Array {
  // Buffer's decoder skips what is not base64; only a text that it writes back the same was sound.
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new TypeError(`"${field}" is not base64 with its padding`);
  return bytes;
}

function headersOf(headers: unknown): Record<string, string> | null {
  if (headers === undefined || headers === null) return null;
  if (typeof headers !== 'object' || Array.isArray(headers))
    throw new TypeError('"headers" must be an object of strings');
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string')
      throw new TypeError(`header ${JSON.stringify(name)} must be a string; got ${typeof value}`);
  }
  return headers as Record<string, string>;
}

function partitionOf(partition: unknown): number | undefined {
  if (partition === undefined) return undefined;
  if (typeof partition === 'number' && Number.isSafeInteger(partition) && partition >= 0) return partition;
  throw new TypeError(`"partition" must be a whole number from 0; got ${JSON.stringify(partition)}`);
}
