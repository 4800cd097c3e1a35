/** A disk over another one whose next write fails, is held, or lands late; the bytes of a failed write may be there. */
import type { Disk, DiskFile } from '../../src/storage/disk.ts';

interface WriteFault {
  readonly wait: Promise<void>;
  readonly landedBytes: number;
}

export interface HeldWrite {
  release(): void;
  fail(systemCode: string): void;
}

export class FaultDisk {
  readonly #below: Disk;
  #fault: WriteFault | null = null;
  #rest: (() => Promise<void>) | null = null;
  /** Descriptors that were opened and not closed. */
  openFiles = 0;

  constructor(below: Disk) {
    this.#below = below;
  }

  /** The next write fails; its first `landedBytes` bytes are there, the rest comes with `landLate`. */
  failWrite(systemCode: string, landedBytes = 0): void {
    const wait = Promise.reject(systemError(systemCode));
    wait.catch(() => {});
    this.#fault = { wait, landedBytes };
  }

  /** The next write waits. */
  holdWrite(): HeldWrite {
    let release = (): void => {};
    let fail = (_systemCode: string): void => {};
    const wait = new Promise<void>((resolve, reject) => {
      release = resolve;
      fail = (systemCode) => reject(systemError(systemCode));
    });
    wait.catch(() => {});
    this.#fault = { wait, landedBytes: 0 };
    return { release, fail };
  }

  /** The rest of the write that failed reaches its file, as a write that hung may. */
  async landLate(): Promise<void> {
    await this.#rest?.();
  }

  get disk(): Disk {
    const opened = (file: DiskFile): DiskFile => this.#watched(file);
    const below = this.#below;
    return {
      openRead: async (path) => opened(await below.openRead(path)),
      openWrite: async (path, how) => opened(await below.openWrite(path, how)),
      list: (path) => below.list(path),
      makeDirectory: (path) => below.makeDirectory(path),
      syncDirectory: (path) => below.syncDirectory(path),
      readSmallFile: (path) => below.readSmallFile(path),
      replaceSmallFile: (path, bytes) => below.replaceSmallFile(path, bytes),
      remove: (path) => below.remove(path),
      removeTree: (path) => below.removeTree(path),
      space: (path) => below.space(path),
    };
  }

  #watched(file: DiskFile): DiskFile {
    this.openFiles += 1;
    let closed = false;
    return {
      path: file.path,
      writeSynced: (parts, position) => this.#write(file, parts, position),
      read: (target, position) => file.read(target, position),
      size: () => file.size(),
      truncate: (bytes) => file.truncate(bytes),
      sync: () => file.sync(),
      close: async () => {
        if (!closed) this.openFiles -= 1;
        closed = true;
        await file.close();
      },
    };
  }

  async #write(file: DiskFile, parts: readonly Uint8Array[], position: number): Promise<void> {
    const fault = this.#fault;
    this.#fault = null;
    if (fault !== null) {
      const bytes = Uint8Array.from(Buffer.concat(parts));
      try {
        await fault.wait;
      } catch (error) {
        if (fault.landedBytes > 0) await file.writeSynced([bytes.subarray(0, fault.landedBytes)], position);
        this.#rest = () => file.writeSynced([bytes], position);
        throw error;
      }
    }
    await file.writeSynced(parts, position);
  }
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}
