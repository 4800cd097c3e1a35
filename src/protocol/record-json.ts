/**
 * Records as JSON and back, for text frames. A value is JSON, stored as the text that its sender wrote; or text or
 * bytes, as `encoding` says. Whatever a binary client stored comes out as JSON that parses: what is not what it claims
 * to be is shown as text or base64.
 */
import {
  decodeBatch,
  type Encoding,
  HEADERS_BYTES_MAX,
  KEY_BYTES_MAX,
  type RecordInput,
  type RecordView,
} from '../domain/record-batch.ts';
import { BrokerError } from '../errors.ts';
import { type FieldReader, isObject, shown } from './field.ts';
import { memberAt, valueEnd } from './json-text.ts';

/** The JSON text that a record was parsed from, and where its object begins. */
export interface RecordSource {
  readonly json: string;
  readonly at: number;
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Half of a character pair without the other: JSON can write it, UTF-8 cannot. */
const loneSurrogate = /\p{Surrogate}/u;

/** Reads a record of a text publish. BAD_REQUEST, RECORD_TOO_LARGE. */
export function recordFromJson(fields: FieldReader, source: RecordSource): RecordInput {
  const key = keyOf(fields);
  const { value, encoding } = contentOf(fields, source);
  if (value === null && key === null) {
    throw new BrokerError(
      'BAD_REQUEST',
      `"${fields.path('value')}" is missing; a record without one is a tombstone and needs a "key"`,
    );
  }
  return { key, value, encoding, headers: headersOf(fields) };
}

function keyOf(fields: FieldReader): Uint8Array | null {
  const key = fields.value('key');
  const base64 = fields.optionalChoice('keyEncoding', ['base64']) !== undefined;
  if (key === undefined || key === null) return null;
  if (typeof key !== 'string') throw fields.wrong('key', 'a string');
  const bytes = base64 ? bytesFromBase64(fields, 'key', key) : bytesFromText(fields, 'key', key);
  if (bytes.length > KEY_BYTES_MAX) throw tooLarge(fields.path('key'), KEY_BYTES_MAX, bytes.length);
  return bytes;
}

function contentOf(fields: FieldReader, source: RecordSource): { value: Uint8Array | null; encoding: Encoding } {
  const encoding = fields.optionalChoice('encoding', ['utf8', 'base64', 'json']) ?? 'json';
  const value = fields.value('value');
  if (value === undefined) return { value: null, encoding: 'bytes' };
  if (encoding === 'json') return { value: sourceOf('value', source), encoding };
  if (typeof value !== 'string') throw fields.wrong('value', `a string, since "encoding" is "${encoding}"`);
  if (encoding === 'utf8') return { value: bytesFromText(fields, 'value', value), encoding };
  return { value: bytesFromBase64(fields, 'value', value), encoding: 'bytes' };
}

function sourceOf(name: string, { json, at }: RecordSource): Uint8Array {
  const start = memberAt(json, at, name);
  return Buffer.from(json.slice(start, valueEnd(json, start)));
}

function headersOf(fields: FieldReader): Uint8Array | null {
  const headers = fields.optionalObject('headers');
  if (headers === undefined) return null;
  const entries = Object.entries(headers);
  if (entries.length === 0) return null;
  for (const [name, value] of entries) {
    if (typeof value !== 'string') throw fields.wrong('headers', `an object of strings; ${shown(name)} is none`, value);
  }
  const bytes = Buffer.from(JSON.stringify(headers));
  if (bytes.length > HEADERS_BYTES_MAX) throw tooLarge(fields.path('headers'), HEADERS_BYTES_MAX, bytes.length);
  return bytes;
}

function bytesFromText(fields: FieldReader, name: string, text: string): Uint8Array {
  if (!loneSurrogate.test(text)) return Buffer.from(text);
  throw fields.wrong(name, 'text that UTF-8 can hold, without half a surrogate pair');
}

function bytesFromBase64(fields: FieldReader, name: string, text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  // `Buffer` skips what is not base64; encoding it again shows whether anything was skipped.
  if (bytes.toString('base64') !== text) throw fields.wrong(name, 'base64 (RFC 4648, with its padding)');
  return bytes;
}

function tooLarge(path: string, bytesMax: number, bytes: number): BrokerError {
  return new BrokerError('RECORD_TOO_LARGE', `"${path}" may have ${bytesMax} bytes; got ${bytes}`);
}

/**
 * The records of a sound batch from number `first` on, as the inside of a JSON array of `TextRecord`: without the
 * brackets, so that several batches can be joined by commas, and without anything of a subscription, so that the text
 * can be made once for all of them. `baseOffset` is that of record 0, `time` in ms since 1970. Never throws.
 */
export function recordsText(batch: Uint8Array, baseOffset: number, time: number, first: number): string {
  let text = '';
  for (const record of decodeBatch(batch, first)) {
    if (text !== '') text += ',';
    text += recordText(record, baseOffset + record.index, time);
  }
  return text;
}

function recordText(record: RecordView, offset: number, time: number): string {
  let text = `{"offset":${offset},"time":${time}`;
  if (record.key !== null) text += keyText(record.key);
  if (record.headers !== null) text += headersText(record.headers);
  if (record.value !== null) text += valueText(record.value, record.encoding);
  return `${text}}`;
}

function keyText(key: Uint8Array): string {
  const decoded = utf8OrNull(key);
  if (decoded !== null) return `,"key":${JSON.stringify(decoded)}`;
  return `,"key":"${base64(key)}","keyEncoding":"base64"`;
}

/** Headers are a JSON object of strings; what a binary client stored as something else is left out. */
function headersText(headers: Uint8Array): string {
  const decoded = utf8OrNull(headers);
  const parsed = decoded === null ? undefined : parseOrUndefined(decoded);
  if (!isObject(parsed) || Object.values(parsed).some((value) => typeof value !== 'string')) return '';
  return `,"headers":${decoded}`;
}

function valueText(value: Uint8Array, encoding: Encoding): string {
  const decoded = encoding === 'bytes' ? null : utf8OrNull(value);
  if (decoded === null) return `,"value":"${base64(value)}","encoding":"base64"`;
  if (encoding === 'json' && parseOrUndefined(decoded) !== undefined) return `,"value":${decoded}`;
  return `,"value":${JSON.stringify(decoded)},"encoding":"utf8"`;
}

function utf8OrNull(bytes: Uint8Array): string | null {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    // Not an error: bytes that are no text are shown as base64.
    return null;
  }
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not an error: text that is no JSON is shown as text.
    return undefined;
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
