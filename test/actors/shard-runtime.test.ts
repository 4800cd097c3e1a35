/** The runtime of a shard where the whole broker never brings it to by itself. */
import { expect, it } from 'vitest';
import { ShardRuntime } from '../../src/actors/shard-runtime.ts';
import { configSchema } from '../../src/config.ts';
import { BrokerError } from '../../src/errors.ts';
import { ShardTable } from '../../src/shard/shard-table.ts';
import { MemoryMeta, RecordingLogger, SimulatedClock } from '../../src/testing/index.ts';

it('ends the opening of its log when it is given up, whoever gives it up', async () => {
  const config = configSchema.parse({});
  const opening: AbortSignal[] = [];
  const runtime = new ShardRuntime({
    shard: 0,
    config,
    clock: new SimulatedClock(),
    logger: new RecordingLogger(),
    table: new ShardTable(1),
    onServing: () => {},
    stores: {
      openLog: (_, signal) => {
        opening.push(signal);
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
      meta: new MemoryMeta(),
      metaDirectory: '/meta',
    },
    space: { ensureReserve: async () => {}, giveBack: async () => 0, freeBytes: async () => 0 },
  });
  const opened = runtime.open();
  await new Promise(setImmediate);
  runtime.fence(new BrokerError('SHARD_FAILED', 'given up'));
  await expect(opened).rejects.toMatchObject({ message: 'given up' });
  expect(opening.map(({ aborted }) => aborted)).toEqual([true]);
});
