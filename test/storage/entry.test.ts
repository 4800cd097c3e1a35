/** Entries and segment headers, byte by byte, and what is said of those that are not sound. */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import {
  BODY_BYTES_MAX,
  ENTRY_HEADER_BYTES,
  readEntry,
  readEntryHeader,
  segmentHeaderFault,
  segmentSalt,
  writeEntryHeader,
  writeSegmentHeader,
} from '../../src/storage/entry.ts';
import { EntryKind } from '../../src/storage/log.ts';

const SALT = 0x12345678;
const header = { epoch: 3, kind: EntryKind.commit, sequence: 2 ** 33 + 5, behind: 2 };
const parts = [Buffer.from('one '), Buffer.alloc(0), Buffer.from('two')];

/** An entry `before` bytes into its buffer, with `after` bytes behind it. */
function entryBytes(before = 0, after = 0): Uint8Array {
  const bytes = new Uint8Array(before + ENTRY_HEADER_BYTES + 7 + after).fill(0xee);
  bytes.set(Buffer.concat(parts), before + ENTRY_HEADER_BYTES);
  writeEntryHeader(bytes, before, header, parts, SALT);
  return bytes;
}

/** The same with its header changed, and a CRC that matches. */
function changed(change: (view: DataView) => void): Uint8Array {
  const bytes = entryBytes();
  const view = new DataView(bytes.buffer);
  change(view);
  view.setUint32(28, crc32(bytes.subarray(0, 28), SALT));
  return bytes;
}

function versionError(act: () => unknown): BrokerError {
  try {
    act();
  } catch (error) {
    if (error instanceof BrokerError) return error;
  }
  throw new Error('no BrokerError was thrown');
}

describe('an entry', () => {
  it('is laid out as its table says', () => {
    const bytes = Buffer.from(entryBytes());
    const fields = ['00000007', 'crc of body', '00000003', '04', '01', '0000', '0000000200000005', '00000002'];
    fields[1] = crc32('one two').toString(16).padStart(8, '0');
    expect(bytes.subarray(0, 28).toString('hex')).toBe(fields.join(''));
    expect(bytes.readUInt32BE(28)).toBe(crc32(bytes.subarray(0, 28), SALT));
    expect(bytes.subarray(32).toString()).toBe('one two');
  });

  it('comes out as it went in, wherever it lies, as a view', () => {
    for (const [before, after] of [
      [0, 0],
      [5, 0],
      [7, 9],
    ] as const) {
      const whole = entryBytes(before + 3, after);
      const source = whole.subarray(3);
      const reading = readEntry(source, before, SALT);
      expect(reading).toEqual({
        is: 'entry',
        bytes: 39,
        header: { ...header, bytes: 39 },
        body: new Uint8Array(Buffer.from('one two')),
      });
      expect(reading.is === 'entry' && reading.body.buffer).toBe(whole.buffer);
    }
  });

  it('says how many bytes are needed to tell', () => {
    const bytes = entryBytes(2);
    for (let length = 2; length < 34; length += 1) {
      expect(readEntry(bytes.subarray(0, length), 2, SALT)).toEqual({ is: 'short', bytes: 32 });
    }
    for (let length = 34; length < bytes.length; length += 1) {
      expect(readEntry(bytes.subarray(0, length), 2, SALT)).toEqual({ is: 'short', bytes: 39 });
    }
  });

  it('is not sound with any bit of it changed, nor with another salt', () => {
    for (let at = 0; at < 39; at += 1) {
      const bytes = entryBytes();
      bytes[at] = (bytes[at] as number) ^ 4;
      const fault = at < 32 ? 'a header whose CRC does not match' : 'a body whose CRC does not match';
      expect(readEntry(bytes, 0, SALT), `byte ${at}`).toEqual({ is: 'bad', fault });
    }
    expect(readEntryHeader(entryBytes(), 0, SALT + 1)).toBeNull();
  });

  it('is not sound when it claims more than any entry has, or what is reserved is not 0, whatever its CRC says', () => {
    expect(
      readEntryHeader(
        changed((view) => view.setUint32(0, BODY_BYTES_MAX)),
        0,
        SALT,
      ),
    ).toMatchObject({
      bytes: 32 + 128 * 1024 * 1024,
    });
    expect(
      readEntryHeader(
        changed((view) => view.setUint32(0, BODY_BYTES_MAX + 1)),
        0,
        SALT,
      ),
    ).toBeNull();
    expect(
      readEntryHeader(
        changed((view) => view.setUint16(14, 1)),
        0,
        SALT,
      ),
    ).toBeNull();
  });

  it('of another format version is refused by its number', () => {
    const error = versionError(() =>
      readEntry(
        changed((view) => view.setUint8(13, 9)),
        0,
        SALT,
      ),
    );
    expect([error.code, error.message]).toEqual([
      'LOG_VERSION',
      'a log entry has format version 9; this Sluice knows 1',
    ]);
  });
});

describe('a segment header', () => {
  const sound = (): Buffer => Buffer.from(writeSegmentHeader(3, 2 ** 33 + 5, 0xfedcba98));
  const withCrc = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = sound();
    change(bytes);
    bytes.writeUInt32BE(crc32(bytes.subarray(0, 28)), 28);
    return bytes;
  };

  it('is laid out as its table says', () => {
    const bytes = sound();
    expect(bytes.subarray(0, 8).toString()).toBe('SLUICELG');
    expect(bytes.subarray(8, 28).toString('hex')).toBe('0001000000000003' + '0000000200000005' + 'fedcba98');
    expect(bytes.readUInt32BE(28)).toBe(crc32(bytes.subarray(0, 28)));
    expect(bytes.length).toBe(32);
  });

  it('has no fault as it was written, also as a view, and gives its salt', () => {
    const whole = Buffer.concat([Buffer.from('xx'), sound(), Buffer.from('yy')]);
    expect(segmentHeaderFault(whole.subarray(2, 34), 3, 2 ** 33 + 5)).toBeNull();
    expect(segmentHeaderFault(whole.subarray(2), 3, 2 ** 33 + 5)).toBeNull();
    expect(segmentSalt(whole.subarray(2))).toBe(0xfedcba98);
  });

  it.each<[string, Buffer, string]>([
    ['cut short', sound().subarray(0, 31), 'a header of 31 bytes'],
    ['of something else', Buffer.alloc(32), 'a header that is none of a log segment'],
    [
      'with its magic changed alone',
      withCrc((bytes) => bytes.write('SLUICELX')),
      'a header that is none of a log segment',
    ],
    ['of another shard', withCrc((bytes) => bytes.writeUInt32BE(4, 12)), 'a header of shard 4'],
    ['of another segment', withCrc((bytes) => bytes.writeUInt32BE(6, 20)), 'a header of first sequence 8589934598'],
  ])('%s is refused in words', (_, bytes, fault) => {
    expect(segmentHeaderFault(bytes, 3, 2 ** 33 + 5)).toBe(fault);
  });

  it('is refused with any bit behind its magic changed', () => {
    for (let at = 8; at < 32; at += 1) {
      const bytes = sound();
      bytes[at] = (bytes[at] as number) ^ 4;
      expect(segmentHeaderFault(bytes, 3, 2 ** 33 + 5), `byte ${at}`).toBe('a header whose CRC does not match');
    }
  });

  it('of another format version is refused by its number', () => {
    const newer = withCrc((bytes) => bytes.writeUInt16BE(2, 8));
    const error = versionError(() => segmentHeaderFault(newer, 3, 2 ** 33 + 5));
    expect([error.code, error.message]).toEqual([
      'LOG_VERSION',
      'a log segment has format version 2; this Sluice knows 1',
    ]);
  });
});
