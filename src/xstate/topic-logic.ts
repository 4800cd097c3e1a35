/** The logic of a topic actor, as XState runs it: started and stopped with its parent's state, its error that of the run. */
import type { ActorLogic, ActorScope, AnyActorRef, EventObject, Snapshot } from 'xstate';
import { clientError } from '../client/error.ts';
import type { Client } from '../client/index.ts';
import type { AckEvent, RecordEvent, TopicGapEvent, TopicOptions, TopicOutput, TopicProgress } from './topic-events.ts';
import { TopicRun } from './topic-run.ts';

export type TopicSnapshot<Input> = Snapshot<TopicOutput> & {
  readonly input: Input;
  readonly progress: TopicProgress;
};

/** To invoke or spawn. Its parent gets `Event`s, and sends it `ack`s. */
export interface TopicActorLogic<Event, Input> extends ActorLogic<TopicSnapshot<Input>, AckEvent, Input> {
  /** What the parent gets; there for its type alone. */
  readonly tells?: Event;
}

/** The events that a parent gets of a topic actor: `events: EventOf<typeof orders> | …`. */
export type EventOf<Logic extends { readonly tells?: unknown }> = NonNullable<Logic['tells']>;

/** From a run to its actor. */
type RunEvent =
  | { readonly type: 'topic.ended' }
  | { readonly type: 'topic.failed'; readonly error: unknown }
  | { readonly type: 'xstate.stop' };

/** What every actor system of XState 5 has, and its types leave out. */
interface Relay {
  _relay(from: unknown, to: AnyActorRef, event: EventObject): void;
}

type Scope<Input> = ActorScope<TopicSnapshot<Input>, AckEvent>;

const runs = new WeakMap<AnyActorRef, TopicRun>();

export function topicLogic<Event extends RecordEvent | TopicGapEvent, Input>(
  client: () => Pick<Client, 'subscribe'>,
  optionsOf: (input: Input) => TopicOptions,
): TopicActorLogic<Event, Input> {
  return {
    getInitialSnapshot: (_, input) => fresh(input),
    getPersistedSnapshot: ({ progress: _, ...rest }) => rest as Snapshot<unknown>,
    // The place is the group's, at the broker: the actor goes on from there.
    restoreSnapshot: (persisted) => ({ ...(persisted as TopicSnapshot<Input>), progress: noProgress() }),

    start: (snapshot, scope) => {
      if (snapshot.status === 'active') begin(client, () => optionsOf(snapshot.input), snapshot.progress, scope);
    },

    transition: (snapshot, event, { self }) => {
      if (snapshot.status !== 'active') return snapshot;
      const happened = event as AckEvent | RunEvent;
      const { input, progress } = snapshot;
      switch (happened.type) {
        case 'ack':
          runs.get(self)?.acknowledge(happened.record);
          return snapshot;
        case 'topic.ended': {
          const { delivered, committed } = progress;
          return { status: 'done', output: { delivered, committed }, error: undefined, input, progress };
        }
        case 'topic.failed':
          return { status: 'error', output: undefined, error: happened.error, input, progress };
        case 'xstate.stop':
          runs.get(self)?.stop();
          return { status: 'stopped', output: undefined, error: undefined, input, progress };
        default:
          return snapshot;
      }
    },
  };
}

function begin<Input>(
  client: () => Pick<Client, 'subscribe'>,
  options: () => TopicOptions,
  progress: TopicProgress,
  { self, system }: Scope<Input>,
): void {
  const tell = (event: RunEvent): void => {
    if (self.getSnapshot().status === 'active') (self as AnyActorRef).send(event);
  };
  const failed = (error: unknown): void => tell({ type: 'topic.failed', error });
  const parent = self._parent;
  try {
    if (parent === undefined) {
      throw clientError('BAD_REQUEST', 'a topic actor delivers to its parent: invoke or spawn it');
    }
    const events = {
      // As XState sends from a child to its parent: an inspection sees whom it came from.
      deliver: (event: RecordEvent | TopicGapEvent) => (system as unknown as Relay)._relay(self, parent, event),
      ended: () => tell({ type: 'topic.ended' }),
      failed,
    };
    runs.set(self as AnyActorRef, new TopicRun(client(), options(), parent, progress, events));
  } catch (error) {
    // Behind the start, where the parent is there to hear of it.
    queueMicrotask(() => failed(error));
  }
}

function fresh<Input>(input: Input): TopicSnapshot<Input> {
  return { status: 'active', output: undefined, error: undefined, input, progress: noProgress() };
}

function noProgress(): TopicProgress {
  return { delivered: 0, committed: 0, held: false };
}
