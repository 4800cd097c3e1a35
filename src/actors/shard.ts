/** The shard actor: the shard's chart with its effects, which are those of the shard's `ShardRuntime`. */
import { fromPromise } from 'xstate';
import { assert, BrokerError } from '../errors.ts';
import { type ShardStep, shardMachine } from '../machines/shard.ts';
import type { ShardRuntime } from './shard-runtime.ts';

/** The logic of every shard of a broker; which runtime one has, its number says. */
export function shardLogic(runtimes: readonly ShardRuntime[]): typeof shardMachine {
  const of = ({ shard }: ShardStep): ShardRuntime => {
    const runtime = runtimes[shard];
    assert(runtime !== undefined, `there is no shard ${shard}`);
    return runtime;
  };
  const step = (run: (runtime: ShardRuntime, signal: AbortSignal) => Promise<void>) =>
    fromPromise<void, ShardStep>(({ input, signal }) => run(of(input), signal));
  return shardMachine.provide({
    actors: {
      open: step((runtime) => runtime.open()),
      recover: step((runtime, signal) => runtime.recover(signal)),
      settle: step((runtime) => runtime.settle()),
      writeRemaining: step((runtime) => runtime.writeRemaining()),
      checkpoint: step((runtime) => runtime.checkpoint()),
      mark: step((runtime) => runtime.markClean()),
      release: step((runtime) => runtime.release()),
    },
    actions: {
      openGate: ({ context, self }) => {
        const runtime = of(context);
        runtime.onFault = (error) => self.send({ type: 'shard.fault', error });
        runtime.openGate();
      },
      closeGate: ({ context }, { retryAfterMs }) => of(context).closeGate(retryAfterMs),
      prepare: ({ context }) => of(context).prepare(),
      abortRecovery: ({ context }) => of(context).abortRecovery(),
      fence: ({ context }, { reason }) => of(context).fence(new BrokerError('SHARD_FAILED', reason)),
    },
  });
}
