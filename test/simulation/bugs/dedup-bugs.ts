/** Bugs of idempotent publishing. */
import type { Bug } from './bug.ts';

export const dedupBugs: readonly Bug[] = [
  {
    name: 'forgotten-dedup',
    text: 'A sequence that was stored is taken for a new one.',
    shownBy: ['S6'],
    edits: [
      {
        file: 'src/domain/producer-window.ts',
        find: "if (sequence > this.#last) return { is: 'new' };",
        replace: "if (sequence >= 0) return { is: 'new' };",
      },
    ],
  },
  {
    name: 'window-off-by-one',
    text: 'The last sequence that was stored counts as new.',
    shownBy: ['S6'],
    edits: [
      {
        file: 'src/domain/producer-window.ts',
        find: "if (sequence > this.#last) return { is: 'new' };",
        replace: "if (sequence >= this.#last) return { is: 'new' };",
      },
      {
        file: 'src/shard/producers-in-flight.ts',
        find: "const last = Math.max(verdict.is === 'stale' ? verdict.last : -1, flight ?? -1);",
        replace: "const last = Math.max(verdict.is === 'stale' ? verdict.last : -1, (flight ?? 0) - 1);",
      },
    ],
  },
  {
    name: 'windows-not-saved',
    text: 'Producer windows are rebuilt by the replay alone, and what lies before the checkpoint is not replayed. RabbitMQ streams and Kafka both keep them in snapshots for that.',
    shownBy: ['S6', 'S3', 'S1'],
    edits: [
      {
        file: 'src/shard/checkpoint.ts',
        find: 'for (const key of changes.producers) row(',
        replace: 'for (const key of new Set<string>()) row(',
      },
    ],
  },
  {
    name: 'resend-answered-with-new-offset',
    text: 'A resend is answered with the end of the partition, not with where it is stored.',
    shownBy: ['S6', 'S2', 'S1'],
    edits: [
      {
        file: 'src/shard/producers-in-flight.ts',
        find: 'outcome.published(verdict.offset, verdict.epoch, true);',
        replace: 'outcome.published(partition.durable, verdict.epoch, true);',
      },
    ],
  },
  {
    name: 'dedup-by-sequence-alone',
    text: 'Two producers on a partition share one window.',
    shownBy: ['S1', 'S2', 'S6'],
    edits: [
      {
        file: 'src/shard/shard-state.ts',
        find: 'producer(handle: number, id: string): ProducerWindow | undefined {',
        replace: "producer(handle: number, id: string): ProducerWindow | undefined {\n    id = '';",
      },
      {
        file: 'src/shard/shard-state.ts',
        find: '#storeProducer(batch: AppliedBatch, id: string, sequence: number): void {',
        replace: "#storeProducer(batch: AppliedBatch, id: string, sequence: number): void {\n    id = '';",
      },
    ],
  },
  {
    name: 'in-flight-forgotten',
    text: 'Only what is durable is remembered: a resend that comes while the first is being written is stored again.',
    shownBy: ['S6', 'S3'],
    edits: [
      {
        file: 'src/shard/shard-engine.ts',
        find: 'if (request.producer !== null) this.#inFlight.add(publish);',
        replace: '',
      },
    ],
  },
  {
    name: 'overtaken-after-refusal',
    text: 'A publish is refused for now, and those sent behind it are taken: what is stored is no prefix. A Kafka producer that is not idempotent reorders so with several requests in flight.',
    shownBy: ['S3'],
    edits: [
      {
        file: 'src/actors/session-publisher.ts',
        find: 'if (refusal !== undefined && sequence > refusal.sequence) {',
        replace: 'if (refusal !== undefined && sequence < refusal.sequence) {',
      },
      // Not part of the mistake: a low bound, so that publishes are refused for now in the middle of others.
      {
        file: 'src/shard/shard-engine.ts',
        find: '> 2 * this.#options.limits.shardQueueBytes',
        replace: '> 2000',
      },
    ],
  },
];
