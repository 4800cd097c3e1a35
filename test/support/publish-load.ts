/**
 * A producer on one connection that publishes numbered values as fast as a bounded number of them is answered, and
 * keeps account of every answer: what was acknowledged and where, what was refused, what was answered twice or never.
 */
import { type Closed, type Reply, Wire } from './wire.ts';

export interface AckedPublish {
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

/** Publishes that may wait for their answer. */
const WINDOW = 256;

export class PublishLoad {
  readonly acked: AckedPublish[] = [];
  /** Code of the refusal, by the value that was refused, in order. */
  readonly refused = new Map<string, string>();
  readonly answeredTwice: string[] = [];
  /** Resolves when the connection is closed. */
  readonly ended: Promise<Closed>;
  readonly #wire: Wire;
  readonly #topic: string;
  readonly #name: string;
  readonly #until: 'goaway' | 'close';
  readonly #waiting = new Set<string>();
  readonly #answered = new Set<string>();
  #sent = 0;
  #stopped = false;

  private constructor(wire: Wire, topic: string, name: string, until: 'goaway' | 'close') {
    this.#wire = wire;
    this.#topic = topic;
    this.#name = name;
    this.#until = until;
    this.ended = wire.closed;
    wire.onReply((reply) => this.#take(reply));
  }

  /** `until`: whether it stops when it is told that publishes are refused, or goes on sending until it is cut off. */
  static async begin(url: string, topic: string, name: string, until: 'goaway' | 'close'): Promise<PublishLoad> {
    const load = new PublishLoad(await Wire.open(url), topic, name, until);
    load.#fill();
    return load;
  }

  /** Codes of the refusals, in order. */
  get refusedWith(): readonly string[] {
    return [...this.refused.values()];
  }

  /** Sent, and never answered. */
  get unanswered(): readonly string[] {
    return [...this.#waiting];
  }

  /** Every value that was sent, in order. */
  get sent(): readonly string[] {
    return Array.from({ length: this.#sent }, (_, number) => this.#valueOf(number));
  }

  #valueOf(number: number): string {
    return `${this.#name}:${number}`;
  }

  #fill(): void {
    while (!this.#stopped && this.#wire.isOpen && this.#waiting.size < WINDOW) {
      const value = this.#valueOf(this.#sent);
      this.#waiting.add(value);
      this.#wire.send({ op: 'publish', id: value, topic: this.#topic, key: `key-${this.#sent % 16}`, value });
      this.#sent += 1;
    }
  }

  #take(reply: Reply): void {
    const { op, id, partition, offset, code, stage } = reply;
    if (op === 'goaway' && stage === 'drain' && this.#until === 'goaway') this.#stopped = true;
    if (typeof id !== 'string') return;
    if (this.#answered.has(id)) this.answeredTwice.push(id);
    this.#answered.add(id);
    this.#waiting.delete(id);
    if (op === 'published') {
      this.acked.push({ partition: partition as number, offset: offset as number, value: id });
    } else {
      this.refused.set(id, String(code));
    }
    this.#fill();
  }
}
