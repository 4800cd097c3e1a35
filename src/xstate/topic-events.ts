/** What topic actors are asked for, what they tell their parent, and what it tells them. Types alone, and one maker. */
import type { SluiceError } from '../client/error.ts';
import type { GapEvent, SchemaIssue, SluiceRecord, StandardSchemaV1, SubscribeOptions } from '../client/index.ts';

/**
 * `delivered`: a record is committed once the parent's machine has taken its event · `manual`: once the parent has
 * acknowledged it and all before it · `none`: nothing is committed.
 */
export type AckMode = 'delivered' | 'manual' | 'none';

export interface TopicOptions<Topic extends string = string, Type extends string = string, Value = unknown>
  extends Pick<SubscribeOptions, 'from' | 'partitions' | 'credit'> {
  readonly topic: Topic;
  /** Name under which the place is kept. Needed for every `ack` but `none`. */
  readonly group?: string | undefined;
  /** Default: `delivered` with a group, `none` without. */
  readonly ack?: AckMode | undefined;
  /** Type of the event that brings a record. Default: `record.` and the topic. */
  readonly event?: Type | undefined;
  /** Records delivered to the parent and not acknowledged, at most, with `ack: 'manual'`. Default 16. */
  readonly inFlight?: number | undefined;
  /** What values have to fit. One that does not is the actor's error, unless `onInvalid` takes it. */
  readonly schema?: StandardSchemaV1<unknown, Value> | undefined;
  /** Told of a record that does not fit the schema, which is then passed over. */
  readonly onInvalid?: ((record: SluiceRecord, issues: readonly SchemaIssue[]) => void) | undefined;
}

/** Brings a record to the parent. */
export interface RecordEvent<Type extends string = string, Value = unknown> {
  readonly type: Type;
  readonly record: SluiceRecord<Value>;
}

/** Tells the parent, between the records around them, that records are missing. Unlike a record it is not held. */
export interface TopicGapEvent extends Omit<GapEvent, 'subscription'> {
  readonly type: 'gap';
}

/** Tells a topic actor with `ack: 'manual'` that a record is done with. */
export interface AckEvent {
  readonly type: 'ack';
  readonly record: Pick<SluiceRecord, 'partition' | 'epoch' | 'offset'>;
}

/** The event that acknowledges a record: `sendTo('orders', ({ event }) => ack(event.record))`. */
export function ack(record: AckEvent['record']): AckEvent {
  return { type: 'ack', record };
}

/** How a topic actor stands, for people and for tests. Changes as it goes on. */
export interface TopicProgress {
  /** Events delivered to the parent. */
  delivered: number;
  /** Of these, those whose commit has been confirmed: by `delivered` or `manual`. */
  committed: number;
  /** A record waits for a state of the parent that takes it. */
  held: boolean;
}

/** What a topic actor ends with, when its client is closed. */
export interface TopicOutput {
  readonly delivered: number;
  readonly committed: number;
}

/** Sent by an action of `publishTo` whose record was not stored, when nothing else was asked for. */
export interface PublishFailure {
  readonly type: `xstate.error.actor.publish.${string}`;
  readonly actorId: string;
  readonly error: SluiceError;
}
