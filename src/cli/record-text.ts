/**
 * How `sluice subscribe` prints a record: its value on a line, the whole record as a line of JSON, or the bytes of its
 * value and nothing else. Bytes in, bytes out: values that are not text leave as they came. Pure.
 */
import { isUtf8 } from 'node:buffer';
import type { Encoding } from '../domain/record-batch.ts';

export interface PrintedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly epoch: number;
  /** Append time, ms since 1970. */
  readonly time: number;
  readonly key: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly value: Uint8Array | null;
  readonly encoding: Encoding;
}

export type RecordForm = 'lines' | 'jsonl' | 'raw';

const nothing = new Uint8Array(0);
const newline = Uint8Array.of(10);

/** The record as chunks to write in order. */
export function recordText(record: PrintedRecord, form: RecordForm): readonly (Uint8Array | string)[] {
  switch (form) {
    case 'raw':
      return [record.value ?? nothing];
    case 'lines':
      return [record.value ?? nothing, newline];
    case 'jsonl':
      return [`${jsonLine(record)}\n`];
  }
}

/**
 * One line of JSON, its fields in this order: topic, partition, offset, epoch, time, then key, headers, value, encoding
 * where they are. `encoding` is "utf8" or "base64" for a value that is a string here and was no JSON; a tombstone has
 * no `value`. `sluice publish --format jsonl` takes it back.
 */
export function jsonLine(record: PrintedRecord): string {
  const { topic, partition, offset, epoch, time, key, headers, value } = record;
  const parts = [
    JSON.stringify({
      topic,
      partition,
      offset,
      epoch,
      time,
      ...keyFields(key),
      ...(headers === null ? {} : { headers }),
    }).slice(0, -1),
  ];
  if (value !== null) parts.push(valueFields(value, record.encoding));
  return `${parts.join(',')}}`;
}

function keyFields(key: Uint8Array | null): { key?: string; keyEncoding?: 'base64' } {
  if (key === null) return {};
  return isUtf8(key) ? { key: textOf(key) } : { key: base64Of(key), keyEncoding: 'base64' };
}

function valueFields(value: Uint8Array, encoding: Encoding): string {
  if (encoding === 'bytes' || !isUtf8(value)) return `"value":${JSON.stringify(base64Of(value))},"encoding":"base64"`;
  const text = textOf(value);
  const json = encoding === 'json' ? jsonOf(text) : null;
  return json === null ? `"value":${JSON.stringify(text)},"encoding":"utf8"` : `"value":${json}`;
}

/**
 * JSON text as it can stand within a line; null when it is none. Its own text is kept, so that no digit of a large
 * number is lost; only one that has line breaks is written anew.
 */
function jsonOf(text: string): string | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // A producer of binary frames may mark anything as JSON; it is printed as the text that it is.
    return null;
  }
  return /[\r\n]/.test(text) ? JSON.stringify(parsed) : text;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
