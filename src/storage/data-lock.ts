/** The data-lock port: one process, and one broker in it, per data directory. */

export interface DataLock {
  /** Lets go. Safe to call twice. */
  release(): Promise<void>;
}

/** Takes the lock of a data directory. DATA_DIR_LOCKED names who holds it. */
export type AcquireDataLock = (path: string, holder: LockHolder) => Promise<DataLock>;

export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** Wall time, ms since 1970. */
  readonly since: number;
  readonly version: string;
}
