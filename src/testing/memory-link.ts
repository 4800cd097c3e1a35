/**
 * One connection of the network in memory: two pipes and the two ends that they join. The server's end is the socket
 * port; the client's is a test's handle (`memory-client.ts`). Made by `memory-sockets.ts`.
 */

import { MemoryConnection, type MemoryPair } from '../embedding/memory-connection.ts';
import { Pipe } from '../embedding/memory-pipe.ts';
import type { Clock } from '../ports/clock.ts';
import type { Connection } from '../ports/connection.ts';
import { type ClientRefusal, MemoryClient } from './memory-client.ts';

/** Both ends and what lies between. */
export class MemoryLink implements MemoryPair {
  readonly clock: Clock;
  readonly remote: string;
  readonly client: MemoryClient;
  readonly #server: MemoryConnection;
  readonly toServer: Pipe;
  readonly toClient: Pipe;
  #stalled = false;
  #over = false;
  /** Called once, when the server's end is gone. */
  onEnd: () => void = () => undefined;
  frameBytesMax = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, remote: string) {
    this.clock = clock;
    this.remote = remote;
    this.client = new MemoryClient(this);
    this.#server = new MemoryConnection(this);
    this.toServer = new Pipe(clock, (item) => this.#server.receive(item));
    this.toClient = new Pipe(
      clock,
      (item) => this.client.receive(item),
      () => this.#server.noteSent(),
    );
  }

  /** The client still waits for an answer. */
  get awaited(): boolean {
    // The client of a link that was stalled is not told of its end.
    return !this.#over && this.client.state === 'connecting';
  }

  get server(): Connection {
    return this.#server;
  }

  refuse(refusal: ClientRefusal): void {
    if (this.awaited) this.client.refused(refusal);
  }

  /** Nothing moves any more, and nobody is told. */
  stall(): void {
    this.#stalled = true;
    this.toServer.stall();
    this.toClient.stall();
  }

  /** What is under way is lost, and both sides learn of it a turn later; of a stalled link, the server alone. */
  cut(): void {
    const clientLearns = !this.#stalled;
    this.#over = true;
    this.toServer.stall();
    this.toClient.stall();
    this.clock.defer(() => {
      if (clientLearns) this.client.gone(1006, '');
      this.#server.gone(1006, '');
    });
  }
}
