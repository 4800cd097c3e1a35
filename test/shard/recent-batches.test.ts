/** What recent batches cost in memory, against what they are counted for. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { stampBatch } from '../../src/shard/batch-entry.ts';
import { RECENT_OVERHEAD_BYTES, type StoredBatch } from '../../src/shard/recent-batches.ts';

it('small batches are held for about the bytes that they are counted for, whatever else is made meanwhile', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const held = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = held();
  const batches: StoredBatch[] = [];
  let counted = 0;
  for (let n = 0; n < 20_000; n += 1) {
    const batch = new Uint8Array(60);
    const stamp = { handle: 1, producer: null, baseOffset: n, time: 1.7e12 + n, epoch: 1 };
    const { deliveredHeader } = stampBatch(stamp, batch.length);
    const stored = { baseOffset: n, count: 1, time: stamp.time, epoch: 1, bytes: 84, parts: [deliveredHeader, batch] };
    batches.push(stored);
    counted += stored.bytes + RECENT_OVERHEAD_BYTES;
    // Frames of the same moment, out of Node's pool.
    Buffer.allocUnsafe(2000).fill(n);
  }
  const grown = held() - before;
  expect(grown / counted).toBeLessThan(1.5);
  expect(batches).toHaveLength(20_000);
});
