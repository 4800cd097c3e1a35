/** A record that a member of a group was given. */
import type { RecordView } from '../domain/record-batch.ts';
import { type Committer, type RecordPlace, SluiceRecord } from './record.ts';

export class GroupRecord<Value = unknown> extends SluiceRecord<Value> {
  readonly #ack: (offset: number) => void;

  constructor(place: RecordPlace, view: RecordView, committer: Committer, ack: (offset: number) => void) {
    super(place, view, committer);
    this.#ack = ack;
  }

  /**
   * It is dealt with. In the mode `acked` everything before the first record of its partition that is not is committed
   * by and by; records may be acked in any order.
   */
  ack(): void {
    this.#ack(this.offset);
  }
}
