/**
 * The chart of one client connection. Not an actor: sessions come by the thousand, and XState children of one parent
 * cost quadratic time to spawn and to stop. It is a pure chart all the same, stepped by the session with `transition()`
 * and shown in the console like any other.
 *
 * Invariants
 *   M1  `closed` is final, and every other state reaches it by `socket.closed`.
 *   M2  From `leaving` on no frame is served (tag `serving`).
 *   M3  Deliveries happen only in states tagged `delivering`: not before hello, not while draining.
 *   M4  An event that a state does not know changes nothing.
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
      on: { 'hello.accepted': 'ready', 'hello.refused': 'leaving' },
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

/** The chart of one session, stepped in place. About a microsecond an event; a session sees a handful in its life. */
export class SessionChart {
  #snapshot: SessionSnapshot = initialSession;

  get value(): SessionState {
    return this.#snapshot.value as SessionState;
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
    if (before.status !== 'active') return false;
    const [next] = transition(sessionMachine, before, event);
    this.#snapshot = next;
    return next.value !== before.value;
  }
}
