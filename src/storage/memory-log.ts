/**
 * The log port in memory, for tests of what stands above the log: the same contract as the segment log
 * (`test/storage/log-contract.ts`), with faults on demand. Addresses count bytes as on disk. `reopened` is the log that
 * a restart finds.
 */
import { assert, BrokerError, InvariantError } from '../errors.ts';
import { ENTRY_HEADER_BYTES, SEGMENT_HEADER_BYTES } from './entry.ts';
import type { Appended, Log, LogAddress, LogEntry, LogRead, NewEntry } from './log.ts';

interface MemorySegment {
  readonly first: number;
  readonly entries: LogEntry[];
  /** Position behind the last entry. */
  end: number;
}

/** An append that waits: it has written nothing yet, and is durable or has failed once it is told so. */
export interface HeldAppend {
  release(): void;
  fail(systemCode: string): void;
}

interface Fault {
  /** Resolves when the append may go on; rejects with its system error. */
  readonly wait: Promise<void>;
  /** Entries of the failed group that are on disk all the same: a reopened log may have them. */
  readonly landed: number;
}

export interface MemoryLogOptions {
  /** Size at which a segment is followed by a new one, bytes; none by default. */
  readonly segmentBytes?: number;
}

export class MemoryLog implements Log {
  readonly #segmentBytes: number;
  readonly #segments: MemorySegment[];
  #nextSequence: number;
  /** What a failed append left behind the durable end; void once a segment begins there. */
  #leftovers: LogEntry[] = [];
  readonly #faults: Fault[] = [];
  readonly #rollOverFaults: string[] = [];
  readonly #readFaults: string[] = [];
  #appending: Promise<unknown> | null = null;
  #fenced = false;
  #sealed = false;
  epoch = 0;
  /** Groups whose append was called, failed ones included. */
  appends = 0;

  constructor(options: MemoryLogOptions = {}, segments: readonly MemorySegment[] = [newSegment(1)]) {
    this.#segmentBytes = options.segmentBytes ?? Number.MAX_SAFE_INTEGER;
    this.#segments = segments.map(({ first, entries, end }) => ({ first, entries: [...entries], end }));
    this.#nextSequence = this.#last.first + this.#last.entries.length;
  }

  // --- faults ---

  /** The next append without a fault yet fails with a system error; the first `landed` entries reach the disk. */
  failAppend(systemCode: string, landed = 0): void {
    const wait = Promise.reject(systemError(systemCode));
    wait.catch(() => {});
    this.#faults.push({ wait, landed });
  }

  /** The next append without a fault yet waits. */
  holdAppend(landed = 0): HeldAppend {
    let held: HeldAppend | null = null;
    const wait = new Promise<void>((resolve, reject) => {
      held = { release: resolve, fail: (systemCode) => reject(systemError(systemCode)) };
    });
    wait.catch(() => {});
    this.#faults.push({ wait, landed });
    assert(held !== null, 'a promise calls its executor at once');
    return held;
  }

  failRollOver(systemCode: string): void {
    this.#rollOverFaults.push(systemCode);
  }

  failRead(systemCode: string): void {
    this.#readFaults.push(systemCode);
  }

  /** The log as a restart finds it: what was durable, and what a failed append may have left behind it. */
  reopened(): MemoryLog {
    const last = this.#last;
    const landed = this.#leftovers.reduce((bytes, entry) => bytes + entryBytes(entry), 0);
    const found = { ...last, entries: [...last.entries, ...this.#leftovers], end: last.end + landed };
    return new MemoryLog({ segmentBytes: this.#segmentBytes }, [...this.#segments.slice(0, -1), found]);
  }

  // --- the port ---

  get firstSequence(): number {
    return this.#oldest.first;
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  get end(): LogAddress {
    return { segment: this.#last.first, position: this.#last.end };
  }

  get bytes(): number {
    return this.#segments.reduce((bytes, { end }) => bytes + end, 0);
  }

  get fenced(): boolean {
    return this.#fenced;
  }

  append(group: readonly NewEntry[]): Promise<Appended> {
    if (this.#appending !== null) throw new InvariantError('one append at a time');
    if (this.#sealed) throw new InvariantError('the log is closed');
    if (this.#fenced) throw new InvariantError('the log is fenced: roll over first');
    const appending = this.#append(group).finally(() => {
      this.#appending = null;
    });
    this.#appending = appending;
    return appending;
  }

  async #append(group: readonly NewEntry[]): Promise<Appended> {
    this.appends += 1;
    if (this.#last.end >= this.#segmentBytes) this.#segments.push(newSegment(this.#nextSequence));
    const segment = this.#last;
    const entries = this.#laidOut(group, segment);
    const { wait, landed } = this.#faults.shift() ?? { wait: Promise.resolve(), landed: 0 };
    try {
      await wait;
    } catch (error) {
      this.#fenced = true;
      this.#leftovers = entries.slice(0, landed);
      throw BrokerError.from(error, 'LOG_WRITE_FAILED', 'the log in memory cannot be written');
    }
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
    const firstSequence = this.#nextSequence;
    segment.entries.push(...entries);
    segment.end += bytes;
    this.#nextSequence += entries.length;
    return { firstSequence, addresses: entries.map(({ address }) => address), bytes };
  }

  #laidOut(group: readonly NewEntry[], segment: MemorySegment): LogEntry[] {
    let position = segment.end;
    return group.map(({ kind, parts }, index) => {
      const body = Uint8Array.from(Buffer.concat(parts));
      const address = { segment: segment.first, position };
      const entry = { sequence: this.#nextSequence + index, epoch: this.epoch, kind, body, address };
      position += entryBytes(entry);
      return entry;
    });
  }

  async rollOver(): Promise<void> {
    assert(this.#fenced, 'only a fenced log rolls over');
    if (this.#sealed) throw new BrokerError('LOG_WRITE_FAILED', 'the log in memory was given up meanwhile');
    const systemCode = this.#rollOverFaults.shift();
    if (systemCode !== undefined) {
      throw BrokerError.from(systemError(systemCode), 'LOG_WRITE_FAILED', 'no new segment can be made in memory');
    }
    this.#leftovers = [];
    if (this.#last.first !== this.#nextSequence) this.#segments.push(newSegment(this.#nextSequence));
    this.#fenced = false;
  }

  async read(from: LogAddress | null, bytesMax: number): Promise<LogRead> {
    const systemCode = this.#readFaults.shift();
    if (systemCode !== undefined) {
      throw BrokerError.from(systemError(systemCode), 'LOG_READ_FAILED', 'the log in memory cannot be read');
    }
    const start = from ?? { segment: this.firstSequence, position: SEGMENT_HEADER_BYTES };
    let index = this.#segments.findIndex(({ first }) => first === start.segment);
    if (index < 0) throw new BrokerError('LOG_READ_FAILED', `there is no segment ${start.segment} in memory`);
    let found = this.#entriesFrom(index, start.position);
    while (found.length === 0 && index < this.#segments.length - 1) {
      index += 1;
      found = this.#entriesFrom(index, SEGMENT_HEADER_BYTES);
    }
    let bytes = 0;
    let size = 0;
    for (; size < found.length && (size === 0 || bytes < bytesMax); size += 1) {
      bytes += entryBytes(found[size] as LogEntry);
    }
    return { entries: found.slice(0, size), next: this.#nextOf(index, found[size]) };
  }

  #entriesFrom(index: number, position: number): readonly LogEntry[] {
    const segment = this.#segments[index] as MemorySegment;
    const at = segment.entries.findIndex(({ address }) => address.position >= position);
    const entry = segment.entries[at];
    if (entry === undefined) return [];
    if (entry.address.position !== position) {
      throw new BrokerError('LOG_CORRUPT', `no entry begins at position ${position} of segment ${segment.first}`);
    }
    return segment.entries.slice(at);
  }

  #nextOf(index: number, entry: LogEntry | undefined): LogAddress | null {
    if (entry !== undefined) return entry.address;
    const next = this.#segments[index + 1];
    return next === undefined ? null : { segment: next.first, position: SEGMENT_HEADER_BYTES };
  }

  async truncateBefore(sequence: number): Promise<number> {
    let freed = 0;
    for (let [oldest, next] = this.#segments; oldest !== undefined; [oldest, next] = this.#segments) {
      if (next === undefined || next.first > sequence) break;
      this.#segments.shift();
      freed += oldest.end;
    }
    return freed;
  }

  seal(): void {
    this.#sealed = true;
  }

  async close(): Promise<void> {
    this.seal();
    // Its outcome belongs to whoever appended; here it only has to be over.
    await this.#appending?.catch(() => {});
  }

  get #oldest(): MemorySegment {
    const [oldest] = this.#segments;
    assert(oldest !== undefined, 'a log has at least one segment');
    return oldest;
  }

  get #last(): MemorySegment {
    const last = this.#segments[this.#segments.length - 1];
    assert(last !== undefined, 'a log has at least one segment');
    return last;
  }
}

function newSegment(first: number): MemorySegment {
  return { first, entries: [], end: SEGMENT_HEADER_BYTES };
}

function entryBytes({ body }: LogEntry): number {
  return ENTRY_HEADER_BYTES + body.length;
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}
