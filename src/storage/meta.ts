/**
 * The meta port: the store of what the log can rebuild. It may lose, but must not lie: a row that comes back is the
 * row that was written, or `open` / `floor` reject with META_DAMAGED and the shard throws the store away.
 *
 * Two kinds of row. `resident` rows (topics, partitions, offsets, producers, the checkpoint) are all read at open and
 * covered by one sum, so that a lost or stale row is found. `index` rows are read one by one and carry their own CRC.
 */

export type MetaTable = 'resident' | 'index';

export interface MetaWrite {
  readonly table: MetaTable;
  readonly key: Uint8Array;
  /** null deletes. */
  readonly value: Uint8Array | null;
}

export interface MetaStore {
  /** Every resident row, in key order, checked against the sum. Once, before any write. META_DAMAGED. */
  load(): Promise<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]>;
  /** Applies all writes as one step. `durable`: synced before it resolves. One call at a time. */
  write(writes: readonly MetaWrite[], durable: boolean): Promise<void>;
  /** The index row with the greatest key in [lowest, key]; null when there is none. */
  floor(lowest: Uint8Array, key: Uint8Array): Promise<{ readonly key: Uint8Array; readonly value: Uint8Array } | null>;
  /** The index row with the least key in (key, highest]; null when there is none. */
  above(key: Uint8Array, highest: Uint8Array): Promise<{ readonly key: Uint8Array; readonly value: Uint8Array } | null>;
  /** Deletes every index row with a key in [lowest, highest]. */
  clearIndex(lowest: Uint8Array, highest: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Makes the store of one shard. */
export interface MetaFactory {
  /** Opens or creates the store in `directory`. Rejects with META_DAMAGED when it cannot be opened as one. */
  open(directory: string): Promise<MetaStore>;
  /** Removes all of it. */
  destroy(directory: string): Promise<void>;
}
