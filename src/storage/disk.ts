/**
 * The disk port: the file calls that the log is made of, and nothing more, so that a simulated disk can stand below
 * the real log. Paths are absolute. Every failure is an Error with a system `code` (ENOSPC, EIO, …).
 */

export interface DiskFile {
  readonly path: string;
  /**
   * Writes all of `parts`, one behind another, at `position`, and resolves once they are durable (O_DSYNC, or a sync
   * behind the write). The parts must not change until then. One write at a time.
   */
  writeSynced(parts: readonly Uint8Array[], position: number): Promise<void>;
  /** Reads up to `target.length` bytes at `position`; resolves with how many, fewer only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Size in bytes now. */
  size(): Promise<number>;
  truncate(bytes: number): Promise<void>;
  /** Makes the file's bytes and size durable. */
  sync(): Promise<void>;
  /** Lets go of the descriptor; safe to call twice. */
  close(): Promise<void>;
}

export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface Disk {
  /** Opens an existing file for reading; ENOENT when there is none. */
  openRead(path: string): Promise<DiskFile>;
  /** Opens for writing: `create` makes a new file of mode 0600 (EEXIST when there is one), `existing` wants one. */
  openWrite(path: string, how: 'create' | 'existing'): Promise<DiskFile>;
  /** Names in a directory, sorted. */
  list(path: string): Promise<string[]>;
  /** Makes a directory of mode 0700 and its parents; no error when it is there. */
  makeDirectory(path: string): Promise<void>;
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** The whole of a small file; null when there is none. */
  readSmallFile(path: string): Promise<Uint8Array | null>;
  /** Replaces a small file as one step: written beside it, synced, renamed into place, directory synced. */
  replaceSmallFile(path: string, bytes: Uint8Array): Promise<void>;
  /** No error when there is none. */
  remove(path: string): Promise<void>;
  /** Removes a directory and all in it; no error when there is none. */
  removeTree(path: string): Promise<void>;
  space(path: string): Promise<DiskSpace>;
}
