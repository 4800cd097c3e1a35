/** Bugs of the client library. */
import type { Bug } from './bug.ts';

export const clientBugs: readonly Bug[] = [
  {
    name: 'resend-takes-new-sequence',
    text: 'A frame that may be stored goes again under a new sequence. Every Kafka producer did before KIP-98.',
    shownBy: ['S6'],
    edits: [
      {
        file: 'src/client/partition-lane.ts',
        find: 'const frame = this.#frames[this.#next] as PublishFrame;',
        replace:
          'const frame = this.#frames[this.#next] as { -readonly [Key in keyof PublishFrame]: PublishFrame[Key] };\n' +
          '    if (frame.doubt) {\n' +
          "      const header = { op: 'publish', id: frame.id, topic: this.topic, partition: this.partition, sequence: this.#sequence };\n" +
          '      this.#sequence += frame.records.length;\n' +
          '      frame.frame = encodeBatch(frame.records, encodeHeader(header));\n    }',
      },
    ],
  },
  {
    name: 'resend-skipped',
    text: 'What was sent on a connection that is lost is taken for sent.',
    shownBy: ['L2'],
    edits: [
      {
        file: 'src/client/partition-lane.ts',
        find: 'this.#onWire = 0;\n    this.#next = 0;',
        replace: 'this.#onWire = 0;',
      },
    ],
  },
  {
    name: 'ack-of-wrong-record',
    text: 'All records of a frame are told the offset of its first.',
    shownBy: ['S1', 'S2'],
    edits: [{ file: 'src/client/dispatcher.ts', find: 'at += 1;', replace: '' }],
  },
  {
    name: 'position-off-by-one',
    text: 'The position stands at the record that was taken, not behind it: it comes again after a reconnect.',
    shownBy: ['S4'],
    edits: [
      {
        file: 'src/client/delivery-buffer.ts',
        find: 'position.offset = place.baseOffset + view.index + 1;',
        replace: 'position.offset = place.baseOffset + view.index;',
      },
    ],
  },
  {
    name: 'gap-swallowed',
    text: 'The position follows a gap, and the loop is not told of it.',
    shownBy: ['S4'],
    edits: [
      {
        file: 'src/client/delivery-buffer.ts',
        find: "return { kind: 'gap', gap: item.gap };",
        replace: 'continue;',
      },
    ],
  },
  {
    name: 'position-ahead-of-loop',
    text: 'The position follows what came from the broker, not what the loop took: what waits in the buffer is skipped by a reconnect.',
    shownBy: ['S4', 'L2'],
    edits: [
      {
        file: 'src/client/delivery-buffer.ts',
        find: 'this.#items.push({ position, batch: { ...batch, redeliveredBefore } });',
        replace:
          'this.#items.push({ position: { ...position }, batch: { ...batch, redeliveredBefore } });\n' +
          '      position.offset = batch.baseOffset + batch.count;\n      position.epoch = batch.epoch;',
      },
    ],
  },
  {
    name: 'commit-presumed',
    text: 'A commit whose connection was lost is told as done.',
    shownBy: ['S5', 'I5'],
    edits: [
      {
        file: 'src/client/commits.ts',
        find: 'this.commit(lane.partition, commit.offset).then(resolve, reject);',
        replace: 'resolve(commit.offset);',
      },
    ],
  },
  {
    name: 'doubt-told-as-refusal',
    text: 'A record that may be stored is refused for good, as if it were not: whoever publishes it again has it twice.',
    shownBy: ['I4'],
    edits: [
      {
        file: 'src/client/dispatcher.ts',
        find: 'record.refuse(doubt ? outcomeUnknown(error) : error);',
        replace: 'record.refuse(doubt ? error : error);',
      },
    ],
  },
];
