/**
 * The publishing half of a session: partitions, admission, and the reply of each publish. It keeps what is stored a
 * prefix of what was sent: once a sequenced publish of a partition was refused and may be retried, later ones of that
 * partition are refused likewise until it comes again.
 */
import { partitionOfKey } from '../domain/partition.ts';
import { encodeBatch, type RecordInput } from '../domain/record-batch.ts';
import type { Topic } from '../domain/topic.ts';
import { BrokerError } from '../errors.ts';
import type { CommandId, PublishCommand, PublishRecords } from '../protocol/commands.ts';
import type { PublishOutcome } from '../shard/queued-entry.ts';
import type { ShardEngine } from '../shard/shard-engine.ts';
import type { ShardTable } from '../shard/shard-table.ts';
import type { FlightMeter } from './flight-meter.ts';
import type { PublishCounts } from './publish-counts.ts';
import { ManyReply, type Publisher, SequencedReply, SingleReply } from './publish-reply.ts';
import type { FrameKind, SessionOutbox } from './session-outbox.ts';

export interface PublisherOptions {
  readonly shards: ShardTable;
  readonly outbox: SessionOutbox;
  readonly meter: FlightMeter;
  readonly inFlightBytesMax: number;
  readonly inFlightPublishesMax: number;
  /** A publish was answered: the session may read on. */
  readonly onAnswered: () => void;
}

interface Refusal {
  readonly sequence: number;
  readonly error: BrokerError;
}

export class SessionPublisher implements Publisher {
  readonly #options: PublisherOptions;
  #bytes = 0;
  #publishes = 0;
  /** It was asked to publish on this connection; its session notes it. */
  active = false;
  #balance: number;
  /** By `topic/partition`: the first sequence that was refused and may come again. */
  readonly #refused = new Map<string, Refusal>();
  /** By topic and partition: the last sequence of this connection that was accepted. */
  readonly #accepted = new Map<string, { topic: string; partition: number; sequence: number }>();
  #producer: string | undefined;

  constructor(options: PublisherOptions, balance: number) {
    this.#options = options;
    this.#balance = balance;
  }

  get producer(): string | undefined {
    return this.#producer;
  }

  /** Publishes under this id from now on. Another producer's sequences have nothing to do with those before. */
  publishAs(producer: string): void {
    if (producer === this.#producer) return;
    this.#producer = producer;
    this.#refused.clear();
    this.#accepted.clear();
  }

  /** Unanswered publishes are over a limit of this connection. */
  get pressed(): boolean {
    return this.#bytes > this.#options.inFlightBytesMax || this.#publishes > this.#options.inFlightPublishesMax;
  }

  /** Half of either limit is free again. */
  get relieved(): boolean {
    const { inFlightBytesMax, inFlightPublishesMax } = this.#options;
    return this.#bytes * 2 <= inFlightBytesMax && this.#publishes * 2 <= inFlightPublishesMax;
  }

  get unanswered(): number {
    return this.#publishes;
  }

  get lastAccepted(): readonly { topic: string; partition: number; sequence: number }[] {
    return [...this.#accepted.values()];
  }

  /** Admits or refuses. Returns the engine that it went to, for its pressure; null when nothing was admitted. */
  publish(kind: FrameKind, command: PublishCommand, topic: Topic): ShardEngine | null {
    const { id, partition, sequence, payload } = command;
    const fault = publishFault(command, topic, this.producer);
    if (fault !== null) {
      this.counts.noteRefused(fault.code);
      throw fault;
    }
    if (payload.kind === 'batch') {
      const to = partition ?? this.#nextBalanced(topic);
      return this.#send(
        topic,
        to,
        payload.batch,
        payload.count,
        sequence,
        new SingleReply(this, kind, id, topic, to, payload),
      );
    }
    return this.#publishRecords(kind, id, topic, partition, sequence, payload);
  }

  #publishRecords(
    kind: FrameKind,
    id: CommandId,
    topic: Topic,
    partition: number | undefined,
    sequence: number | undefined,
    payload: PublishRecords,
  ): ShardEngine | null {
    const places = this.#placesOf(topic, partition, payload.records);
    const first = places[0] as number;
    if (!payload.many) {
      const batch = encodeBatch(payload.records);
      return this.#send(
        topic,
        first,
        batch,
        1,
        sequence,
        new SingleReply(this, kind, id, topic, first, { batch, count: 1 }),
      );
    }
    const byPartition = new Map<number, RecordInput[]>();
    places.forEach((place, index) => {
      const records = byPartition.get(place);
      const record = payload.records[index] as RecordInput;
      if (records === undefined) byPartition.set(place, [record]);
      else records.push(record);
    });
    const reply = new ManyReply(this, kind, id, topic, places, byPartition.size);
    let last: ShardEngine | null = null;
    for (const [place, records] of byPartition) {
      const batch = encodeBatch(records);
      last =
        this.#send(
          topic,
          place,
          batch,
          records.length,
          sequence,
          reply.part(place, batch.length),
          payload.records.length,
        ) ?? last;
    }
    return last;
  }

  /** The partition of each record; those without a key of one publish stay together. */
  #placesOf(topic: Topic, partition: number | undefined, records: readonly RecordInput[]): number[] {
    if (partition !== undefined) return records.map(() => partition);
    let keyless: number | null = null;
    return records.map((record) => {
      if (record.key !== null) return partitionOfKey(record.key, topic.partitions);
      keyless ??= this.#nextBalanced(topic);
      return keyless;
    });
  }

  #nextBalanced(topic: Topic): number {
    this.#balance = (this.#balance + 1) % Number.MAX_SAFE_INTEGER;
    return this.#balance % topic.partitions;
  }

  #send(
    topic: Topic,
    partition: number,
    batch: Uint8Array,
    count: number,
    sequence: number | undefined,
    reply: PublishOutcome,
    span = count,
  ): ShardEngine | null {
    this.#publishes += 1;
    this.#bytes += batch.length;
    this.#options.meter.add(batch.length);
    const outcome = sequence === undefined ? reply : new SequencedReply(this, topic, partition, sequence, span, reply);
    if (sequence !== undefined) {
      const key = `${topic.name}/${partition}`;
      const refusal = this.#refused.get(key);
      if (refusal !== undefined && sequence > refusal.sequence) {
        reply.refused(refusal.error);
        return null;
      }
      // It came again: what is sent behind it, in the same breath, is taken again as well.
      if (sequence === refusal?.sequence) this.#refused.delete(key);
    }
    let engine: ShardEngine;
    try {
      engine = this.#options.shards.engineOf(topic, partition);
    } catch (error) {
      outcome.refused(BrokerError.from(error, 'INTERNAL', 'the publish failed'));
      return null;
    }
    const producer = sequence === undefined || this.producer === undefined ? null : { id: this.producer, sequence };
    engine.publish({ topic, partition, batch, count, producer, outcome });
    return engine;
  }

  noteAccepted(topic: Topic, partition: number, sequence: number, count: number): void {
    const key = `${topic.name}/${partition}`;
    const last = sequence + count - 1;
    const accepted = this.#accepted.get(key);
    if (accepted === undefined) this.#accepted.set(key, { topic: topic.name, partition, sequence: last });
    else if (last > accepted.sequence) accepted.sequence = last;
  }

  noteRefused(topic: Topic, partition: number, sequence: number, error: BrokerError): void {
    const key = `${topic.name}/${partition}`;
    const refusal = this.#refused.get(key);
    if (!error.retryable) {
      // It will not come again, so nothing need wait for it.
      if (refusal?.sequence === sequence) this.#refused.delete(key);
      return;
    }
    if (refusal === undefined || sequence < refusal.sequence) this.#refused.set(key, { sequence, error });
  }

  answered(bytes: number): void {
    this.#publishes -= 1;
    this.#bytes -= bytes;
    this.#options.meter.remove(bytes);
    this.#options.onAnswered();
  }

  get counts(): PublishCounts {
    return this.#options.meter.counts;
  }

  get outbox(): SessionOutbox {
    return this.#options.outbox;
  }
}

function publishFault(
  { partition, sequence }: PublishCommand,
  { name, partitions }: Topic,
  producer: string | undefined,
): BrokerError | null {
  if (partition !== undefined && partition >= partitions) {
    return new BrokerError(
      'UNKNOWN_PARTITION',
      `topic ${name} has partitions 0 to ${partitions - 1}; got ${partition}`,
    );
  }
  if (sequence !== undefined && producer === undefined) {
    return new BrokerError('PRODUCER_REQUIRED', 'a "sequence" needs a "producer", given in hello');
  }
  return null;
}
