/**
 * The meta store on `level`. LevelDB is told apart from what is promised over it: this file maps calls and errors,
 * `meta-store.ts` checks every row. One store per shard, opened by the shard.
 */
import { rm } from 'node:fs/promises';
import { Level } from 'level';
import { BrokerError, messageOf } from '../errors.ts';
import { tableFault } from './level-table-check.ts';
import type { MetaFactory } from './meta.ts';
import type { StoredRow } from './meta-row.ts';
import { CheckedMetaStore, type RowRange, type RowStore, type RowWrite } from './meta-store.ts';

type Database = Level<Uint8Array, Uint8Array>;

/**
 * Sizes in bytes. Two write buffers may be held in memory at once. Values are small or random: compression would cost
 * and gain nothing. Few files: descriptors belong to sockets and logs.
 */
const options = {
  keyEncoding: 'view',
  valueEncoding: 'view',
  compression: false,
  writeBufferSize: 4 * 1024 * 1024,
  cacheSize: 8 * 1024 * 1024,
  maxOpenFiles: 64,
} as const;

class LevelRows implements RowStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async batch(writes: readonly RowWrite[], durable: boolean): Promise<void> {
    await this.#database.batch(
      writes.map(({ key, value }) =>
        value === null ? ({ type: 'del', key } as const) : ({ type: 'put', key, value } as const),
      ),
      { sync: durable },
    );
  }

  async rows(range: RowRange): Promise<readonly StoredRow[]> {
    const iterator = this.#database.iterator({ ...range, fillCache: range.limit === 1 });
    const found = await iterator.all();
    return found.map(([key, value]) => ({ key, value }));
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

export const levelMeta: MetaFactory = {
  async open(directory) {
    let database: Database;
    try {
      const fault = await tableFault(directory);
      if (fault !== null) throw new Error(fault);
      database = new Level(directory, options);
      await database.open();
    } catch (error) {
      throw openError(error, directory);
    }
    return await CheckedMetaStore.open(new LevelRows(database), directory);
  },

  async destroy(directory) {
    try {
      await rm(directory, { recursive: true, force: true });
    } catch (error) {
      throw BrokerError.from(error, 'META_DAMAGED', `meta store ${directory} cannot be removed`);
    }
  },
};

/** `level` wraps what went wrong in a LEVEL_DATABASE_NOT_OPEN; its cause says what it was. */
function openError(error: unknown, directory: string): BrokerError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED') {
    return new BrokerError('DATA_DIR_LOCKED', `meta store ${directory} is held by another process`, { cause });
  }
  return new BrokerError('META_DAMAGED', `meta store ${directory} cannot be opened: ${messageOf(cause)}`, { cause });
}
