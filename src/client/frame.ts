/**
 * Frames as the client writes and reads them. Binary: a `u32` big-endian header length, that many bytes of JSON, a
 * body. Text: the JSON alone.
 */
import type { Reply } from '../protocol/replies.ts';

export interface ReceivedFrame {
  readonly reply: Reply;
  /** A view into the received bytes; empty for a text frame. */
  readonly body: Uint8Array;
}

export const encoder = new TextEncoder();
/** A byte order mark is part of a text: what was published comes back. */
export const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const nothing = new Uint8Array(0);

/** A binary frame up to its body. */
export function encodeHeader(header: object): Uint8Array<ArrayBuffer> {
  const json = encoder.encode(JSON.stringify(header));
  const frame = new Uint8Array(4 + json.length);
  new DataView(frame.buffer).setUint32(0, json.length);
  frame.set(json, 4);
  return frame;
}

/** Throws SyntaxError or RangeError when the frame is none. */
export function decodeFrame(data: string | Uint8Array): ReceivedFrame {
  if (typeof data === 'string') return { reply: JSON.parse(data), body: nothing };
  const headerEnd = 4 + new DataView(data.buffer, data.byteOffset, data.byteLength).getUint32(0);
  if (headerEnd > data.length) throw new RangeError('the header is longer than its frame');
  return { reply: JSON.parse(decoder.decode(data.subarray(4, headerEnd))), body: data.subarray(headerEnd) };
}
