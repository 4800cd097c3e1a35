/**
 * Checks LevelDB's table files before LevelDB reads them. It has to be done here: the `level` binding does not verify
 * block checksums, and LevelDB as built for it aborts the whole process on a block that does not parse. So one
 * flipped bit in derived state would keep a broker from ever starting. Called by `level-meta.ts` before it opens.
 *
 * A table file, as LevelDB documents it in `doc/table_format.md`; integers are little-endian:
 *
 *   block                                             footer, the last 48 bytes
 *   0      entries, then u32 restarts, u32 count      0   handle of the metaindex block
 *   n      u8   0: not compressed                         handle of the index block, zeros up to 40
 *   n + 1  u32  CRC-32C of the n + 1 bytes, masked    40  u64 magic
 *
 * A handle is two varints, position and size of a block without its 5 trailing bytes. The index and the metaindex are
 * blocks whose values are handles: they name every other block of the file.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';

const FOOTER_BYTES = 48;
const HANDLES_BYTES = 40;
const TRAILER_BYTES = 5;
const MAGIC = 0xdb4775248b80fb57n;
const MASK_DELTA = 0xa282ead8;

/**
 * What is wrong with the table files in `directory`, in words; null when every block of each matches its checksum.
 * Reads all of them, one file (about 2 MiB) in memory at a time. A directory that is not there has no fault; system
 * errors reject as they come.
 */
export async function tableFault(directory: string): Promise<string | null> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names.filter((one) => /\.(?:ldb|sst)$/.test(one))) {
    const fault = blockFault(await readFile(join(directory, name)));
    if (fault !== null) return `${name}: ${fault}`;
  }
  return null;
}

function blockFault(file: Buffer): string | null {
  const footerAt = file.length - FOOTER_BYTES;
  // Without the magic it is the rest of a table that a crash kept from being finished: LevelDB deletes it, or refuses
  // it in good order when it should be there.
  if (footerAt < 0 || file.readBigUInt64LE(footerAt + HANDLES_BYTES) !== MAGIC) return null;
  const footer = new Cursor(file.subarray(footerAt, footerAt + HANDLES_BYTES));
  try {
    for (const root of [footer.handle(), footer.handle()]) {
      for (const entry of handlesIn(soundBlock(file, root))) soundBlock(file, entry);
    }
    return null;
  } catch (error) {
    // Whatever the reading trips over is damage, and what is damaged is made anew.
    return messageOf(error);
  }
}

interface Handle {
  readonly position: number;
  readonly size: number;
}

/** The block at `handle`, without its trailer. */
function soundBlock(file: Buffer, { position, size }: Handle): Buffer {
  const end = position + size;
  if (end + TRAILER_BYTES > file.length - FOOTER_BYTES)
    throw new RangeError(`a block at ${position} ends past the file`);
  if (file.readUInt32LE(end + 1) !== maskedCrc32c(file.subarray(position, end + 1))) {
    throw new RangeError(`the block at ${position} fails its checksum`);
  }
  return file.subarray(position, end);
}

/** The handles that are the values of a block's entries. */
function* handlesIn(block: Buffer): Generator<Handle, void, undefined> {
  const restarts = block.length < 4 ? 0 : block.readUInt32LE(block.length - 4);
  const end = block.length - 4 - restarts * 4;
  if (end < 0) throw new RangeError('a block is shorter than its restarts');
  const entries = new Cursor(block.subarray(0, end));
  while (!entries.atEnd) {
    entries.varint();
    const keyBytes = entries.varint();
    const valueBytes = entries.varint();
    entries.take(keyBytes);
    yield new Cursor(entries.take(valueBytes)).handle();
  }
}

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new RangeError('a block ends within an entry');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.take(1)[0] as number;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new RangeError('a number in a block has no end');
  }

  handle(): Handle {
    return { position: this.varint(), size: this.varint() };
  }
}

/** Eight tables of 256: the checksum takes eight bytes a step, about a gigabyte per second. */
const tables = makeTables();

function makeTables(): Uint32Array {
  const made = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    made[byte] = crc;
  }
  for (let at = 256; at < made.length; at += 1) {
    const previous = made[at - 256] as number;
    made[at] = (previous >>> 8) ^ (made[previous & 255] as number);
  }
  return made;
}

/** CRC-32C (Castagnoli) of `bytes`. Exported for its reference vectors. */
export function crc32c(bytes: Uint8Array): number {
  const t = tables;
  let crc = 0xffffffff;
  let at = 0;
  for (const last = bytes.length - 7; at < last; at += 8) {
    const low =
      crc ^
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24));
    crc =
      (t[1792 + (low & 255)] as number) ^
      (t[1536 + ((low >>> 8) & 255)] as number) ^
      (t[1280 + ((low >>> 16) & 255)] as number) ^
      (t[1024 + (low >>> 24)] as number) ^
      (t[768 + (bytes[at + 4] as number)] as number) ^
      (t[512 + (bytes[at + 5] as number)] as number) ^
      (t[256 + (bytes[at + 6] as number)] as number) ^
      (t[bytes[at + 7] as number] as number);
  }
  for (; at < bytes.length; at += 1) crc = (crc >>> 8) ^ (t[(crc ^ (bytes[at] as number)) & 255] as number);
  return ~crc >>> 0;
}

/** LevelDB stores CRCs masked, since a CRC over bytes that hold their own CRC is weak. */
function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}
