/**
 * A pool of workers, one for each partition of a topic. The broker looks after them: a worker that fails is begun again,
 * and what it had not finished comes again. They leave with the broker: each finishes the job that it is at.
 */
import { createBroker } from 'sluice';
import { ack, topicActors } from 'sluice/xstate';
import { assign, fromPromise, sendTo, setup } from 'xstate';

const WORKERS = 3;
const JOBS = 30;

const broker = createBroker({ data: process.argv[2] ?? './data', listen: false, admin: false, logLevel: 'silent' });
await broker.start();
const client = await broker.client({ name: 'worker-pool' });
await client.createTopic('jobs', { partitions: WORKERS });
const { fromTopic } = topicActors(client);

const done = new Set();
let failures = 0;
let finished = () => {};
const allDone = new Promise((resolve) => {
  finished = resolve;
});

/** The work itself. The thirteenth job fails the first time, as jobs do. */
const work = fromPromise(async ({ input: job }) => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  if (job === 13 && failures === 0) {
    failures += 1;
    throw new Error('job 13 went wrong');
  }
  done.add(job);
  if (done.size === JOBS) finished();
});

const worker = setup({
  actors: {
    work,
    jobs: fromTopic(({ partition }) => ({
      topic: 'jobs',
      group: 'workers',
      partitions: [partition],
      ack: 'manual',
      inFlight: 1,
      event: 'job',
    })),
  },
  actions: { acknowledge: sendTo('jobs', ({ context }) => ack(context.record)) },
}).createMachine({
  context: ({ input }) => ({ partition: input.partition, record: null, leaving: false }),
  // Lasts for as long as the worker does; a job is held until the worker is idle.
  invoke: { id: 'jobs', src: 'jobs', input: ({ context }) => ({ partition: context.partition }) },
  initial: 'idle',
  states: {
    idle: { on: { job: 'working', shutdown: 'gone' } },
    working: {
      entry: assign({ record: ({ event }) => event.record }),
      invoke: {
        src: 'work',
        input: ({ event }) => event.record.value,
        // Committed only now: a worker that breaks before this gets the job again.
        onDone: [
          { guard: ({ context }) => context.leaving, target: 'gone', actions: 'acknowledge' },
          { target: 'idle', actions: 'acknowledge' },
        ],
      },
      // Told to leave in the middle of a job, it finishes that first.
      on: { shutdown: { actions: assign({ leaving: true }) } },
    },
    gone: { type: 'final' },
  },
});

for (let partition = 0; partition < WORKERS; partition += 1) {
  broker.supervise(`worker-${partition}`, worker, { restarts: 3, withinMs: 60_000, input: { partition } });
}

for (let job = 0; job < JOBS; job += 1) await client.publish('jobs', { value: job, partition: job % WORKERS });
await allDone;
console.log(`${done.size} jobs done, ${failures} failure mended`);

const report = await broker.stop({ reason: 'all is done' });
console.log(`stopped: ${report.outcome}`);
process.exitCode = report.exitCode;
