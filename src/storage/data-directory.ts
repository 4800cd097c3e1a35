/**
 * The data directory: what it is, who may use it, and where things lie in it. `sluice.json` is written once, when the
 * directory is made; its shard count holds for good.
 */
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { BrokerError, messageOf, systemCodeOf } from '../errors.ts';
import type { Disk } from './disk.ts';

export const DATA_FORMAT = 1;

const formatSchema = z.object({ format: z.number().int() });
const identitySchema = z.object({
  format: z.literal(DATA_FORMAT),
  shards: z.number().int().min(1).max(256),
  clusterId: z.string(),
  createdAt: z.number().int(),
});

export type DataIdentity = z.infer<typeof identitySchema>;

export class DataDirectory {
  readonly path: string;
  readonly identity: DataIdentity;
  /** Made by this call, and empty. */
  readonly fresh: boolean;

  constructor(path: string, identity: DataIdentity, fresh: boolean) {
    this.path = path;
    this.identity = identity;
    this.fresh = fresh;
  }

  get shardsPath(): string {
    return join(this.path, 'shards');
  }

  shardPath(shard: number): string {
    return join(this.shardsPath, String(shard).padStart(2, '0'));
  }

  logPath(shard: number): string {
    return join(this.shardPath(shard), 'log');
  }

  metaPath(shard: number): string {
    return join(this.shardPath(shard), 'meta');
  }

  reservePath(shard: number): string {
    return join(this.shardPath(shard), 'reserve');
  }

  get reportPath(): string {
    return join(this.path, 'last-shutdown.json');
  }
}

export interface NewDirectory {
  readonly shards: number;
  readonly clusterId: string;
  readonly createdAt: number;
}

/** Names that others leave in a folder without making it theirs. */
const harmless = new Set(['lost+found', '.DS_Store', '.gitkeep']);

/**
 * Opens a data directory, or makes one in a folder that is new or empty. DATA_DIR_INVALID, DATA_DIR_VERSION. The caller
 * holds the lock.
 */
export async function openDataDirectory(disk: Disk, path: string, fresh: NewDirectory): Promise<DataDirectory> {
  const found = await readDataDirectory(disk, path);
  if (found !== null) return found;
  const identity: DataIdentity = { format: DATA_FORMAT, ...fresh };
  await usable(path, 'written', async () => {
    await disk.replaceSmallFile(identityPath(path), Buffer.from(`${JSON.stringify(identity, null, 2)}\n`));
  });
  return new DataDirectory(path, identity, true);
}

/** Makes the folder, when it is not there, and makes sure that it is a Sluice directory or empty. */
export async function prepareDataDirectory(disk: Disk, path: string): Promise<void> {
  await usable(path, 'made', async () => {
    await disk.makeDirectory(path);
    await syncNames(disk, path);
  });
  if ((await readDataDirectory(disk, path)) !== null) return;
  const names = await usable(path, 'listed', () => disk.list(path));
  const ours = new Set(['lock', 'LOCK', 'LOCK.new', `${basename(identityPath(path))}.new`]);
  const foreign = names.filter((name) => !ours.has(name) && !harmless.has(name));
  if (foreign.length === 0) return;
  throw new BrokerError(
    'DATA_DIR_INVALID',
    `${path} is not empty and not a Sluice data directory (it holds ${foreign.slice(0, 3).join(', ')}); choose another with --data`,
  );
}

/** Makes the names that lead to a folder durable: one that a power cut loses takes all in it along. */
async function syncNames(disk: Disk, path: string): Promise<void> {
  for (let at = path; dirname(at) !== at; at = dirname(at)) {
    try {
      await disk.syncDirectory(dirname(at));
    } catch (error) {
      // A folder that may not be read was not made here, nor was any above it.
      if (systemCodeOf(error) === 'EACCES' || systemCodeOf(error) === 'EPERM') return;
      throw error;
    }
  }
}

/** What an existing data directory is; null where there is none. Changes nothing. */
export async function readDataDirectory(disk: Disk, path: string): Promise<DataDirectory | null> {
  const bytes = await usable(path, 'read', () => disk.readSmallFile(identityPath(path)));
  if (bytes === null) return null;
  let format: number;
  let identity: DataIdentity | null;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes).toString());
    ({ format } = formatSchema.parse(parsed));
    // What else a newer version wrote is its own affair.
    identity = format > DATA_FORMAT ? null : identitySchema.parse(parsed);
  } catch (error) {
    throw new BrokerError('DATA_DIR_INVALID', `${identityPath(path)} does not read as one: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (identity === null) {
    throw new BrokerError(
      'DATA_DIR_VERSION',
      `${path} has data format ${format}; this Sluice knows up to ${DATA_FORMAT}. Use the newer version that wrote it`,
    );
  }
  return new DataDirectory(path, identity, false);
}

function identityPath(path: string): string {
  return join(path, 'sluice.json');
}

async function usable<T>(path: string, done: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const code = systemCodeOf(error);
    const why =
      code === 'ENOTDIR' || code === 'EEXIST'
        ? 'is a file, not a directory'
        : code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
          ? `cannot be ${done}: permission denied (${code})`
          : `cannot be ${done}: ${messageOf(error)}`;
    throw new BrokerError('DATA_DIR_INVALID', `the data directory ${path} ${why}; choose another with --data`, {
      cause: error,
    });
  }
}
