import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { homeShardOf, murmur2, partitionOfKey, shardOf } from '../../src/domain/partition.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('murmur2', () => {
  // From org.apache.kafka.common.utils.UtilsTest.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('hashes %j as Kafka does', (text, hash) => {
    expect(murmur2(bytes(text))).toBe(hash);
  });

  // From librdkafka's unit test of its murmur2: of every length modulo 4.
  it.each([
    ['', 0x106e08d9],
    ['4', 0x5a4b5ca1],
    ['34', 0x873930da],
    ['234', 0xe7c009ca],
    ['1234', 0x9fc97b14],
    ['kafka', 0xd067cf64],
    ['giberish123456789', 0x8f552b0c],
  ])('hashes %j as librdkafka does', (text, hash) => {
    expect(murmur2(bytes(text)) >>> 0).toBe(hash);
  });

  it('reads bytes above 127 as unsigned', () => {
    expect(murmur2(new Uint8Array([0x80, 0xff, 0xfe, 0x81]))).not.toBe(murmur2(new Uint8Array([0, 0x7f, 0x7e, 1])));
    expect(Number.isInteger(murmur2(new Uint8Array([0xff, 0xff, 0xff])))).toBe(true);
  });

  it('hashes a view as it hashes a copy', () => {
    const whole = bytes('xxfoobarxx');
    expect(murmur2(whole.subarray(2, 8))).toBe(murmur2(bytes('foobar')));
  });
});

describe('the partition of a key', () => {
  it('is Kafka’s: the hash without its sign, modulo the partitions', () => {
    expect(partitionOfKey(bytes('foobar'), 1000)).toBe((-790332482 & 0x7fffffff) % 1000);
    expect(partitionOfKey(bytes('21'), 7)).toBe((-973932308 & 0x7fffffff) % 7);
  });

  it('is one of the topic’s, for any key and count', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.integer({ min: 1, max: 1024 }), (key, partitions) => {
        const partition = partitionOfKey(key, partitions);
        expect(partition).toBeGreaterThanOrEqual(0);
        expect(partition).toBeLessThan(partitions);
        expect(Number.isInteger(partition)).toBe(true);
      }),
    );
  });

  it('spreads keys over all partitions', () => {
    const counts = new Array<number>(8).fill(0);
    for (let key = 0; key < 8000; key += 1) {
      const partition = partitionOfKey(bytes(`key-${key}`), 8);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(200);
  });
});

describe('the shard of a partition', () => {
  it('goes round the shards, beginning at the home of the topic', () => {
    const home = homeShardOf('orders', 4);
    expect(home).toBe((murmur2(bytes('orders')) & 0x7fffffff) % 4);
    expect([0, 1, 2, 3, 4].map((partition) => shardOf('orders', partition, 4))).toEqual(
      [0, 1, 2, 3, 4].map((step) => (home + step) % 4),
    );
  });
});
