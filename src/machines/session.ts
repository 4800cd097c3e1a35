/**
 * The chart of one client connection. Not an actor: sessions come by the thousand, and XState children of one parent
 * cost quadratic time to spawn and to stop. It is a pure chart all the same, stepped by the session with `sessionStep`
 * and shown in the console like any other.
 *
 * Invariants
 *   M1  `closed` is final, and every other state reaches it by `socket.closed`.
 *   M2  From `leaving` on no frame is served (tag `serving`).
 *   M3  Deliveries happen only in states tagged `delivering`: not before hello, not while draining.
 *   M4  An event that a state does not know changes nothing.
 *   M5  A drain that comes before hello is kept: hello leads to `draining` then.
 */
import { initialTransition, type SnapshotFrom, setup, transition } from 'xstate';

export type SessionEvent =
  | { readonly type: 'hello.accepted' }
  | { readonly type: 'hello.refused' }
  | { readonly type: 'goaway.announce' }
  | { readonly type: 'goaway.drain' }
  | { readonly type: 'goaway.cancelled' }
  | { readonly type: 'close' }
  | { readonly type: 'socket.closed'; readonly code: number; readonly reason: string };

export const sessionMachine = setup({
  types: {} as { events: SessionEvent; tags: 'serving' | 'delivering' },
}).createMachine({
  id: 'session',
  initial: 'handshaking',
  on: { 'socket.closed': '.closed', close: '.leaving' },
  states: {
    handshaking: {
      tags: ['serving'],
      on: { 'hello.refused': 'leaving' },
      initial: 'early',
      states: {
        early: { on: { 'hello.accepted': '#session.ready', 'goaway.drain': 'late' } },
        late: { on: { 'hello.accepted': '#session.draining', 'goaway.cancelled': 'early' } },
      },
    },
    ready: {
      tags: ['serving', 'delivering'],
      on: { 'goaway.announce': 'warned', 'goaway.drain': 'draining' },
    },
    warned: {
      tags: ['serving', 'delivering'],
      on: { 'goaway.drain': 'draining', 'goaway.cancelled': 'ready' },
    },
    draining: {
      tags: ['serving'],
      on: { 'goaway.cancelled': 'ready' },
    },
    leaving: {
      on: { close: undefined },
    },
    closed: { type: 'final' },
  },
});

export type SessionSnapshot = SnapshotFrom<typeof sessionMachine>;
export type SessionState = 'handshaking' | 'ready' | 'warned' | 'draining' | 'leaving' | 'closed';

const [initialSession] = initialTransition(sessionMachine);

/**
 * One snapshot per state, and one step per state and event, shared by all sessions: the chart has no context, so nothing
 * else decides a step. A step costs XState 10 to 20 µs, which a loop that tells ten thousand sessions at once would feel;
 * found again it costs some 50 ns.
 */
const shared = new Map<string, SessionSnapshot>();
const steps = new Map<SessionSnapshot, Map<SessionEvent['type'], SessionSnapshot>>();

/** The snapshot behind `event`; the same object when nothing changed. Pure; never throws. */
export function sessionStep(snapshot: SessionSnapshot, event: SessionEvent): SessionSnapshot {
  const known = steps.get(snapshot)?.get(event.type);
  return known ?? firstStep(share(snapshot), event);
}

function firstStep(snapshot: SessionSnapshot, event: SessionEvent): SessionSnapshot {
  const next = snapshot.status === 'active' ? share(transition(sessionMachine, snapshot, event)[0]) : snapshot;
  const known = steps.get(snapshot) ?? new Map<SessionEvent['type'], SessionSnapshot>();
  known.set(event.type, next);
  steps.set(snapshot, known);
  return next;
}

function share(snapshot: SessionSnapshot): SessionSnapshot {
  const state = JSON.stringify(snapshot.value);
  const known = shared.get(state);
  if (known === undefined) shared.set(state, snapshot);
  return known ?? snapshot;
}

/** The chart of one session, stepped in place. */
export class SessionChart {
  #snapshot: SessionSnapshot = initialSession;
  /** Told of each event with the snapshots before and behind it; set while somebody looks. */
  watch: ((event: SessionEvent, before: SessionSnapshot, after: SessionSnapshot) => void) | null = null;

  get value(): SessionState {
    return stateOf(this.#snapshot);
  }

  get snapshot(): SessionSnapshot {
    return this.#snapshot;
  }

  get serving(): boolean {
    return this.#snapshot.hasTag('serving');
  }

  get delivering(): boolean {
    return this.#snapshot.hasTag('delivering');
  }

  /** Takes an event; true when the state changed. */
  send(event: SessionEvent): boolean {
    const before = this.#snapshot;
    this.#snapshot = sessionStep(before, event);
    this.watch?.(event, before, this.#snapshot);
    return stateOf(this.#snapshot) !== stateOf(before);
  }
}

function stateOf({ value }: SessionSnapshot): SessionState {
  return (typeof value === 'string' ? value : Object.keys(value)[0]) as SessionState;
}
