/**
 * Batches as JSON text for consumers of text frames: made once, shared by all who are served in the same moments.
 * Bounded in characters; the oldest goes first.
 */
import { batchCount, DELIVERED_HEADER_BYTES } from '../domain/record-batch.ts';
import { assert } from '../errors.ts';
import { recordsText } from '../protocol/record-json.ts';
import type { StoredBatch } from '../shard/recent-batches.ts';

const LENGTH_MAX = 4 * 1024 * 1024;

export class TextCache {
  readonly #texts = new Map<StoredBatch, string>();
  #length = 0;

  /** The records of a batch from offset `from` on, as the inside of a JSON array. */
  textOf(batch: StoredBatch, from: number): string {
    const first = Math.max(0, from - batch.baseOffset);
    if (first > 0) return recordsText(batchBytes(batch), batch.baseOffset, batch.time, first);
    const known = this.#texts.get(batch);
    if (known !== undefined) return known;
    const text = recordsText(batchBytes(batch), batch.baseOffset, batch.time, 0);
    this.#keep(batch, text);
    return text;
  }

  #keep(batch: StoredBatch, text: string): void {
    if (text.length > LENGTH_MAX) return;
    this.#texts.set(batch, text);
    this.#length += text.length;
    for (const [oldest, oldText] of this.#texts) {
      if (this.#length <= LENGTH_MAX) break;
      this.#texts.delete(oldest);
      this.#length -= oldText.length;
    }
  }
}

function batchBytes(batch: StoredBatch): Uint8Array {
  const [only, second] = batch.parts;
  assert(only !== undefined, 'a stored batch has bytes');
  // From memory: header and batch are two parts. From the log: one, with the header in front.
  const bytes = second ?? only.subarray(DELIVERED_HEADER_BYTES);
  assert(batchCount(bytes) === batch.count, 'a stored batch holds as many records as it says');
  return bytes;
}
