/** The generator's process: takes one job by IPC, answers with its result, and ends when its parent lets go. */
import { type AppendsJob, appends } from './appends.ts';
import { type BatchesJob, batches } from './batches.ts';
import { type ClosedLoopJob, closedLoop } from './closed-loop.ts';
import { type FanOutJob, fanOut } from './fan-out.ts';
import { type FillJob, fill } from './fill.ts';
import { type FirstAckJob, firstAck } from './first-ack.ts';
import { type IdleJob, idle } from './idle.ts';
import { type PacedJob, paced } from './paced.ts';
import { type ReplayJob, replay } from './replay.ts';
import { type CreateTopicsJob, createTopics, type SpreadJob, spread } from './topics.ts';

export type Job =
  | AppendsJob
  | BatchesJob
  | ClosedLoopJob
  | CreateTopicsJob
  | FanOutJob
  | FillJob
  | FirstAckJob
  | IdleJob
  | PacedJob
  | ReplayJob
  | SpreadJob;

function run(job: Job): Promise<object> {
  switch (job.job) {
    case 'appends':
      return appends(job);
    case 'batches':
      return batches(job);
    case 'closed-loop':
      return closedLoop(job);
    case 'create-topics':
      return createTopics(job);
    case 'fan-out':
      return fanOut(job);
    case 'fill':
      return fill(job);
    case 'first-ack':
      return firstAck(job);
    case 'idle':
      return idle(job);
    case 'paced':
      return paced(job);
    case 'replay':
      return replay(job);
    case 'spread':
      return spread(job);
  }
}

process.once('message', (job: Job) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
process.once('disconnect', () => process.exit(0));
