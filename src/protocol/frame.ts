/**
 * The binary frame: a header of JSON and a body of bytes.
 *
 *   0    u32  length H of the header, big-endian
 *   4    H    header: a JSON object, UTF-8
 *   4+H       body
 *
 * The body is a view into what came and goes out as it is: no byte of a batch is copied here.
 */
import { BrokerError } from '../errors.ts';
import { isObject, type JsonObject } from './field.ts';

/** Longest header that is read; a command without its records is far shorter. */
export const FRAME_HEADER_BYTES_MAX = 64 * 1024;
const LENGTH_BYTES = 4;

// A byte order mark is left in place, where it is no JSON: text frames do not take one either.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export interface DecodedFrame {
  readonly header: JsonObject;
  /** A view into the frame. */
  readonly body: Uint8Array;
}

/** Reads a frame. BAD_FRAME when its lengths do not add up, BAD_JSON when its header is not a JSON object in UTF-8. */
export function decodeFrame(bytes: Uint8Array): DecodedFrame {
  if (bytes.length < LENGTH_BYTES) {
    throw new BrokerError('BAD_FRAME', `a binary frame begins with a 4-byte header length; got ${bytes.length} bytes`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
  if (length > bytes.length - LENGTH_BYTES) {
    throw new BrokerError(
      'BAD_FRAME',
      `the header length is ${length}, and ${bytes.length - LENGTH_BYTES} bytes follow it`,
    );
  }
  if (length > FRAME_HEADER_BYTES_MAX) {
    throw new BrokerError('BAD_FRAME', `the header length is ${length}; at most ${FRAME_HEADER_BYTES_MAX} are read`);
  }
  const end = LENGTH_BYTES + length;
  return { header: parseObject(decodeUtf8(bytes.subarray(LENGTH_BYTES, end))), body: bytes.subarray(end) };
}

/** A frame as parts, to be sent one behind another. `header` is JSON; the parts of the body are not copied. */
export function encodeFrame(header: string, body: readonly Uint8Array[]): Uint8Array[] {
  const length = Buffer.byteLength(header);
  const head = Buffer.allocUnsafe(LENGTH_BYTES + length);
  head.writeUInt32BE(length, 0);
  head.write(header, LENGTH_BYTES);
  return [head, ...body];
}

/** Reads a JSON object. BAD_JSON for anything else. */
export function parseObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw BrokerError.from(error, 'BAD_JSON', 'a command is a JSON object');
  }
  if (isObject(value)) return value;
  const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`;
  throw new BrokerError('BAD_JSON', `a command is a JSON object; got ${got}`);
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw BrokerError.from(error, 'BAD_JSON', 'the header of a binary frame is UTF-8');
  }
}
