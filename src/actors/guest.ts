/** Guests: actors of the embedding application that leave with the broker. */
import type { AnyActorRef } from 'xstate';
import { messageOf } from '../errors.ts';
import type { ChildReport } from '../machines/report.ts';

interface Supervisor {
  getSnapshot(): { readonly status: string };
  send(event: ChildReport): void;
}

/** A guest's end is its report: done is released, an error is failed. */
export function followGuest(supervisor: Supervisor, id: string, actor: AnyActorRef): void {
  const report = (event: ChildReport): void => {
    if (supervisor.getSnapshot().status === 'active') supervisor.send(event);
  };
  actor.subscribe({
    complete: () => report({ type: 'child.released', id }),
    error: (error: unknown) => report({ type: 'child.failed', id, during: 'shutdown', detail: messageOf(error) }),
  });
}
