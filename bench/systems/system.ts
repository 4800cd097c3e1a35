/** What is measured: how a system is started on a folder of its own, and in which words its promise is. */
import type { Child, Children } from '../child.ts';
import type { Target } from '../clients/client.ts';

export interface Server {
  readonly target: Target;
  readonly child: Child;
}

export interface System {
  readonly name: string;
  /** What an acknowledgement means. */
  readonly durability: string;
  /** Why it cannot be measured here, and how to get it; null when it can. */
  readonly missing: string | null;
  /** Starts it on loopback and waits until it serves. `port` 0 takes a free one. */
  start(children: Children, folder: string, port?: number): Promise<Server>;
}
