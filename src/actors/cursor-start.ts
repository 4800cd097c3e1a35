/** Where a cursor begins: what a client asks for, as an offset of the partition as it stands. */
import { endOfEpoch } from '../domain/epoch.ts';
import { BrokerError } from '../errors.ts';
import type { StartPosition, SubscribeCommand } from '../protocol/commands.ts';
import type { Partition } from '../shard/partition.ts';
import type { ShardEngine } from '../shard/shard-engine.ts';
import type { CursorStart } from './subscription.ts';

/** Where a subscription that was asked for begins on a partition. */
export async function startOf(
  engine: ShardEngine,
  partition: Partition,
  command: Pick<SubscribeCommand, 'from' | 'group' | 'positions'>,
): Promise<CursorStart> {
  const position = command.positions.get(partition.partition);
  const from: StartPosition = position === undefined ? command.from : { at: 'offset', ...position };
  const plain = (offset: number): CursorStart => ({ engine, partition, offset, gap: null });
  switch (from.at) {
    case 'earliest':
      return plain(partition.start);
    case 'latest':
      return plain(partition.highWatermark);
    case 'committed': {
      const committed = command.group === undefined ? undefined : engine.offsets.committed(partition, command.group);
      return committed === undefined ? plain(partition.start) : atOffset(engine, partition, committed, undefined);
    }
    case 'last':
      return plain(Math.max(partition.start, partition.highWatermark - from.count));
    case 'time':
      return plain(await engine.offsetAtTime(partition, from.time));
    case 'offset':
      return atOffset(engine, partition, from.offset, from.epoch);
  }
}

/** A start at an offset, or where the consumer can go on when a crash or retention took what it asks for. */
export function atOffset(
  engine: ShardEngine,
  partition: Partition,
  offset: number,
  epoch: number | undefined,
): CursorStart {
  const { start, highWatermark } = partition;
  if (epoch !== undefined && epoch > partition.epoch) {
    throw new BrokerError(
      'OFFSET_OUT_OF_RANGE',
      `${partition.label} is in epoch ${partition.epoch}; got epoch ${epoch}`,
    );
  }
  const end = epoch === undefined ? null : endOfEpoch(partition.epochs, epoch);
  if (end !== null && offset > end) {
    return { engine, partition, offset: end, gap: { reason: 'lost', from: end, to: offset } };
  }
  if (offset > highWatermark) throw rangeError(partition, offset);
  if (offset < start)
    return { engine, partition, offset: start, gap: { reason: 'retention', from: offset, to: start } };
  return { engine, partition, offset, gap: null };
}

export function rangeError(partition: Partition, offset: number): BrokerError {
  return new BrokerError(
    'OFFSET_OUT_OF_RANGE',
    `offset ${offset} is outside ${partition.start} to ${partition.highWatermark} of ${partition.label}`,
  );
}
