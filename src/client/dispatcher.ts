/**
 * Sends what the outbox holds: places records on the partitions of their topic, frames what was published in one turn
 * together, keeps what is unanswered within the broker's limits, and settles each record with its answer. What was
 * unanswered when a connection was lost goes again, unchanged and in order, on the next.
 */
import type { Described, GoAway, Limits, ProducerReply, PublishedRows } from '../protocol/replies.ts';
import { type ClientClock, pauseMs, Timer } from './clock.ts';
import { clientError, type SluiceError } from './error.ts';
import type { Link } from './link.ts';
import type { Outgoing } from './outgoing.ts';
import {
  FRAME_OVERHEAD_BYTES,
  FRAME_RECORD_BYTES,
  outcomeUnknown,
  type PartitionLane,
  type PublishFrame,
} from './partition-lane.ts';
import type { Requests } from './requests.ts';
import { type TopicFacts, TopicLanes } from './topic-lanes.ts';

export interface DispatcherOptions {
  readonly link: Link;
  readonly requests: Requests;
  readonly clock: ClientClock;
  readonly random: () => number;
  /** Sequences of this producer may stand at the broker already. */
  readonly producerGiven: boolean;
  /** So many records of so many bytes have been answered. */
  readonly left: (records: number, bytes: number) => void;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #topics = new Map<string, TopicLanes>();
  /** Lanes that have something to send, the one that sent last behind the others. */
  readonly #active = new Set<PartitionLane>();
  readonly #onWire = new Map<number, PublishFrame>();
  readonly #wake: Timer;
  #onWireBytes = 0;
  /** Null while there is no connection. */
  #limits: Limits | null = null;
  #frameBytesMax = Number.POSITIVE_INFINITY;
  /** Monotonic ms before which nothing is sent. */
  #heldUntil = 0;
  #scheduled = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#wake = new Timer(options.clock);
  }

  /** Size of the largest record that fits a frame. */
  get recordBytesMax(): number {
    return this.#frameBytesMax - FRAME_OVERHEAD_BYTES;
  }

  push(record: Outgoing): void {
    let topic = this.#topics.get(record.topic);
    if (topic === undefined) {
      topic = new TopicLanes(record.topic, this.#options.producerGiven, this.#options.random);
      this.#topics.set(record.topic, topic);
    }
    if (topic.knowledge === 'fresh') {
      this.#active.add(topic.place(record));
      this.#schedule();
      return;
    }
    topic.unplaced.push(record);
    if (topic.knowledge === 'stale') this.#ask(topic);
  }

  #ask(topic: TopicLanes): void {
    topic.knowledge = 'asking';
    this.#factsOf(topic).then(
      (facts) => {
        topic.learn(facts);
        for (const record of topic.unplaced) {
          topic.unplaced.remove(record);
          this.#active.add(topic.place(record));
        }
        this.#schedule();
      },
      (error: SluiceError) => {
        topic.knowledge = 'stale';
        const { size, bytes } = topic.unplaced;
        topic.unplaced.refuse(error);
        this.#options.left(size, bytes);
      },
    );
  }

  /** Makes the topic if need be, and asks for as long as it takes; rejects when the broker refuses for good. */
  async #factsOf({ topic, sequencesDue }: TopicLanes): Promise<TopicFacts> {
    const { requests } = this.#options;
    const patient = { patient: true };
    const { partitions } = await requests.call<Described>({ op: 'describe', topic, create: true }, patient);
    if (!sequencesDue) return { partitions, sequences: null };
    // Only now: a topic that is new had to be made before its producers are asked for.
    const stored = await requests.call<ProducerReply>({ op: 'producer', topic }, patient);
    return { partitions, sequences: new Map(stored.partitions.map((row) => [row.partition, row.sequence])) };
  }

  #schedule(): void {
    if (this.#scheduled || this.#limits === null) return;
    this.#scheduled = true;
    // Behind the present turn: what is published in one turn leaves in one frame per partition.
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#limits !== null) this.#pump(this.#limits);
    });
  }

  #pump(limits: Limits): void {
    const now = this.#options.clock.monotonic();
    if (now < this.#heldUntil) {
      this.#wakeAt(this.#heldUntil, now);
      return;
    }
    let wakeAt = Number.POSITIVE_INFINITY;
    // A lane that sent goes behind the others and comes round again in this same walk: fair, and over when none may send.
    for (const lane of this.#active) {
      if (!this.#hasRoom(limits)) break;
      const frame = lane.take(now, limits, this.#options.requests);
      if (frame !== null || lane.idle) this.#active.delete(lane);
      if (frame !== null) {
        this.#put(frame);
        if (!lane.idle) this.#active.add(lane);
      } else if (lane.heldUntil > now) {
        wakeAt = Math.min(wakeAt, lane.heldUntil);
      }
    }
    this.#wakeAt(wakeAt, now);
  }

  #hasRoom(limits: Limits): boolean {
    if (this.#onWire.size === 0) return true;
    return (
      this.#onWire.size < limits.inFlightPublishes && this.#onWireBytes + FRAME_RECORD_BYTES <= limits.inFlightBytes
    );
  }

  #put(frame: PublishFrame): void {
    if (frame.frame.length > this.#frameBytesMax) {
      // Made or taken under a larger limit than the broker has now: sent, it would only end the connection.
      const error = clientError('RECORD_TOO_LARGE', `a frame has at most ${this.#frameBytesMax} bytes now`);
      this.#refuse(frame, error);
      return;
    }
    this.#onWire.set(frame.id, frame);
    this.#onWireBytes += frame.frame.length;
    frame.sends += 1;
    this.#topics.get(frame.lane.topic)?.turn(frame.lane.partition);
    this.#options.link.send(frame.frame);
  }

  #wakeAt(at: number, now: number): void {
    this.#wake.clear();
    if (at < Number.POSITIVE_INFINITY) this.#wake.set(Math.ceil(at - now), () => this.#schedule());
  }

  published({ acks }: PublishedRows): void {
    for (const [id, partition, epoch, offset, , mark] of acks) {
      const frame = this.#answered(id);
      if (frame === undefined) continue;
      const { topic } = frame.lane;
      const duplicate = mark === 1;
      if (duplicate && frame.sends === 1) {
        // Sent once, so it cannot be a duplicate of itself: its sequence stands for another record.
        this.#refuse(frame, clientError('SEQUENCE_OUT_OF_ORDER', 'not stored: its sequence is taken'));
        continue;
      }
      frame.lane.settled(frame);
      let at = offset;
      for (const record of frame.records) {
        record.acknowledge({ topic, partition, offset: at, epoch, duplicate });
        at += 1;
      }
      this.#follow(frame);
    }
  }

  /** Takes the refusal of a publish; false when `id` is that of none. */
  refused(id: number | string | undefined, error: SluiceError): boolean {
    const frame = this.#answered(id ?? null);
    if (frame === undefined) return false;
    if (!error.retryable) {
      this.#refuse(frame, error);
      return true;
    }
    if (error.code === 'DRAINING') this.#hold(error.retryAfterMs ?? 0);
    frame.lane.refused(frame, error, this.#options.clock.monotonic());
    if (!frame.lane.idle) this.#active.add(frame.lane);
    this.#schedule();
    return true;
  }

  #answered(id: number | string | null): PublishFrame | undefined {
    const frame = typeof id === 'number' ? this.#onWire.get(id) : undefined;
    if (frame === undefined) return undefined;
    this.#onWire.delete(frame.id);
    this.#onWireBytes -= frame.frame.length;
    return frame;
  }

  #refuse(frame: PublishFrame, error: SluiceError): void {
    frame.lane.settled(frame);
    const topic = this.#topics.get(frame.lane.topic);
    if (topic?.knowledge === 'fresh') {
      // What is known of the topic may have led to it: a partition that is gone, sequences of another.
      topic.knowledge = 'stale';
      topic.sequencesDue = true;
    }
    this.#refuseAll(frame, error);
    this.#follow(frame);
  }

  /** What may be stored is told so. */
  #refuseAll({ records, doubt }: PublishFrame, error: SluiceError): void {
    for (const record of records) record.refuse(doubt ? outcomeUnknown(error) : error);
  }

  /** A frame was answered for good: what stands behind it may go, and its room is free. */
  #follow(frame: PublishFrame): void {
    if (!frame.lane.idle) this.#active.add(frame.lane);
    this.#options.left(frame.records.length, frame.bytes);
    if (this.#active.size > 0) this.#schedule();
  }

  ready(limits: Limits): void {
    this.#limits = limits;
    this.#frameBytesMax = limits.frameBytes;
    this.#schedule();
  }

  /** The broker drains: nothing is sent until the connection is replaced or the drain is over. */
  goaway({ stage, deadlineMs }: GoAway): void {
    this.#heldUntil = 0;
    this.#hold(stage === 'drain' ? pauseMs(deadlineMs) : 0);
  }

  #hold(ms: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, this.#options.clock.monotonic() + ms);
    this.#schedule();
  }

  lost(): void {
    this.#limits = null;
    this.#heldUntil = 0;
    this.#onWire.clear();
    this.#onWireBytes = 0;
    this.#wake.clear();
    for (const topic of this.#topics.values()) {
      if (topic.knowledge === 'fresh') topic.knowledge = 'stale';
      for (const lane of topic.lanes.values()) {
        lane.lost();
        if (!lane.idle) this.#active.add(lane);
      }
    }
  }

  /** Refuses everything that is left, with OUTCOME_UNKNOWN what may be stored. */
  close(reason: SluiceError): void {
    this.lost();
    for (const topic of this.#topics.values()) {
      topic.unplaced.refuse(reason);
      for (const lane of topic.lanes.values()) {
        for (const frame of lane.frames) {
          this.#refuseAll(frame, reason);
        }
        lane.queue.refuse(reason);
      }
    }
    this.#topics.clear();
    this.#active.clear();
  }
}
