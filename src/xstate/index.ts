/** `sluice/xstate`: topics for state machines. `docs/embedding.md` explains it. */

export type { PublishToOptions } from './topic-actors.ts';
export { type TopicActors, type TopicActorsOptions, type TopicClient, topicActors } from './topic-actors.ts';
export {
  type AckEvent,
  type AckMode,
  ack,
  type PublishFailure,
  type RecordEvent,
  type TopicGapEvent,
  type TopicOptions,
  type TopicOutput,
  type TopicProgress,
} from './topic-events.ts';
export type { EventOf, TopicActorLogic, TopicSnapshot } from './topic-logic.ts';
