/**
 * What goes to one partition, in order: records not yet framed, then frames. A frame takes its sequence when it is
 * made and is kept, byte for byte, until it is answered for good; so a resend is recognised by the broker, and what a
 * partition stores is always what was published to it, in that order, each record once.
 *
 * Invariants
 *   L1  `frames` is in sequence order; `[0, next)` were sent on this connection, `[next, end)` wait to be sent.
 *   L2  After a refusal nothing is sent until all that was sent is answered: the broker refuses what follows a refused
 *       frame, and then everything goes again from the first unanswered one.
 *   L3  No frame is made while one waits to be sent.
 */
import { encodeBatch } from '../domain/record-batch.ts';
import type { Limits } from '../protocol/replies.ts';
import { Backoff } from './backoff.ts';
import { clientError, type SluiceError } from './error.ts';
import { encodeHeader } from './frame.ts';
import { type Outgoing, RecordQueue } from './outgoing.ts';
import { type Requests, refusalBackoff } from './requests.ts';

/** Records of one publish. */
export interface PublishFrame {
  readonly id: number;
  readonly lane: PartitionLane;
  readonly records: readonly Outgoing[];
  /** Sum of the records' sizes. */
  readonly bytes: number;
  readonly frame: Uint8Array;
  /** Times it was sent. */
  sends: number;
  /** Sent on this connection and not answered. */
  onWire: boolean;
  /** An earlier send was never answered, or answered OUTCOME_UNKNOWN: it may be stored. */
  doubt: boolean;
}

/** Most bytes of records of one frame, unless a single record is larger. */
export const FRAME_RECORD_BYTES = 256 * 1024;
/** Most records of one frame: a batch is delivered whole, so it bounds what a consumer gets at once. */
const FRAME_RECORDS_MAX = 4096;
/** More than the JSON header, the batch header and the length field together ever take. */
export const FRAME_OVERHEAD_BYTES = 512;
/** Unanswered frames beyond which a partition waits for a full frame or an answer: grouping under load. */
const PIPELINE_FRAMES = 4;

export class PartitionLane {
  readonly topic: string;
  readonly partition: number;
  readonly queue = new RecordQueue();
  readonly #frames: PublishFrame[] = [];
  readonly #backoff: Backoff;
  #next = 0;
  #onWire = 0;
  #refused = false;
  #sequence: number;
  /** Monotonic ms before which nothing is sent. */
  heldUntil = 0;

  constructor(topic: string, partition: number, sequence: number, random: () => number) {
    this.topic = topic;
    this.partition = partition;
    this.#sequence = sequence;
    this.#backoff = new Backoff(refusalBackoff, random);
  }

  /** Nothing waits to be sent. */
  get idle(): boolean {
    return this.queue.size === 0 && this.#next === this.#frames.length;
  }

  /** Refused, held or behind: a record that may go anywhere better goes elsewhere. */
  get stuck(): boolean {
    return this.#refused || this.#next < this.#frames.length || this.queue.bytes >= FRAME_RECORD_BYTES;
  }

  get frames(): readonly PublishFrame[] {
    return this.#frames;
  }

  /** The broker's word on what it has stored; sequences never go back. */
  raiseSequence(sequence: number): void {
    this.#sequence = Math.max(this.#sequence, sequence);
  }

  /** The next frame to send, marked as sent; null when none may be sent now. */
  take(now: number, limits: Limits, requests: Requests): PublishFrame | null {
    if (this.#refused || now < this.heldUntil) return null;
    if (this.#next === this.#frames.length) {
      const bytesMax = Math.min(FRAME_RECORD_BYTES, limits.frameBytes - FRAME_OVERHEAD_BYTES);
      if (this.queue.size === 0) return null;
      if (this.#onWire >= PIPELINE_FRAMES && this.queue.bytes < bytesMax) return null;
      this.#frames.push(this.#make(bytesMax, requests.nextId()));
    }
    const frame = this.#frames[this.#next] as PublishFrame;
    this.#next += 1;
    this.#onWire += 1;
    frame.onWire = true;
    return frame;
  }

  #make(bytesMax: number, id: number): PublishFrame {
    const records: Outgoing[] = [];
    let bytes = 0;
    for (const record of this.queue) {
      if (records.length > 0 && (bytes + record.bytes > bytesMax || records.length === FRAME_RECORDS_MAX)) break;
      this.queue.remove(record);
      records.push(record);
      bytes += record.bytes;
    }
    const { topic, partition } = this;
    const header = { op: 'publish', id, topic, partition, sequence: this.#sequence };
    this.#sequence += records.length;
    const frame = encodeBatch(records, encodeHeader(header));
    return { id, lane: this, records, bytes, frame, sends: 0, onWire: false, doubt: false };
  }

  /** Answered for good: stored, or refused for a reason that will not go away. */
  settled(frame: PublishFrame): void {
    this.#offWire(frame);
    const at = this.#frames.indexOf(frame);
    this.#frames.splice(at, 1);
    if (at < this.#next) this.#next -= 1;
    this.#backoff.reset();
    this.#rewind();
  }

  /** Refused for now. */
  refused(frame: PublishFrame, error: SluiceError, now: number): void {
    this.#offWire(frame);
    if (error.code === 'OUTCOME_UNKNOWN') frame.doubt = true;
    // Those behind it come back for its sake: one refusal is one step of the back-off.
    if (!this.#refused || error.retryAfterMs !== undefined) {
      this.heldUntil = Math.max(this.heldUntil, now + (error.retryAfterMs ?? this.#backoff.next()));
    }
    this.#refused = true;
    this.#rewind();
  }

  #offWire(frame: PublishFrame): void {
    if (frame.onWire) this.#onWire -= 1;
    frame.onWire = false;
  }

  #rewind(): void {
    if (!this.#refused || this.#onWire > 0) return;
    this.#refused = false;
    this.#next = 0;
  }

  /** The connection is gone: everything unanswered goes again. */
  lost(): void {
    for (const frame of this.#frames) {
      if (frame.onWire) frame.doubt = true;
      frame.onWire = false;
    }
    this.#onWire = 0;
    this.#next = 0;
    this.#refused = false;
    this.heldUntil = 0;
  }
}

/** Why a record was given up while its frame may be stored. */
export function outcomeUnknown(cause: SluiceError): SluiceError {
  return clientError('OUTCOME_UNKNOWN', `${cause.message}; the record may be stored`, cause);
}
