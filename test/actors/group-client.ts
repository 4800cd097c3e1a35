/** A member of a group frame by frame: joins, and keeps what it was told to have as the protocol says. */
import type { Rig } from '../broker/rig.ts';
import type { Heard, WireClient } from '../broker/wire-client.ts';

type Reply = Heard['reply'];

export class GroupClient {
  readonly wire: WireClient;
  readonly member: string;
  #subscription = 0;
  #seen = 0;
  /** Generation by `topic/partition`: what it has. */
  readonly owned = new Map<string, number>();
  /** What it was asked to give back. */
  readonly asked = new Set<string>();

  constructor(wire: WireClient, member: string) {
    this.wire = wire;
    this.member = member;
  }

  static async join(
    rig: Rig,
    member: string,
    options: Readonly<Record<string, unknown>> = {},
    wire?: WireClient,
  ): Promise<GroupClient> {
    const client = new GroupClient(wire ?? (await rig.client()), member);
    await client.join(options);
    return client;
  }

  async join(options: Readonly<Record<string, unknown>> = {}): Promise<Reply> {
    const { member } = this;
    const reply = await this.wire.ask({ op: 'join', group: 'billing', member, topics: ['orders'], ...options });
    this.#subscription = reply.subscription;
    this.look();
    return reply;
  }

  get subscription(): number {
    return this.#subscription;
  }

  /** Takes in what it was told since the last look. */
  look(): this {
    const news = this.wire.all.slice(this.#seen);
    this.#seen += news.length;
    for (const { reply } of news) {
      if (reply.subscription !== this.#subscription) continue;
      for (const { topic, partition, generation } of reply.partitions ?? []) {
        const key = `${topic}/${partition}`;
        if (reply.op === 'assigned') this.owned.set(key, generation);
        if (reply.op === 'revoke') this.asked.add(key);
        if (reply.op === 'revoked') {
          this.owned.delete(key);
          this.asked.delete(key);
        }
      }
    }
    return this;
  }

  get partitions(): string[] {
    return [...this.look().owned.keys()].sort();
  }

  /** Offsets delivered so far, by `topic/partition`. */
  delivered(): Map<string, number[]> {
    const offsets = new Map<string, number[]>();
    for (const { subscription, topic, partition, records } of this.wire.of('records')) {
      if (subscription !== this.#subscription) continue;
      const known = offsets.get(`${topic}/${partition}`) ?? [];
      known.push(...records.map(({ offset }: { offset: number }) => offset));
      offsets.set(`${topic}/${partition}`, known);
    }
    return offsets;
  }

  commit(key: string, offset: number, generation = this.look().owned.get(key)): Promise<Reply> {
    const [topic, partition] = key.split('/');
    return this.wire.ask({
      op: 'commit',
      subscription: this.#subscription,
      topic,
      partition: Number(partition),
      offset,
      generation,
    });
  }

  /** Gives back everything that it was asked for. */
  release(): Promise<Reply> {
    const partitions = [...this.look().asked].map((key) => {
      const [topic, partition] = key.split('/');
      return { topic, partition: Number(partition) };
    });
    return this.wire.ask({ op: 'release', subscription: this.#subscription, partitions });
  }

  leave(): Promise<Reply> {
    return this.wire.ask({ op: 'leave', subscription: this.#subscription });
  }

  /** Cuts the connection, as a crash of the member does. */
  cut(): void {
    this.wire.socket.terminate();
  }
}
