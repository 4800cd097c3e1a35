/**
 * Writes the rare entries of a shard: topics, partitions, the clean mark. Each goes through the append queue like any
 * other, so that one order holds for all.
 */
import type { BrokerError } from '../errors.ts';
import { EntryKind } from '../storage/log.ts';
import type { AppendQueue } from './append-queue.ts';
import type { ControlBody, ControlKind } from './control-entry.ts';
import type { Gate } from './gate.ts';
import type { Partition } from './partition.ts';
import { QueuedControl } from './queued-entry.ts';
import type { ShardState } from './shard-state.ts';

export class ControlWriter {
  readonly #state: ShardState;
  readonly #queue: AppendQueue;
  readonly #gate: Gate;

  constructor(state: ShardState, queue: AppendQueue, gate: Gate) {
    this.#state = state;
    this.#queue = queue;
    this.#gate = gate;
  }

  changeTopic(body: ControlBody<typeof EntryKind.topic>, applied: () => void): Promise<void> {
    return this.#throughGate(EntryKind.topic, body, (sequence) => {
      this.#state.applyTopic(body, sequence);
      applied();
    });
  }

  changeGroup(body: ControlBody<typeof EntryKind.group>, applied: () => void): Promise<void> {
    return this.#throughGate(EntryKind.group, body, (sequence) => {
      this.#state.applyGroup(body, sequence);
      applied();
    });
  }

  /** Gives the partition its handle; the entry that says so goes ahead of the first that uses it. */
  openPartition(partition: Partition): void {
    partition.handle = this.#state.takeHandle();
    const { handle, topic, topicId, durability } = partition;
    const body = { change: 'open' as const, handle, topicId, topic, partition: partition.partition, durability };
    const written = (sequence: number): void => this.#state.applyPartition(body, sequence);
    // Lost, it needs no one told: what needed the partition is lost with it.
    this.#queue.push(new QueuedControl(EntryKind.partition, body, written, () => {}));
  }

  async closeTopic(topicId: number): Promise<void> {
    await Promise.all(this.#state.partitionsOfTopic(topicId).map((partition) => this.#close(partition)));
  }

  #close(partition: Partition): Promise<void> {
    if (partition.handle === 0) {
      this.#state.dropUnopened(partition);
      partition.wakeWaiters();
      return Promise.resolve();
    }
    const refusal = this.#gate.refusal();
    if (refusal !== null) return Promise.reject(refusal);
    if (partition.closing) return Promise.resolve();
    partition.closing = true;
    const body = { change: 'close' as const, handle: partition.handle };
    return this.#throughGate(EntryKind.partition, body, (sequence) => {
      this.#state.applyPartition(body, sequence);
      partition.wakeWaiters();
    });
  }

  /** Behind the gate: the very last entry. */
  markClean(): Promise<void> {
    const body = { time: this.#state.lastTime };
    return this.#write(EntryKind.clean, body, (sequence) => this.#state.applyClean(sequence));
  }

  #throughGate<K extends ControlKind>(kind: K, body: ControlBody<K>, apply: (sequence: number) => void): Promise<void> {
    const refusal = this.#gate.refusal();
    return refusal === null ? this.#write(kind, body, apply) : Promise.reject(refusal);
  }

  #write<K extends ControlKind>(kind: K, body: ControlBody<K>, apply: (sequence: number) => void): Promise<void> {
    return new Promise((resolve, reject: (error: BrokerError) => void) => {
      const written = (sequence: number): void => {
        apply(sequence);
        resolve();
      };
      this.#queue.push(new QueuedControl(kind, body, written, reject));
    });
  }
}
