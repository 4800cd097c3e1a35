/**
 * Looking at a data directory without a broker: its entries (`sluice inspect-log`) and whether all of it is sound
 * (`sluice verify`). Reads only: nothing is cut, made or locked, and the derived state is checked on a copy.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrokerError, messageOf } from '../errors.ts';
import { type DataDirectory, readDataDirectory } from '../storage/data-directory.ts';
import { SEGMENT_HEADER_BYTES } from '../storage/entry.ts';
import { levelMeta } from '../storage/level-meta.ts';
import type { LogEntry } from '../storage/log.ts';
import { nodeDisk } from '../storage/node-disk.ts';
import { listSegments, type Segment } from '../storage/segment.ts';
import { readSegmentHeader, withFile } from '../storage/segment-recovery.ts';
import { durableBehind, scanSegment } from '../storage/segment-scan.ts';
import { handleOf, readBatchEntry } from './batch-entry.ts';
import { indexKey, loadCheckpoint, readIndexRow } from './checkpoint.ts';
import { entryText, kindName } from './entry-text.ts';
import { ShardState } from './shard-state.ts';

export interface InspectedEntry {
  readonly shard: number;
  readonly sequence: number;
  readonly epoch: number;
  readonly kind: string;
  /** Bytes of the body. */
  readonly bytes: number;
  readonly address: { readonly segment: number; readonly position: number };
  readonly text: string;
}

/** The entries of every shard, in log order. LOG_CORRUPT at the first that does not read; DATA_DIR_INVALID. */
export async function* inspectLog(path: string): AsyncGenerator<InspectedEntry, void, undefined> {
  const data = await existing(path);
  for (let shard = 0; shard < data.identity.shards; shard += 1) {
    for (const { segment, next } of await segmentsOf(data, shard)) {
      const entries: LogEntry[] = [];
      const fault = await scanOne(segment, shard, next, (entry) => entries.push(entry));
      for (const entry of entries) yield inspected(shard, entry);
      if (fault !== null && !fault.torn)
        throw new BrokerError('LOG_CORRUPT', `${fault.file}, position ${fault.position}: ${fault.fault}`);
    }
  }
}

function inspected(shard: number, entry: LogEntry): InspectedEntry {
  const { sequence, epoch, kind, body, address } = entry;
  return { shard, sequence, epoch, kind: kindName(kind), bytes: body.length, address, text: entryText(entry) };
}

export interface Fault {
  readonly file: string;
  readonly position: number | null;
  readonly sequence: number | null;
  readonly fault: string;
}

export interface Verification {
  readonly entries: number;
  readonly bytes: number;
  readonly notes: readonly string[];
  readonly faults: readonly Fault[];
}

/** Checks every CRC, that sequences and offsets are dense, and that checkpoint and index fit the log. */
export async function verifyDataDirectory(path: string): Promise<Verification> {
  const data = await existing(path);
  const notes: string[] = [];
  const faults: Fault[] = [];
  let entries = 0;
  let bytes = 0;
  if ((await nodeDisk.readSmallFile(join(path, 'LOCK'))) !== null) {
    notes.push('a broker holds this directory, or was killed: what it writes meanwhile may look torn');
  }
  for (let shard = 0; shard < data.identity.shards; shard += 1) {
    const check = new ShardCheck(data, shard, notes, faults);
    await check.run();
    entries += check.entries;
    bytes += check.bytes;
  }
  return { entries, bytes, notes, faults };
}

class ShardCheck {
  readonly #data: DataDirectory;
  readonly #shard: number;
  readonly #notes: string[];
  readonly #faults: Fault[];
  readonly #state: ShardState;
  /** By `segment:position`: the handle and base offset of each batch, to check the index against. */
  readonly #batches = new Map<string, { handle: number; offset: number }>();
  #stateSound = true;
  entries = 0;
  bytes = 0;

  constructor(data: DataDirectory, shard: number, notes: string[], faults: Fault[]) {
    this.#data = data;
    this.#shard = shard;
    this.#notes = notes;
    this.#faults = faults;
    this.#state = new ShardState(shard);
  }

  async run(): Promise<void> {
    const segments = await segmentsOf(this.#data, this.#shard);
    const first = segments[0]?.segment.first ?? 1;
    if (first > 1) this.#state.applied = first - 1;
    for (const { segment, next } of segments) {
      const fault = await scanOne(segment, this.#shard, next, (entry) => this.#visit(segment, entry));
      if (fault === null) continue;
      if (fault.torn)
        this.#notes.push(`${fault.file}: a torn end at position ${fault.position}, which the next start cuts`);
      else this.#faults.push(fault);
      this.#stateSound = this.#stateSound && fault.torn;
    }
    if (this.#stateSound) await this.#checkMeta();
  }

  #visit(segment: Segment, entry: LogEntry): void {
    this.entries += 1;
    this.bytes += entry.body.length;
    if (!this.#stateSound) return;
    try {
      this.#state.apply(entry);
      if (kindName(entry.kind) !== 'batch') return;
      const { segment: of, position } = entry.address;
      this.#batches.set(`${of}:${position}`, {
        handle: handleOf(entry.body),
        offset: readBatchEntry(entry.body).baseOffset,
      });
    } catch (error) {
      this.#stateSound = false;
      const { position } = entry.address;
      this.#faults.push({ file: segment.path, position, sequence: entry.sequence, fault: messageOf(error) });
    }
  }

  /** The derived state, opened on a copy: opening a store changes its files. */
  async #checkMeta(): Promise<void> {
    const path = this.#data.metaPath(this.#shard);
    if (!(await nodeDisk.list(this.#data.shardPath(this.#shard))).includes('meta')) {
      this.#notes.push(`${path} is missing; the next start rebuilds it`);
      return;
    }
    const copy = await mkdtemp(join(tmpdir(), 'sluice-verify-'));
    try {
      await cp(path, copy, { recursive: true });
      await this.#checkCopy(path, copy);
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  }

  async #checkCopy(path: string, copy: string): Promise<void> {
    const fault = (text: string): void => {
      this.#faults.push({ file: path, position: null, sequence: null, fault: text });
    };
    try {
      const meta = await levelMeta.open(copy);
      try {
        const { from } = await loadCheckpoint(meta, this.#shard);
        if (from !== null && from.sequence > this.#state.applied + 1) {
          fault(`its checkpoint stands at entry ${from.sequence - 1}, the log ends at ${this.#state.applied}`);
        }
        const highest = indexKey(0xffff_ffff, Number.MAX_SAFE_INTEGER);
        let row = await meta.above(indexKey(0, 0), highest);
        for (; row !== null; row = await meta.above(row.key, highest)) this.#checkPoint(row, fault);
      } finally {
        await meta.close();
      }
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      fault(`${error.message}; the next start rebuilds it`);
    }
  }

  #checkPoint(row: { readonly key: Uint8Array; readonly value: Uint8Array }, fault: (text: string) => void): void {
    const { offset, address } = readIndexRow(row);
    const handle = new DataView(row.key.buffer, row.key.byteOffset).getUint32(0);
    if (!this.#state.partitions.has(handle)) return;
    const batch = this.#batches.get(`${address.segment}:${address.position}`);
    if (batch?.handle === handle && batch.offset === offset) return;
    fault(
      `the index leads to segment ${address.segment}, position ${address.position} for offset ${offset} of partition #${handle}, where it is not`,
    );
  }
}

interface ScanFault extends Fault {
  readonly torn: boolean;
}

async function scanOne(
  segment: Segment,
  shard: number,
  next: Segment | undefined,
  visit: (entry: LogEntry) => void,
): Promise<ScanFault | null> {
  const read = await readSegmentHeader(nodeDisk, segment, shard);
  if (read.fault !== null) {
    const torn = next === undefined && read.fileBytes <= SEGMENT_HEADER_BYTES;
    return { file: segment.path, position: 0, sequence: segment.first, fault: read.fault, torn };
  }
  return withFile(nodeDisk, segment, async (file, fileBytes) => {
    const before = next?.first ?? Number.MAX_SAFE_INTEGER;
    const range = { segment: read.segment, position: SEGMENT_HEADER_BYTES, sequence: segment.first, before, fileBytes };
    const end = await scanSegment(file, range, visit);
    if (end.sequence === before || (next === undefined && end.position === fileBytes)) return null;
    const { position, sequence } = end;
    const torn = next === undefined && !(await durableBehind(file, read.segment, position, sequence, fileBytes));
    return { file: segment.path, position, sequence, fault: end.fault ?? 'the file ends', torn };
  });
}

async function segmentsOf(
  data: DataDirectory,
  shard: number,
): Promise<{ segment: Segment; next: Segment | undefined }[]> {
  const names = await nodeDisk.list(data.path);
  if (!names.includes('shards')) return [];
  const segments = await listSegments(nodeDisk, data.logPath(shard));
  return segments.map((segment, index) => ({ segment, next: segments[index + 1] }));
}

async function existing(path: string): Promise<DataDirectory> {
  const data = await readDataDirectory(nodeDisk, path);
  if (data !== null) return data;
  throw new BrokerError('DATA_DIR_INVALID', `${path} is not a Sluice data directory: there is no sluice.json in it`);
}
