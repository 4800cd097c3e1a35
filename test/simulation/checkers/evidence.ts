/** A history, indexed for the checkers. Events are told apart by their place in it, which is their order. */
import type { ContentEvent, Happened, HistoryEvent } from '../history.ts';
import type { Plan } from '../plan.ts';

export interface At<E extends HistoryEvent['e']> {
  readonly index: number;
  readonly event: Happened<E>;
}

/** What of a plan the checkers may know: who there is, and what the network may do. */
export type PlanFacts = Pick<Plan, 'topics' | 'clients' | 'network' | 'steps'>;

export class Evidence {
  readonly history: readonly HistoryEvent[];
  readonly plan: PlanFacts;
  readonly #byKind = new Map<string, { readonly index: number; readonly event: HistoryEvent }[]>();
  readonly content: (ContentEvent & { readonly t: number }) | null;
  /** Sendings of a record, oldest first. */
  readonly sendings = new Map<string, At<'send'>[]>();
  /** By number of the sending: the answer it got. */
  readonly answers = new Map<number, At<'stored'> | At<'refused'>>();
  /** When a record was first durable. */
  readonly durable = new Map<string, number>();
  readonly #wire: readonly At<'heard' | 'said' | 'closing' | 'gone'>[];
  readonly #durability = new Map<string, 'sync' | 'async'>();

  constructor(history: readonly HistoryEvent[], plan: PlanFacts) {
    this.history = history;
    this.plan = plan;
    history.forEach((event, index) => {
      const known = this.#byKind.get(event.e);
      if (known === undefined) this.#byKind.set(event.e, [{ index, event }]);
      else known.push({ index, event });
    });
    for (const { name, durability } of plan.topics) this.#durability.set(name, durability);
    for (const at of this.all('send')) {
      for (const id of at.event.ids) {
        const known = this.sendings.get(id);
        if (known === undefined) this.sendings.set(id, [at]);
        else known.push(at);
      }
    }
    for (const at of this.all('stored')) this.answers.set(at.event.sending, at);
    for (const at of this.all('refused')) this.answers.set(at.event.sending, at);
    for (const { index, event } of this.all('durable')) {
      for (const id of event.ids) if (!this.durable.has(id)) this.durable.set(id, index);
    }
    const wire = [...this.all('heard'), ...this.all('said'), ...this.all('closing'), ...this.all('gone')];
    this.#wire = (wire as At<'heard' | 'said' | 'closing' | 'gone'>[]).sort((a, b) => a.index - b.index);
    this.content = this.all('content').at(-1)?.event ?? null;
  }

  all<E extends HistoryEvent['e']>(kind: E): readonly At<E>[] {
    return (this.#byKind.get(kind) ?? []) as unknown as readonly At<E>[];
  }

  /** What brokers heard and said, in order. */
  get wire(): readonly At<'heard' | 'said' | 'closing' | 'gone'>[] {
    return this.#wire;
  }

  /** Of a topic that the plan made and nobody deletes; null of all others. */
  durabilityOf(topic: string): 'sync' | 'async' | null {
    return this.#durability.get(topic) ?? null;
  }

  /** What a partition holds at the end, by offset; null when nobody looked. */
  recordsOf(topic: string, partition: number): ContentEvent['topics'][number]['partitions'][number]['records'] | null {
    if (this.content === null) return null;
    const found = this.content.topics.find((each) => each.topic === topic);
    return found?.partitions.find((each) => each.partition === partition)?.records ?? [];
  }

  /** Sends, answers and durable writes of a record, for an excerpt. */
  storyOf(id: string): HistoryEvent[] {
    const sends = this.sendings.get(id) ?? [];
    const answers = sends.map(({ event }) => this.answers.get(event.sending));
    const durable = this.durable.get(id);
    const indexes = [
      ...sends.map(({ index }) => index),
      ...answers.flatMap((answer) => (answer === undefined ? [] : [answer.index])),
      ...(durable === undefined ? [] : [durable]),
    ];
    return this.excerpt(indexes);
  }

  /** The events at these places, in order, each once. */
  excerpt(indexes: readonly number[]): HistoryEvent[] {
    const sorted = [...new Set(indexes)].sort((a, b) => a - b);
    return sorted.flatMap((index) => this.history[index] ?? []);
  }

  /** How the broker that ran at `index` ended: the first end behind it. */
  endBehind(index: number): { readonly index: number; readonly clean: boolean } | null {
    const ends = [...this.all('ended'), ...this.all('killed'), ...this.all('start-failed')].filter(
      (end) => end.index > index,
    );
    ends.sort((a, b) => a.index - b.index);
    const [first] = ends;
    if (first === undefined) return null;
    return { index: first.index, clean: first.event.e === 'ended' && first.event.report.outcome === 'clean' };
  }
}
