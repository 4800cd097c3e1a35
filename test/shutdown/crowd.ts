/** Many connections that say nothing and note what they are told: the notice to go, and the close. */
import WebSocket from 'ws';

export interface Member {
  /** Time to come back that it was told, ms; null when it was told none. */
  readonly reconnectAfterMs: number | null;
  readonly closeCode: number;
  /** Monotonic ms of the close, as the client saw it. */
  readonly closedAt: number;
}

/** Handshakes under way at a time: fewer than the backlog of a listener. */
const DIALLING = 200;

export class Crowd {
  readonly #members: Promise<Member>[] = [];
  readonly #sockets: WebSocket[] = [];

  static async gather(url: string, count: number): Promise<Crowd> {
    const crowd = new Crowd();
    while (crowd.#sockets.length < count) {
      const batch = Math.min(DIALLING, count - crowd.#sockets.length);
      await Promise.all(Array.from({ length: batch }, () => crowd.#join(url)));
    }
    return crowd;
  }

  /** What each was told; resolves when all are closed. */
  closed(): Promise<readonly Member[]> {
    return Promise.all(this.#members);
  }

  leave(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  #join(url: string): Promise<void> {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    this.#sockets.push(socket);
    return new Promise((welcomed, failed) => {
      socket.on('error', failed);
      let reconnectAfterMs: number | null = null;
      socket.on('message', (data) => {
        const reply = JSON.parse(String(data)) as { op: string; reconnectAfterMs?: number };
        if (reply.op === 'welcome') welcomed();
        if (reply.op === 'goaway') reconnectAfterMs = reply.reconnectAfterMs ?? null;
      });
      this.#members.push(
        new Promise((closed) => {
          socket.on('close', (closeCode) => closed({ reconnectAfterMs, closeCode, closedAt: performance.now() }));
        }),
      );
    });
  }
}
