/**
 * One run of a topic actor: the subscription, and the loop that brings its records to the parent.
 *
 * A mailbox has no bound, so the loop never fills one. It sends the next record only when the last one was taken, when
 * the parent's state takes such an event (`can`), and with `ack: 'manual'` when no more than `inFlight` are open. All
 * else waits in the subscription, which gives the broker credit only as the loop goes on: `credit` records at most.
 */
import type { AnyActorRef, EventObject } from 'xstate';
import { clientError } from '../client/error.ts';
import type { Client, SluiceRecord, Subscription } from '../client/index.ts';
import { Acknowledgements } from './acknowledgements.ts';
import type { AckEvent, AckMode, RecordEvent, TopicGapEvent, TopicOptions, TopicProgress } from './topic-events.ts';

export interface RunEvents {
  /** Brings an event to the parent. */
  deliver(event: RecordEvent | TopicGapEvent): void;
  /** Once: the client was closed. */
  ended(): void;
  /** Once: the subscription was refused, a value did not fit, a commit failed. */
  failed(error: unknown): void;
}

const IN_FLIGHT_DEFAULT = 16;

export class TopicRun {
  readonly #options: TopicOptions;
  readonly #mode: AckMode;
  readonly #parent: AnyActorRef;
  readonly #events: RunEvents;
  readonly #progress: TopicProgress;
  readonly #subscription: Subscription<unknown>;
  readonly #acks = new Acknowledgements();
  #over = false;
  /** The parent is at work on a record: what it does with it is known when it comes back. */
  #delivering = false;
  /** Wakes the loop where it waits for something else than a record. */
  #wake: (() => void) | null = null;

  /** Throws BAD_REQUEST for options that do not go together, and what `subscribe` throws. */
  constructor(
    client: Pick<Client, 'subscribe'>,
    options: TopicOptions,
    parent: AnyActorRef,
    progress: TopicProgress,
    events: RunEvents,
  ) {
    const { topic, group, from, partitions, credit, onInvalid, schema } = options;
    this.#options = options;
    this.#mode = ackModeOf(options);
    this.#parent = parent;
    this.#progress = progress;
    this.#events = events;
    this.#subscription = client.subscribe(topic, { group, from, partitions, credit, onInvalid }, schema);
    const unlisten = this.#subscription.on('gap', ({ subscription: _, ...gap }) => {
      if (!this.#over) events.deliver({ type: 'gap', ...gap });
    });
    void this.#loop().finally(unlisten);
  }

  async #loop(): Promise<void> {
    try {
      for (;;) {
        await this.#room();
        if (this.#over) return;
        const { done, value: record } = await this.#subscription.next();
        if (this.#over) return;
        if (done === true) {
          this.#finish(() => this.#events.ended());
          return;
        }
        await this.#bring(record);
      }
    } catch (error) {
      this.#finish(() => this.#events.failed(error));
    }
  }

  async #bring(record: SluiceRecord<unknown>): Promise<void> {
    const event = { type: this.#options.event ?? `record.${record.topic}`, record };
    await this.#takes(event);
    if (this.#over) return;
    this.#acks.delivered(record);
    this.#progress.delivered += 1;
    this.#delivering = true;
    this.#events.deliver(event);
    // Sent from within an event of the parent's own, it is taken when that is over.
    await Promise.resolve();
    this.#delivering = false;
    const { status } = this.#parent.getSnapshot() as { readonly status: string };
    // A parent that broke on it has not taken it: it comes again to the next one.
    if (this.#mode === 'delivered' && (status === 'active' || status === 'done')) this.acknowledge(record);
    if (this.#mode === 'none') this.#acks.acknowledge(record);
    if (this.#over) this.#leave();
    else if (status !== 'active') this.stop();
  }

  /** A record is done with. No-op for one that is not open. */
  acknowledge(record: AckEvent['record']): void {
    const before = this.#acks.open;
    const offset = this.#acks.acknowledge(record);
    if (this.#acks.open < before) this.#wake?.();
    if (offset === null || this.#mode === 'none') return;
    const covered = this.#progress.delivered - this.#acks.open;
    this.#subscription.commit({ partition: record.partition, offset }).then(
      () => {
        this.#progress.committed = Math.max(this.#progress.committed, covered);
      },
      // Behind the end the place is that of the last commit, and what came after it comes again.
      (error: unknown) => this.#finish(() => this.#events.failed(error)),
    );
  }

  /** Unsubscribes. Commits already made are still sent; the place is that of the last one. */
  stop(): void {
    this.#finish(() => {});
  }

  #finish(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#wake?.();
    if (!this.#delivering) this.#leave();
    tell();
  }

  #leave(): void {
    void this.#subscription.return();
  }

  /** Waits until another record may be open. */
  async #room(): Promise<void> {
    if (this.#mode !== 'manual') return;
    const { inFlight = IN_FLIGHT_DEFAULT } = this.#options;
    while (!this.#over && this.#acks.open >= inFlight) await this.#waiting();
  }

  /** Waits until the parent's state takes the event: one that it does not know in its state would be dropped. */
  async #takes(event: RecordEvent): Promise<void> {
    if (takes(this.#parent, event)) return;
    this.#progress.held = true;
    const wake = (): void => this.#wake?.();
    const watching = this.#parent.subscribe({ next: wake, error: wake, complete: wake });
    while (!this.#over && !takes(this.#parent, event)) await this.#waiting();
    watching.unsubscribe();
    this.#progress.held = false;
  }

  async #waiting(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
  }
}

/** The actor's state has a transition for the event. True also of one that has ended, or that is no machine. */
export function takes(actor: AnyActorRef, event: EventObject): boolean {
  const snapshot = actor.getSnapshot() as { readonly status: string; readonly can?: (event: EventObject) => boolean };
  if (snapshot.status !== 'active' || typeof snapshot.can !== 'function') return true;
  try {
    return snapshot.can(event);
  } catch {
    // A guard that throws breaks the actor when it gets the event, which then says so itself.
    return true;
  }
}

function ackModeOf({ ack, group, inFlight }: TopicOptions): AckMode {
  const mode = ack ?? (group === undefined ? 'none' : 'delivered');
  if (mode !== 'none' && group === undefined) {
    throw clientError('BAD_REQUEST', `ack: '${mode}' needs a group, under whose name offsets are committed`);
  }
  if (inFlight !== undefined && !(Number.isSafeInteger(inFlight) && inFlight > 0)) {
    throw clientError('BAD_REQUEST', `inFlight: got ${inFlight}; expected an integer from 1`);
  }
  return mode;
}
