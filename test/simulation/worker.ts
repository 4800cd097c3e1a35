/** A process that runs the seeds that it is sent, and sends back what came of each. Ends when it is disconnected. */
import { runSeed } from './seeds.ts';

interface Lot {
  readonly from: number;
  readonly count: number;
}

process.on('message', ({ from, count }: Lot) => {
  void (async () => {
    for (let seed = from; seed < from + count; seed += 1) process.send?.(await runSeed(seed));
  })();
});
