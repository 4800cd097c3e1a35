/** Where clients of the library run: a machine with a clock and sockets of its own, beside the broker's. */
import { type Client, type ConnectOptions, connect } from '../../src/client/index.ts';
import type { MemoryClient } from '../../src/testing/memory-client.ts';
import { memoryWebSocket } from '../../src/testing/memory-websocket.ts';
import { SimulatedClock } from '../../src/testing/simulated-clock.ts';
import { type Rig, seededRandom, turns } from './rig.ts';

/** A client's machine: a clock of its own, and sockets that lead to whatever broker runs now. */
export class Site {
  readonly clock = new SimulatedClock();
  readonly sockets: MemoryClient[] = [];
  readonly #rig: Rig;
  readonly #clients: Client[] = [];

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  async connect(options: ConnectOptions = {}): Promise<Client> {
    const WebSocket = memoryWebSocket(({ port: _, ...dialled }) => {
      const socket = this.#rig.network.dial(dialled);
      this.sockets.push(socket);
      return socket;
    });
    const random = seededRandom(7);
    const settings = { WebSocket, clock: this.clock, random: () => random.next(), ...options };
    const connecting = connect('ws://memory:7070/v1', settings);
    await this.pass(100);
    const client = await connecting;
    this.#clients.push(client);
    return client;
  }

  /** Moves both clocks. */
  async pass(ms: number, stepMs = 50): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      await this.clock.advance(stepMs);
      await this.#rig.clock.advance(stepMs);
      await turns(2);
    }
  }

  /** The broker's machine dies: its connections break. */
  async kill(): Promise<void> {
    this.#rig.crashed();
    for (const socket of this.sockets) socket.cut();
    await turns();
    await this.#rig.broker.start();
  }

  async end(): Promise<void> {
    const closing = Promise.all(this.#clients.map((client) => client.close()));
    await this.pass(1500, 250);
    await closing;
    await this.#rig.stop();
  }
}
