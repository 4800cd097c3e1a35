/** Where a loop stands, when the broker serves some of its partitions and then all of them again. */
import { expect, it } from 'vitest';
import { DeliveryBuffer } from '../../src/client/delivery-buffer.ts';

const at = (partition: number, offset: number) => ({ partition, offset, epoch: 1, highWatermark: 9 });

it('keeps the place of a partition that is left out while its shard does not serve', () => {
  const buffer = new DeliveryBuffer('orders');
  buffer.begin([at(0, 4), at(1, 7)]);
  buffer.begin([at(0, 4)]);
  expect(buffer.positions).toEqual([at(0, 4), at(1, 7)]);
  // The broker's word for a partition that was not asked for by its position is not the loop's.
  buffer.begin([at(0, 4), at(1, 0)]);
  expect(buffer.positions).toEqual([at(0, 4), at(1, 7)]);
});
