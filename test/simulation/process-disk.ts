/**
 * The disk as one simulated process sees it. A process that is dead gets no answer any more and leaves no descriptor
 * behind; what its log writes is noted, as records by their ids, before and when it is durable.
 */
import type { Disk, DiskFile, DiskSpace } from '../../src/storage/disk.ts';
import type { MemoryDisk } from '../../src/testing/memory-disk.ts';
import { readBatchEntry } from '../checker/batch-reader.ts';
import { idOf } from './payload.ts';

export interface ProcessDiskOptions {
  readonly disk: MemoryDisk;
  readonly alive: () => boolean;
  /** A write to the log of a shard began, or is durable. */
  readonly onWrite: (what: 'write' | 'durable', shard: number, ids: readonly string[]) => void;
}

const logPath = /\/shards\/(\d+)\/log\//;
const ENTRY_HEADER_BYTES = 32;
const BATCH = 1;

export class ProcessDisk implements Disk {
  readonly #options: ProcessDiskOptions;
  readonly #open = new Set<DiskFile>();

  constructor(options: ProcessDiskOptions) {
    this.#options = options;
  }

  get openFiles(): number {
    return this.#open.size;
  }

  /** What the system does for a process that has died. */
  closeAll(): void {
    for (const file of this.#open) void file.close();
    this.#open.clear();
  }

  openRead(path: string): Promise<DiskFile> {
    return this.#opened(this.#options.disk.openRead(path), path);
  }

  openWrite(path: string, how: 'create' | 'existing'): Promise<DiskFile> {
    return this.#opened(this.#options.disk.openWrite(path, how), path);
  }

  list(path: string): Promise<string[]> {
    return this.answer(this.#options.disk.list(path));
  }

  makeDirectory(path: string): Promise<void> {
    return this.answer(this.#options.disk.makeDirectory(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.answer(this.#options.disk.syncDirectory(path));
  }

  readSmallFile(path: string): Promise<Uint8Array | null> {
    return this.answer(this.#options.disk.readSmallFile(path));
  }

  replaceSmallFile(path: string, bytes: Uint8Array): Promise<void> {
    return this.answer(this.#options.disk.replaceSmallFile(path, bytes));
  }

  remove(path: string): Promise<void> {
    return this.answer(this.#options.disk.remove(path));
  }

  removeTree(path: string): Promise<void> {
    return this.answer(this.#options.disk.removeTree(path));
  }

  space(path: string): Promise<DiskSpace> {
    return this.answer(this.#options.disk.space(path));
  }

  /** Settles as `call` does, unless the process is dead by then: then never. */
  answer<T>(call: Promise<T>): Promise<T> {
    const { alive } = this.#options;
    return new Promise((resolve, reject) => {
      call.then(
        (value) => alive() && resolve(value),
        (error: unknown) => alive() && reject(error),
      );
    });
  }

  async #opened(call: Promise<DiskFile>, path: string): Promise<DiskFile> {
    const file = await this.#kept(call);
    const shard = logPath.exec(path)?.[1];
    const { onWrite } = this.#options;
    return new ProcessFile(
      this,
      file,
      this.#open,
      shard === undefined ? null : (what, ids) => onWrite(what, Number(shard), ids),
    );
  }

  /** A file that was opened for a process that died meanwhile is closed at once. */
  #kept(call: Promise<DiskFile>): Promise<DiskFile> {
    const { alive } = this.#options;
    const kept = call.then((file) => {
      if (alive()) this.#open.add(file);
      else void file.close();
      return file;
    });
    return this.answer(kept);
  }
}

type NoteWrite = (what: 'write' | 'durable', ids: readonly string[]) => void;

class ProcessFile implements DiskFile {
  readonly path: string;
  readonly #disk: ProcessDisk;
  readonly #file: DiskFile;
  readonly #open: Set<DiskFile>;
  readonly #note: NoteWrite | null;

  constructor(disk: ProcessDisk, file: DiskFile, open: Set<DiskFile>, note: NoteWrite | null) {
    this.#disk = disk;
    this.#file = file;
    this.#open = open;
    this.#note = note;
    this.path = file.path;
  }

  async writeSynced(parts: readonly Uint8Array[], position: number): Promise<void> {
    // A segment header holds no record.
    const ids = this.#note === null || position === 0 ? [] : idsIn(parts);
    this.#note?.('write', ids);
    await this.#disk.answer(this.#file.writeSynced(parts, position));
    this.#note?.('durable', ids);
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#disk.answer(this.#file.read(target, position));
  }

  size(): Promise<number> {
    return this.#disk.answer(this.#file.size());
  }

  truncate(bytes: number): Promise<void> {
    return this.#disk.answer(this.#file.truncate(bytes));
  }

  sync(): Promise<void> {
    return this.#disk.answer(this.#file.sync());
  }

  async close(): Promise<void> {
    this.#open.delete(this.#file);
    await this.#file.close();
  }
}

/** Ids of the records in a group of entries, as `docs/storage.md` lays them out. */
function idsIn(parts: readonly Uint8Array[]): string[] {
  const group = parts.length === 1 ? bufferOf(parts[0] as Uint8Array) : Buffer.concat(parts);
  const ids: string[] = [];
  for (let at = 0; at + ENTRY_HEADER_BYTES <= group.length; ) {
    const end = at + ENTRY_HEADER_BYTES + group.readUInt32BE(at);
    if (group.readUInt8(at + 12) === BATCH) {
      const { records } = readBatchEntry(group.subarray(at + ENTRY_HEADER_BYTES, end));
      for (const { value } of records) ids.push(idOf(value?.toString('utf8') ?? '') ?? '?');
    }
    at = end;
  }
  return ids;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
