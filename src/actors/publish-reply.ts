/** What becomes of one publish, as its reply: of a single partition, of several, and the notes of a sequenced one. */
import type { Topic } from '../domain/topic.ts';
import { BrokerError } from '../errors.ts';
import type { CommandId } from '../protocol/commands.ts';
import type { PublishOutcome } from '../shard/queued-entry.ts';
import type { PublishCounts } from './publish-counts.ts';
import type { FrameKind, SessionOutbox } from './session-outbox.ts';

/** What a reply needs of the session's publisher. */
export interface Publisher {
  readonly outbox: SessionOutbox;
  readonly counts: PublishCounts;
  /** The publish is answered; `bytes` of its batch are no longer in flight. */
  answered(bytes: number): void;
  noteAccepted(topic: Topic, partition: number, sequence: number, count: number): void;
  noteRefused(topic: Topic, partition: number, sequence: number, error: BrokerError): void;
}

/** The reply to a publish that goes to one partition. */
export class SingleReply implements PublishOutcome {
  readonly #publisher: Publisher;
  readonly #kind: FrameKind;
  readonly #id: CommandId;
  readonly #topic: Topic;
  readonly #partition: number;
  readonly #bytes: number;
  readonly #count: number;

  constructor(
    publisher: Publisher,
    kind: FrameKind,
    id: CommandId,
    topic: Topic,
    partition: number,
    payload: { readonly batch: Uint8Array; readonly count: number },
  ) {
    this.#publisher = publisher;
    this.#kind = kind;
    this.#id = id;
    this.#topic = topic;
    this.#partition = partition;
    this.#bytes = payload.batch.length;
    this.#count = payload.count;
  }

  published(offset: number, epoch: number, duplicate: boolean): void {
    const { outbox, counts } = this.#publisher;
    counts.noteAccepted(duplicate);
    if (this.#kind === 'binary') {
      const id = this.#id ?? null;
      const row = [id, this.#partition, epoch, offset, this.#count] as const;
      outbox.acknowledge(duplicate ? [...row, 1] : row);
    } else {
      outbox.send('text', {
        op: 'published',
        ...(this.#id === undefined ? {} : { id: this.#id }),
        topic: this.#topic.name,
        partition: this.#partition,
        epoch,
        offset,
        count: this.#count,
        ...(duplicate ? { duplicate } : {}),
      });
    }
    this.#publisher.answered(this.#bytes);
  }

  refused(error: BrokerError): void {
    this.#publisher.counts.noteRefused(error.code);
    this.#publisher.outbox.refuse(this.#kind, this.#id, error);
    this.#publisher.answered(this.#bytes);
  }
}

/** The reply to a text publish whose records go to several partitions: one answer, when all parts are known. */
export class ManyReply {
  readonly #publisher: Publisher;
  readonly #kind: FrameKind;
  readonly #id: CommandId;
  readonly #topic: Topic;
  readonly #places: readonly number[];
  readonly #stored = new Map<number, { offset: number; epoch: number }>();
  #open: number;
  #duplicate = true;
  #error: BrokerError | null = null;

  constructor(
    publisher: Publisher,
    kind: FrameKind,
    id: CommandId,
    topic: Topic,
    places: readonly number[],
    parts: number,
  ) {
    this.#publisher = publisher;
    this.#kind = kind;
    this.#id = id;
    this.#topic = topic;
    this.#places = places;
    this.#open = parts;
  }

  part(partition: number, bytes: number): PublishOutcome {
    return {
      published: (offset, epoch, duplicate) => {
        this.#stored.set(partition, { offset, epoch });
        if (!duplicate) this.#duplicate = false;
        this.#close(bytes);
      },
      refused: (error) => {
        this.#error ??= error;
        this.#close(bytes);
      },
    };
  }

  #close(bytes: number): void {
    this.#open -= 1;
    if (this.#open === 0) this.#answer();
    this.#publisher.answered(bytes);
  }

  #answer(): void {
    const { outbox, counts } = this.#publisher;
    if (this.#error !== null) {
      const error = this.#stored.size === 0 ? this.#error : partlyStored(this.#error, [...this.#stored.keys()]);
      counts.noteRefused(error.code);
      outbox.refuse(this.#kind, this.#id, error);
      return;
    }
    counts.noteAccepted(this.#duplicate);
    const next = new Map([...this.#stored].map(([partition, { offset }]) => [partition, offset]));
    const positions = this.#places.map((partition) => {
      const offset = next.get(partition) as number;
      next.set(partition, offset + 1);
      return { partition, offset, epoch: this.#stored.get(partition)?.epoch ?? 1 };
    });
    outbox.send(this.#kind, {
      op: 'published',
      ...(this.#id === undefined ? {} : { id: this.#id }),
      topic: this.#topic.name,
      count: positions.length,
      positions,
      ...(this.#duplicate ? { duplicate: true } : {}),
    });
  }
}

function partlyStored(error: BrokerError, partitions: readonly number[]): BrokerError {
  const message = `stored on partitions ${partitions.join(', ')}, refused elsewhere (${error.code}): ${error.message}`;
  return new BrokerError(
    'OUTCOME_UNKNOWN',
    message,
    error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs },
  );
}

/** Notes what became of a sequenced publish before its reply is sent. */
export class SequencedReply implements PublishOutcome {
  readonly #publisher: Publisher;
  readonly #topic: Topic;
  readonly #partition: number;
  readonly #sequence: number;
  readonly #count: number;
  readonly #reply: PublishOutcome;

  constructor(
    publisher: Publisher,
    topic: Topic,
    partition: number,
    sequence: number,
    count: number,
    reply: PublishOutcome,
  ) {
    this.#publisher = publisher;
    this.#topic = topic;
    this.#partition = partition;
    this.#sequence = sequence;
    this.#count = count;
    this.#reply = reply;
  }

  published(offset: number, epoch: number, duplicate: boolean): void {
    this.#publisher.noteAccepted(this.#topic, this.#partition, this.#sequence, this.#count);
    this.#reply.published(offset, epoch, duplicate);
  }

  refused(error: BrokerError): void {
    this.#publisher.noteRefused(this.#topic, this.#partition, this.#sequence, error);
    this.#reply.refused(error);
  }
}
