/**
 * The data lock on `level`: opening a store takes a lock of the kernel on a file in it, which ends with the process that
 * holds it, however that dies, and is refused to a second opener in the same process too. A file `LOCK` beside it says
 * who holds it, for people; it is not the lock.
 */
import { realpath } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { BrokerError, messageOf, systemCodeOf } from '../errors.ts';
import type { AcquireDataLock, DataLock, LockHolder } from './data-lock.ts';
import type { Disk } from './disk.ts';
import { tableFault } from './level-table-check.ts';

/** The name is written behind the lock; in between there is a holder without one. */
const unnamed = 'another process, which has not said its name yet';

/** The file in the store that the kernel's lock is on: LevelDB's own name for it. */
const LOCK_FILE = 'LOCK';

/**
 * Directories held by this process. Looked at before LevelDB is asked: refusing a second opener in one process, it
 * closes a descriptor of the lock file, and with any descriptor of it the kernel ends the lock of the whole process.
 */
const heldHere = new Set<string>();

export function levelLock(disk: Disk): AcquireDataLock {
  return async (path, holder) => {
    const named = join(path, 'LOCK');
    const real = await realpath(path);
    if (heldHere.has(real))
      throw new BrokerError('DATA_DIR_LOCKED', `${path} is held by ${await holderOf(disk, named)}`);
    heldHere.add(real);
    try {
      return await acquire(path, named, holder, () => heldHere.delete(real));
    } catch (error) {
      heldHere.delete(real);
      throw error;
    }
  };

  async function acquire(path: string, named: string, holder: LockHolder, released: () => void): Promise<DataLock> {
    const store = await openStore(join(path, 'lock'), () => holderOf(disk, named), disk);
    try {
      await disk.replaceSmallFile(named, Buffer.from(`${JSON.stringify(holder)}\n`));
    } catch (error) {
      await store.close();
      throw notLockable(path, error, error);
    }
    let releasing: Promise<void> | null = null;
    const release = async (): Promise<void> => {
      try {
        await disk.remove(named);
      } finally {
        // The name is for people; the lock goes whatever becomes of it.
        await store.close();
        released();
      }
    };
    return {
      release: () => {
        releasing ??= release();
        return releasing;
      },
    };
  }
}

async function openStore(path: string, holder: () => Promise<string>, disk: Disk): Promise<Level> {
  // A damaged table file would end the process instead of failing the open.
  const fault = await faultOf(path);
  if (fault !== null) return remake(path, holder, disk, fault);
  const store = new Level(path);
  try {
    await store.open();
    return store;
  } catch (error) {
    await store.close();
    if (isLocked(error))
      throw new BrokerError('DATA_DIR_LOCKED', `${path.slice(0, -'/lock'.length)} is held by ${await holder()}`, {
        cause: error,
      });
    return remake(path, holder, disk, error);
  }
}

/** Why the store's tables can't be trusted; null when they can. One that does not even read, such as a file, is damaged. */
async function faultOf(path: string): Promise<unknown> {
  try {
    const fault = await tableFault(path);
    return fault === null ? null : new Error(fault);
  } catch (error) {
    return error;
  }
}

/**
 * The store holds nothing: a damaged one is made anew. All but its lock file, which may be another's: with it removed,
 * the next opener would lock a new file of that name, and two would hold the directory.
 */
async function remake(path: string, holder: () => Promise<string>, disk: Disk, cause: unknown): Promise<Level> {
  const directory = path.slice(0, -'/lock'.length);
  try {
    await removeDamaged(path, disk);
  } catch (error) {
    throw notLockable(directory, cause, error);
  }
  const store = new Level(path);
  try {
    await store.open();
    return store;
  } catch (error) {
    await store.close();
    if (isLocked(error))
      throw new BrokerError('DATA_DIR_LOCKED', `${directory} is held by ${await holder()}`, { cause: error });
    throw notLockable(directory, cause, error);
  }
}

async function removeDamaged(path: string, disk: Disk): Promise<void> {
  let names: readonly string[];
  try {
    names = await disk.list(path);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOTDIR') await disk.remove(path);
    else if (code !== 'ENOENT') throw error;
    return;
  }
  for (const name of names) if (name !== LOCK_FILE) await disk.removeTree(join(path, name));
}

/** `why` is what went wrong first, `cause` what did last. */
function notLockable(path: string, why: unknown, cause: unknown): BrokerError {
  let first = why;
  // The store says that it failed to open, and its cause says why.
  while (first instanceof Error && first.cause instanceof Error) first = first.cause;
  const said = `the data directory ${path} cannot be locked: ${messageOf(first)}; choose another with --data`;
  return new BrokerError('DATA_DIR_INVALID', said, { cause });
}

function isLocked(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ((at as NodeJS.ErrnoException).code === 'LEVEL_LOCKED') return true;
  }
  return false;
}

async function holderOf(disk: Disk, named: string): Promise<string> {
  try {
    const text = Buffer.from((await disk.readSmallFile(named)) ?? []).toString();
    const { pid, host, since } = JSON.parse(text) as LockHolder;
    // Left by one that was killed: who holds the lock now is about to write over it.
    if (host === hostname() && !isAlive(pid)) return unnamed;
    return `process ${pid} on ${host} since ${new Date(since).toISOString()}`;
  } catch {
    return unnamed;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // One that may not be asked is there.
    return systemCodeOf(error) !== 'ESRCH';
  }
}
