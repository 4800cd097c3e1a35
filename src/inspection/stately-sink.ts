/**
 * The hub's frames in the message shapes of `@statelyai/inspect`, so that a receiver of that package shows this system:
 * `@xstate.actor` with its definition, `@xstate.event`, `@xstate.snapshot`. Contexts are left out. Made by the socket for
 * `?format=stately`.
 */
import type { ActorFrame, Batch, Frame, StateValue } from './frames.ts';
import type { Sink } from './viewer.ts';

/** Of `@statelyai/inspect` whose shapes these are. */
const SHAPES_VERSION = '0.7.2';

interface Shown {
  readonly status: string;
  readonly value?: StateValue;
  readonly context: object;
  readonly error?: string;
}

/** Sends through `out`, one message each. */
export function statelySink(out: Sink, configOf: (hash: string) => string | null): Sink {
  const roots = new Map<string, string>();
  const lastEvents = new Map<string, object>();

  const message = (type: string, sessionId: string, at: number, fields: object): void =>
    out.send(
      JSON.stringify({
        type,
        sessionId,
        rootId: roots.get(sessionId) ?? sessionId,
        ...fields,
        id: null,
        createdAt: String(at),
        _version: SHAPES_VERSION,
      }),
    );

  const actor = (frame: ActorFrame, at: number): void => {
    const { id, parent, name, machine, status, value } = frame;
    roots.set(id, parent === null ? id : (roots.get(parent) ?? parent));
    const definition = (machine === null ? null : configOf(machine)) ?? JSON.stringify({ id: name });
    message('@xstate.actor', id, at, {
      name,
      definition,
      parentId: parent ?? undefined,
      snapshot: shown(status, value),
    });
  };

  const snapshot = (id: string, at: number, now: Shown): void => {
    message('@xstate.snapshot', id, at, { event: lastEvents.get(id) ?? { type: 'xstate.init' }, snapshot: now });
  };

  const take = (frame: Frame, at: number): void => {
    switch (frame.type) {
      case 'actor':
        actor(frame, at);
        break;
      case 'event':
        lastEvents.set(frame.to, frame.event);
        message('@xstate.event', frame.to, frame.at, { event: frame.event, sourceId: frame.from ?? undefined });
        break;
      case 'step':
        snapshot(frame.id, frame.at, shown('active', frame.value));
        break;
      case 'state':
        snapshot(frame.id, frame.at, shown(frame.status, frame.value, frame.error));
        break;
      case 'gone':
        roots.delete(frame.id);
        lastEvents.delete(frame.id);
        break;
      default:
      // Their format has no word for the rest.
    }
  };

  return {
    send: (text) => {
      const batch = JSON.parse(text) as Batch;
      for (const frame of batch.frames) take(frame, batch.at);
    },
    get bufferedBytes() {
      return out.bufferedBytes;
    },
  };
}

function shown(status: string, value: StateValue | null, error?: string): Shown {
  return {
    status,
    ...(value === null ? {} : { value }),
    context: {},
    ...(error === undefined ? {} : { error }),
  };
}
