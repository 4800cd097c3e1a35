/**
 * The disk port in memory, for tests: what was synced and what was not are kept apart, so that a power cut can be had
 * at any call. Deterministic: randomness is passed in. A process crash without a power cut is `crash({ keep: 'all' })`.
 *
 * The model is harsher than ext4 or xfs: bytes that were not synced survive by the sector and in any order, names that
 * were not synced survive or not one by one, and a file whose name is lost is gone, whatever of it was synced.
 */
import { dirname } from 'node:path';
import type { Disk, DiskFile, DiskSpace } from '../storage/disk.ts';
import { type CrashMode, Inode, type UnsyncedWrite } from './memory-inode.ts';

export type { CrashMode } from './memory-inode.ts';

export type DiskOp =
  | 'openRead'
  | 'openWrite'
  | 'write'
  | 'read'
  | 'size'
  | 'truncate'
  | 'sync'
  | 'list'
  | 'makeDirectory'
  | 'syncDirectory'
  | 'readSmallFile'
  | 'replaceSmallFile'
  | 'remove'
  | 'removeTree'
  | 'space';

/**
 * Called before each call takes effect. What it throws or rejects with is the call's error; a promise delays the call;
 * a number that it gives to a `read` is the most bytes that this read returns.
 */
export type DiskHook = (op: DiskOp, path: string) => unknown;

/** A system error to be thrown by a hook. */
export class DiskFault extends Error {
  readonly code: string;
  /** Bytes of a failed write that reach the disk all the same, unsynced. */
  readonly landedBytes: number;
  /** What landed is seen until a power cut, and no sync makes it durable: a failed page that the system calls clean. */
  readonly unsyncable: boolean;
  /** The failed write reaches the disk whole, but only at `landLate`. */
  readonly late: boolean;

  constructor(code: string, options: Partial<Pick<DiskFault, 'landedBytes' | 'unsyncable' | 'late'>> = {}) {
    super(`${code}: simulated`);
    this.code = code;
    this.landedBytes = options.landedBytes ?? 0;
    this.unsyncable = options.unsyncable ?? false;
    this.late = options.late ?? false;
  }
}

/** What a name stands for: a file, or a directory, which is its name and nothing else. */
type Named = Inode | 'directory';

interface NameChange {
  readonly path: string;
  readonly from: Named | null;
  readonly to: Named | null;
}

const DEFAULT_CAPACITY_BYTES = 1024 * 1024 * 1024;

export class MemoryDisk implements Disk {
  readonly #names = new Map<string, Named>([['/', 'directory']]);
  /** Changes of names that no sync of their directory has covered, oldest first. */
  #changes: NameChange[] = [];
  readonly #open = new Set<MemoryFile>();
  readonly #late: { inode: Inode; write: UnsyncedWrite }[] = [];
  /** Room for the bytes of all files. May be changed at any time. */
  capacityBytes: number;
  onCall: DiskHook | null = null;
  /** Calls so far. */
  calls = 0;

  constructor(capacityBytes = DEFAULT_CAPACITY_BYTES) {
    this.capacityBytes = capacityBytes;
  }

  /** Descriptors that were opened and not closed. */
  get openFiles(): number {
    return this.#open.size;
  }

  get usedBytes(): number {
    const held = new Set<Named>([...this.#names.values(), ...[...this.#open].map((file) => file.inode)]);
    let bytes = 0;
    for (const named of held) if (named !== 'directory') bytes += named.size;
    return bytes;
  }

  /** Paths of all files, sorted. */
  get paths(): string[] {
    return [...this.#names.keys()].filter((path) => this.#names.get(path) !== 'directory').sort();
  }

  /** The bytes of a file, to look at or to damage: a change to them is one that the disk made on its own. */
  bytesOf(path: string): Uint8Array {
    return this.#inodeOf(path, 'read').bytes;
  }

  /** Failed writes that were to land late reach their files now, unsynced. */
  landLate(): void {
    for (const { inode, write } of this.#late.splice(0)) inode.apply(write);
  }

  /** The disk as it is found after a power cut; this one stays as it is. */
  crash(mode: CrashMode): MemoryDisk {
    const names = new Map(this.#names);
    for (const { path, from } of [...this.#changes].reverse()) setName(names, path, from);
    for (const { path, to } of this.#changes) {
      const kept = mode.keep === 'all' || (mode.keep === 'torn' && mode.random.next() < 0.5);
      if (kept) setName(names, path, to);
    }
    const found = new MemoryDisk(this.capacityBytes);
    // In path order, so that a folder comes before what it holds: what lies in a lost folder is lost.
    for (const [path, named] of [...names].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (found.#names.get(dirname(path)) !== 'directory') continue;
      found.#names.set(path, named === 'directory' ? named : named.crash(mode));
    }
    return found;
  }

  // --- the port ---

  async openRead(path: string): Promise<DiskFile> {
    await this.called('openRead', path);
    return this.#opened(path, this.#inodeOf(path, 'openRead'));
  }

  async openWrite(path: string, how: 'create' | 'existing'): Promise<DiskFile> {
    await this.called('openWrite', path);
    if (how === 'existing') return this.#opened(path, this.#inodeOf(path, 'openWrite'));
    if (this.#names.has(path)) throw systemError('EEXIST', 'openWrite', path);
    this.#wantDirectory(dirname(path), 'openWrite');
    const inode = new Inode();
    this.#rename(path, inode);
    return this.#opened(path, inode);
  }

  async list(path: string): Promise<string[]> {
    await this.called('list', path);
    this.#wantDirectory(path, 'list');
    const names = [...this.#names.keys()]
      .filter((name) => name !== path && dirname(name) === path)
      .map((name) => name.slice(path === '/' ? 1 : path.length + 1));
    return names.sort();
  }

  async makeDirectory(path: string): Promise<void> {
    await this.called('makeDirectory', path);
    const missing: string[] = [];
    for (let at = path; this.#names.get(at) !== 'directory'; at = dirname(at)) {
      if (this.#names.has(at)) throw systemError('EEXIST', 'makeDirectory', path);
      missing.push(at);
    }
    for (const at of missing.reverse()) this.#rename(at, 'directory');
  }

  async syncDirectory(path: string): Promise<void> {
    await this.called('syncDirectory', path);
    this.#wantDirectory(path, 'syncDirectory');
    this.#changes = this.#changes.filter((change) => dirname(change.path) !== path);
  }

  async readSmallFile(path: string): Promise<Uint8Array | null> {
    await this.called('readSmallFile', path);
    return this.#names.has(path) ? this.#inodeOf(path, 'readSmallFile').bytes.slice() : null;
  }

  async replaceSmallFile(path: string, bytes: Uint8Array): Promise<void> {
    await this.called('replaceSmallFile', path);
    this.#wantDirectory(dirname(path), 'replaceSmallFile');
    if (bytes.length > this.freeBytes) throw systemError('ENOSPC', 'replaceSmallFile', path);
    const inode = new Inode();
    inode.apply({ position: 0, bytes: Uint8Array.from(bytes) });
    inode.settle();
    this.#rename(path, inode);
    this.#changes = this.#changes.filter((change) => dirname(change.path) !== dirname(path));
  }

  async remove(path: string): Promise<void> {
    await this.called('remove', path);
    if (this.#names.has(path)) this.#rename(path, null);
  }

  async removeTree(path: string): Promise<void> {
    await this.called('removeTree', path);
    const within = (name: string): boolean => name === path || name.startsWith(`${path}/`);
    for (const name of [...this.#names.keys()].filter(within).sort().reverse()) this.#rename(name, null);
  }

  async space(path: string): Promise<DiskSpace> {
    await this.called('space', path);
    return { freeBytes: this.freeBytes, totalBytes: this.capacityBytes };
  }

  // --- for its files ---

  get freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.usedBytes);
  }

  /** Counts a call and lets the hook have its say. */
  async called(op: DiskOp, path: string): Promise<number | undefined> {
    this.calls += 1;
    const said = await this.onCall?.(op, path);
    return typeof said === 'number' ? said : undefined;
  }

  closed(file: MemoryFile): void {
    this.#open.delete(file);
  }

  keepForLater(inode: Inode, write: UnsyncedWrite): void {
    this.#late.push({ inode, write });
  }

  #opened(path: string, inode: Inode): DiskFile {
    const file = new MemoryFile(this, path, inode);
    this.#open.add(file);
    return file;
  }

  #inodeOf(path: string, op: DiskOp): Inode {
    const named = this.#names.get(path);
    if (named === undefined) throw systemError('ENOENT', op, path);
    if (named === 'directory') throw systemError('EISDIR', op, path);
    return named;
  }

  #wantDirectory(path: string, op: DiskOp): void {
    const named = this.#names.get(path);
    if (named === undefined) throw systemError('ENOENT', op, path);
    if (named !== 'directory') throw systemError('ENOTDIR', op, path);
  }

  #rename(path: string, to: Named | null): void {
    this.#changes.push({ path, from: this.#names.get(path) ?? null, to });
    setName(this.#names, path, to);
  }
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly inode: Inode;
  readonly #disk: MemoryDisk;
  #closed = false;

  constructor(disk: MemoryDisk, path: string, inode: Inode) {
    this.#disk = disk;
    this.path = path;
    this.inode = inode;
  }

  async writeSynced(parts: readonly Uint8Array[], position: number): Promise<void> {
    this.#wantOpen('write');
    const write: UnsyncedWrite = { position, bytes: Uint8Array.from(Buffer.concat(parts)) };
    await this.inode.during(write, async () => {
      try {
        await this.#disk.called('write', this.path);
      } catch (error) {
        if (error instanceof DiskFault && error.late) this.#disk.keepForLater(this.inode, write);
        else if (error instanceof DiskFault) this.#land(write, error.landedBytes, error.unsyncable);
        throw error;
      }
    });
    const growth = Math.max(0, position + write.bytes.length - this.inode.size);
    const missing = Math.max(0, growth - this.#disk.freeBytes);
    this.#land(write, write.bytes.length - missing);
    if (missing > 0) throw systemError('ENOSPC', 'write', this.path);
    this.inode.settle();
  }

  #land({ position, bytes }: UnsyncedWrite, count: number, unsyncable = false): void {
    if (count > 0) this.inode.apply({ position, bytes: bytes.subarray(0, count) }, unsyncable);
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    this.#wantOpen('read');
    const most = (await this.#disk.called('read', this.path)) ?? target.length;
    const found = this.inode.bytes.subarray(position, position + Math.min(most, target.length));
    target.set(found);
    return found.length;
  }

  async size(): Promise<number> {
    this.#wantOpen('size');
    await this.#disk.called('size', this.path);
    return this.inode.size;
  }

  async truncate(bytes: number): Promise<void> {
    this.#wantOpen('truncate');
    await this.#disk.called('truncate', this.path);
    this.inode.truncate(bytes);
  }

  async sync(): Promise<void> {
    this.#wantOpen('sync');
    await this.#disk.called('sync', this.path);
    this.inode.settle();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#disk.closed(this);
  }

  #wantOpen(op: DiskOp): void {
    if (this.#closed) throw systemError('EBADF', op, this.path);
  }
}

function setName(names: Map<string, Named>, path: string, named: Named | null): void {
  if (named === null) names.delete(path);
  else names.set(path, named);
}

function systemError(code: string, op: DiskOp, path: string): Error {
  return Object.assign(new Error(`${code}: ${op} ${path}`), { code });
}
