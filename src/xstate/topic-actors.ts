/**
 * Topics for state machines: actors that read from a topic, actions and actors that publish to one. Made for a client,
 * over a socket or in the broker's process; in browsers, too.
 */
import {
  type ActionArgs,
  type AnyActorRef,
  type EventObject,
  fromPromise,
  type MachineContext,
  type PromiseActorLogic,
} from 'xstate';
import type { SluiceError } from '../client/error.ts';
import type { Ack, Client, PublishOptions, PublishRecord } from '../client/index.ts';
import type { PublishFailure, RecordEvent, TopicGapEvent, TopicOptions } from './topic-events.ts';
import { type TopicActorLogic, topicLogic } from './topic-logic.ts';
import { takes } from './topic-run.ts';

/** As much of a client as is used. */
export type TopicClient = Pick<Client, 'publish' | 'subscribe'>;

export interface TopicActorsOptions {
  /**
   * Told of a publish of an action that failed when its actor had ended already, so that no actor can hear of it.
   * Default: the error is thrown where nobody catches it.
   */
  readonly onUnheard?: ((error: SluiceError, topic: string) => void) | undefined;
}

export interface PublishToOptions extends Pick<PublishOptions, 'deadlineMs'> {
  /**
   * The event that tells the machine of a record that was not stored. Without it, or without a transition for it, the
   * error is the actor's.
   */
  readonly failed?: ((error: SluiceError) => EventObject) | undefined;
}

type RecordFrom<Context extends MachineContext, Event extends EventObject, Params> =
  | PublishRecord
  | ((args: ActionArgs<Context, Event, Event>, params: Params) => PublishRecord);

export interface TopicActors {
  /**
   * Logic of an actor that subscribes to a topic and sends each record to its parent, in order per partition, while
   * the parent's state takes it. With a function, what it subscribes to follows from the actor's input. It is done when
   * the client is closed; a refused subscription, a value that does not fit and a failed commit are its error.
   */
  fromTopic<Input, const Topic extends string, const Type extends string = `record.${Topic}`, Value = unknown>(
    options: (input: Input) => TopicOptions<Topic, Type, Value>,
  ): TopicActorLogic<RecordEvent<Type, Value> | TopicGapEvent, Input>;
  fromTopic<const Topic extends string, const Type extends string = `record.${Topic}`, Value = unknown>(
    options: TopicOptions<Topic, Type, Value>,
  ): TopicActorLogic<RecordEvent<Type, Value> | TopicGapEvent, unknown>;

  /**
   * An action that publishes a record. It does not wait: the machine goes on, and records of one partition are stored
   * in the order of the actions. One that is not stored is told as `failed` says.
   */
  publishTo<Context extends MachineContext, Event extends EventObject, Params = unknown>(
    topic: string,
    record: RecordFrom<Context, Event, Params>,
    options?: PublishToOptions,
  ): (args: ActionArgs<Context, Event, Event>, params: Params) => void;

  /**
   * Logic of an actor that publishes its input and is done with the ack, once the record is as durable as its topic
   * promises. Stopped before it was sent, nothing is stored.
   */
  fromPublish<Value = unknown>(
    topic: string,
    options?: Pick<PublishOptions, 'deadlineMs'>,
  ): PromiseActorLogic<Ack, PublishRecord<Value>>;
}

/** For a client, or for what gives one when it is first needed. */
export function topicActors(client: TopicClient | (() => TopicClient), options: TopicActorsOptions = {}): TopicActors {
  const clientOf = typeof client === 'function' ? client : () => client;
  const { onUnheard = throwUnheard } = options;

  const failing = (self: AnyActorRef, topic: string, error: SluiceError, { failed }: PublishToOptions): void => {
    if (self.getSnapshot().status !== 'active') {
      onUnheard(error, topic);
      return;
    }
    const failure: PublishFailure = {
      // What XState sends of a child's error: unhandled, it is the actor's own.
      type: `xstate.error.actor.publish.${topic}`,
      actorId: `publish.${topic}`,
      error,
    };
    const told = failed?.(error);
    self.send(told !== undefined && takes(self, told) ? told : failure);
  };

  return {
    fromTopic: (given: TopicOptions | ((input: never) => TopicOptions)) =>
      topicLogic(clientOf, typeof given === 'function' ? given : () => given) as never,
    publishTo: (topic, record, publishing = {}) => {
      const { deadlineMs } = publishing;
      return (args, params) => {
        const given = typeof record === 'function' ? record(args, params) : record;
        clientOf()
          .publish(topic, given, { deadlineMs })
          .catch((error: SluiceError) => failing(args.self as AnyActorRef, topic, error, publishing));
      };
    },
    fromPublish: <Value>(topic: string, { deadlineMs }: Pick<PublishOptions, 'deadlineMs'> = {}) =>
      fromPromise<Ack, PublishRecord<Value>>(({ input, signal }) =>
        clientOf().publish(topic, input, { signal, deadlineMs }),
      ),
  };
}

function throwUnheard(error: SluiceError): void {
  queueMicrotask(() => {
    throw error;
  });
}
