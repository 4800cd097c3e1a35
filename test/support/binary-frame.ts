/** Binary frames as the protocol has them: a length, a header of JSON, a body. */

/** `headerBytes`: length to claim instead of the header's own. */
export function binaryFrame(
  header: string | Buffer,
  body: Buffer = Buffer.alloc(0),
  headerBytes: number = Buffer.byteLength(header),
): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(headerBytes);
  return Buffer.concat([length, Buffer.from(header), body]);
}
