/** A group of entries as the bytes that are written for it; used by the segment log alone. */
import { ENTRY_HEADER_BYTES, writeEntryHeader } from './entry.ts';
import type { LogAddress, NewEntry } from './log.ts';
import type { Segment } from './segment.ts';

export interface GroupPlace {
  readonly segment: Segment;
  /** Where in the segment the first entry goes. */
  readonly position: number;
  /** Sequence of the first entry. */
  readonly sequence: number;
  /** Epoch of the shard's owner. */
  readonly epoch: number;
}

export interface EncodedGroup {
  /** To be written one behind another: small parts copied together, large ones as they are. */
  readonly parts: readonly Uint8Array[];
  readonly addresses: readonly LogAddress[];
  readonly bytes: number;
}

/** Parts of at least this many bytes are written from where they are; smaller ones are copied together. */
const COPY_BYTES_MAX = 16 * 1024;

export function encodeGroup(group: readonly NewEntry[], place: GroupPlace): EncodedGroup {
  const { segment, sequence, epoch } = place;
  const scratch = Buffer.allocUnsafe(copiedBytes(group));
  const parts: Uint8Array[] = [];
  const addresses: LogAddress[] = [];
  let copied = 0;
  let from = 0;
  let { position } = place;
  group.forEach(({ kind, parts: body }, index) => {
    addresses.push({ segment: segment.first, position });
    const header = { epoch, kind, sequence: sequence + index, behind: index + 1 };
    writeEntryHeader(scratch, copied, header, body, segment.salt);
    copied += ENTRY_HEADER_BYTES;
    position += ENTRY_HEADER_BYTES;
    for (const part of body) {
      position += part.length;
      if (part.length < COPY_BYTES_MAX) {
        scratch.set(part, copied);
        copied += part.length;
      } else {
        parts.push(scratch.subarray(from, copied), part);
        from = copied;
      }
    }
  });
  if (copied > from) parts.push(scratch.subarray(from, copied));
  return { parts, addresses, bytes: position - place.position };
}

function copiedBytes(group: readonly NewEntry[]): number {
  let bytes = group.length * ENTRY_HEADER_BYTES;
  for (const { parts } of group) for (const part of parts) if (part.length < COPY_BYTES_MAX) bytes += part.length;
  return bytes;
}
