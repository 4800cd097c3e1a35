/**
 * Sequenced publishes that are admitted and not yet durable, by partition and producer: a resend of one of them joins
 * it instead of being stored again. Bounded by the shard's queue.
 */
import { BrokerError } from '../errors.ts';
import type { Partition } from './partition.ts';
import { type PublishOutcome, QueuedPublish } from './queued-entry.ts';
import type { ShardState } from './shard-state.ts';

export class ProducersInFlight {
  /** In rising sequence, since only rising ones are admitted and groups are written in order. */
  readonly #publishes = new Map<string, QueuedPublish[]>();

  /** The publish in flight that begins at `sequence`, else the last sequence in flight; null when none is. */
  find(partition: Partition, producer: string, sequence: number): QueuedPublish | number | null {
    const publishes = this.#publishes.get(keyOf(partition.handle, producer));
    const lastSequence = lastSequenceOf(publishes?.[publishes.length - 1]);
    if (publishes === undefined || lastSequence === null) return null;
    if (sequence > lastSequence) return lastSequence;
    return publishes.find((publish) => publish.stamp.producer?.sequence === sequence) ?? lastSequence;
  }

  /** The last sequence in flight; null when none is. */
  last(partition: Partition, producer: string): number | null {
    const publishes = this.#publishes.get(keyOf(partition.handle, producer));
    return lastSequenceOf(publishes?.[publishes.length - 1]);
  }

  add(publish: QueuedPublish): void {
    const key = keyOfPublish(publish);
    if (key === null) return;
    const publishes = this.#publishes.get(key);
    if (publishes === undefined) this.#publishes.set(key, [publish]);
    else publishes.push(publish);
  }

  remove(publish: QueuedPublish): void {
    const key = keyOfPublish(publish);
    const publishes = key === null ? undefined : this.#publishes.get(key);
    if (key === null || publishes === undefined) return;
    const at = publishes.indexOf(publish);
    if (at >= 0) publishes.splice(at, 1);
    if (publishes.length === 0) this.#publishes.delete(key);
  }
}

function lastSequenceOf(publish: QueuedPublish | undefined): number | null {
  const first = publish?.stamp.producer?.sequence;
  return publish === undefined || first === undefined ? null : first + publish.count - 1;
}

function keyOf(handle: number, producer: string): string {
  return `${handle}/${producer}`;
}

function keyOfPublish(publish: QueuedPublish): string | null {
  const { producer, handle } = publish.stamp;
  return producer === null ? null : keyOf(handle, producer.id);
}

/**
 * The base of idempotent publishing. True when the sequence was stored, is being stored, or is stale: the outcome was
 * told, or will be with that of the publish in flight. False for a new one, which is to be admitted.
 */
export function answeredBefore(
  state: ShardState,
  inFlight: ProducersInFlight,
  partition: Partition,
  producer: { readonly id: string; readonly sequence: number },
  outcome: PublishOutcome,
): boolean {
  const flight = inFlight.find(partition, producer.id, producer.sequence);
  if (flight instanceof QueuedPublish) {
    flight.join(outcome);
    return true;
  }
  const verdict = state.producer(partition.handle, producer.id)?.judge(producer.sequence) ?? { is: 'new' };
  if (verdict.is === 'duplicate') {
    outcome.published(verdict.offset, verdict.epoch, true);
    return true;
  }
  const last = Math.max(verdict.is === 'stale' ? verdict.last : -1, flight ?? -1);
  if (verdict.is === 'new' && producer.sequence > last) return false;
  outcome.refused(
    new BrokerError(
      'SEQUENCE_OUT_OF_ORDER',
      `sequence ${producer.sequence} of producer ${producer.id} is not above the last one on ${partition.label}, ` +
        `${last}, nor remembered; expected ${last + 1} or more`,
    ),
  );
  return true;
}
