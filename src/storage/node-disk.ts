/** The disk port on `node:fs`. Files are 0600, directories 0700; every write that resolves is durable. */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, statfs, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Disk, DiskFile, DiskSpace } from './disk.ts';

/** Absent on Windows, where a sync follows each write instead. */
const O_DSYNC: number | undefined = constants.O_DSYNC;
/** Most parts that one `writev` takes everywhere (IOV_MAX). */
const PARTS_MAX = 1024;

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #closing: Promise<void> | null = null;

  constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  async writeSynced(parts: readonly Uint8Array[], position: number): Promise<void> {
    let at = position;
    for (let first = 0; first < parts.length; first += PARTS_MAX) {
      at += await this.#writeAll(parts.slice(first, first + PARTS_MAX), at);
    }
    if (O_DSYNC === undefined) await this.#handle.datasync();
  }

  /** Writes all of `parts`, also when the system takes fewer bytes than it was given. */
  async #writeAll(parts: readonly Uint8Array[], position: number): Promise<number> {
    let left = [...parts];
    let written = 0;
    while (left.length > 0) {
      const { bytesWritten } = await this.#handle.writev(left, position + written);
      if (bytesWritten === 0 && left.some((part) => part.length > 0)) {
        throw Object.assign(new Error(`no byte could be written to ${this.path}`), { code: 'EIO' });
      }
      written += bytesWritten;
      left = behind(left, bytesWritten);
    }
    return written;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let read = 0;
    while (read < target.length) {
      const { bytesRead } = await this.#handle.read(target, read, target.length - read, position + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return read;
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  truncate(bytes: number): Promise<void> {
    return this.#handle.truncate(bytes);
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  close(): Promise<void> {
    this.#closing ??= this.#handle.close();
    return this.#closing;
  }
}

/** What of `parts` lies behind their first `bytes` bytes. */
function behind(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  const left: Uint8Array[] = [];
  for (const part of parts) {
    if (skip >= part.length) skip -= part.length;
    else {
      left.push(skip === 0 ? part : part.subarray(skip));
      skip = 0;
    }
  }
  return left;
}

export const nodeDisk: Disk = {
  async openRead(path) {
    return new NodeFile(path, await open(path, constants.O_RDONLY));
  },

  async openWrite(path, how) {
    const flags = constants.O_RDWR | (O_DSYNC ?? 0) | (how === 'create' ? constants.O_CREAT | constants.O_EXCL : 0);
    return new NodeFile(path, await open(path, flags, 0o600));
  },

  async list(path) {
    return (await readdir(path)).sort();
  },

  async makeDirectory(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },

  async syncDirectory(path) {
    // A directory can't be opened on Windows, whose file systems journal names by themselves.
    if (process.platform === 'win32') return;
    const handle = await open(path, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },

  async readSmallFile(path) {
    try {
      return await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  },

  async replaceSmallFile(path, bytes) {
    const beside = `${path}.new`;
    const handle = await open(beside, 'w', 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, path);
    await nodeDisk.syncDirectory(dirname(path));
  },

  async remove(path) {
    try {
      await unlink(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  },

  removeTree(path) {
    return rm(path, { recursive: true, force: true });
  },

  async space(path): Promise<DiskSpace> {
    const { bavail, blocks, bsize } = await statfs(path);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  },
};
