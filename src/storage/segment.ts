/** Segment files: their names, and the list of them in a log directory. A segment ends where the next one begins. */
import { join } from 'node:path';
import { BrokerError } from '../errors.ts';
import type { Disk } from './disk.ts';

const namePattern = /^(\d{20})\.log$/;

export interface Segment {
  /** Sequence of its first entry; its name. */
  readonly first: number;
  readonly path: string;
  /** What the CRCs of its entries' headers begin from; 0 until its own header was read. */
  readonly salt: number;
}

export function segmentAt(directory: string, first: number, salt = 0): Segment {
  return { first, salt, path: join(directory, `${String(first).padStart(20, '0')}.log`) };
}

/** The segments of a log directory, oldest first. LOG_READ_FAILED. */
export async function listSegments(disk: Disk, directory: string): Promise<Segment[]> {
  let names: readonly string[];
  try {
    names = await disk.list(directory);
  } catch (error) {
    throw BrokerError.from(error, 'LOG_READ_FAILED', `the log directory ${directory} cannot be listed`);
  }
  return names
    .map((name) => namePattern.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map((digits) => segmentAt(directory, Number(digits)))
    .sort((a, b) => a.first - b.first);
}
