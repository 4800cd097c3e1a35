/**
 * What the generator asks of a system: the same few calls for all of them, made through the client library that an
 * application in Node would use. A client is one connection (Redis: one more for each subscription, as it demands).
 */
export interface BenchClient {
  /** Makes what has to be there before a publish to `topic`: a topic, a stream. Called once per topic and run. Where a
   * stream has partitions it gets one, for one total order as the peers have it, unless told otherwise. */
  prepare(topic: string, partitions?: number): Promise<void>;
  /** Resolves when the system has acknowledged the record. */
  publish(topic: string, value: Buffer): Promise<unknown>;
  /** Hands every record published from now on to `receive`, in order; resolves when the system has taken the wish. */
  subscribe(topic: string, receive: (value: Uint8Array) => void): Promise<void>;
  close(): Promise<void>;
}

/** Where a server listens and how it is spoken to: plain data, since it travels to the generator's process. */
export interface Target {
  readonly client: 'sluice' | 'jetstream' | 'nats' | 'redis' | 'mqtt' | 'websocket';
  readonly url: string;
  /** For topics that the bench makes in Sluice. */
  readonly durability?: 'sync' | 'async';
}
