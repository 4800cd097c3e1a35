/**
 * Where a record goes: key → partition → shard. The key hash is Kafka's murmur2, so a key lands on the partition
 * number that Kafka's default partitioner gives it; clients that build batches compute the same.
 */

/** Kafka's murmur2 over bytes; 32 bits, as a signed integer. Source: org.apache.kafka.common.utils.Utils. */
export function murmur2(bytes: Uint8Array): number {
  const m = 0x5bd1e995;
  const length = bytes.length;
  let h = 0x9747b28c ^ length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    let k =
      ((bytes[i] as number) |
        ((bytes[i + 1] as number) << 8) |
        ((bytes[i + 2] as number) << 16) |
        ((bytes[i + 3] as number) << 24)) >>>
      0;
    k = Math.imul(k, m);
    k ^= k >>> 24;
    k = Math.imul(k, m);
    h = Math.imul(h, m) ^ k;
  }
  const rest = length & 3;
  if (rest === 3) h ^= (bytes[i + 2] as number) << 16;
  if (rest >= 2) h ^= (bytes[i + 1] as number) << 8;
  if (rest >= 1) {
    h ^= bytes[i] as number;
    h = Math.imul(h, m);
  }
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
}

/** The partition of a key, in [0, partitions). */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}

const text = new TextEncoder();

/** The shard that is a topic's home (it holds the topic's entry in the catalogue), in [0, shards). */
export function homeShardOf(topic: string, shards: number): number {
  return (murmur2(text.encode(topic)) & 0x7fffffff) % shards;
}

/** The shard that owns (topic, partition): a topic's partitions go round the shards, beginning at its home. */
export function shardOf(topic: string, partition: number, shards: number): number {
  return (homeShardOf(topic, shards) + partition) % shards;
}
