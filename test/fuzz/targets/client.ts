/** What a client reads: frames of the broker, the batches in a delivery, and whole conversations. */
import { Client } from '../../../src/client/client.ts';
import { DeliveryBuffer } from '../../../src/client/delivery-buffer.ts';
import { SluiceError } from '../../../src/client/error.ts';
import { decodeFrame, encodeHeader } from '../../../src/client/frame.ts';
import { connect } from '../../../src/client/index.ts';
import { SluiceRecord } from '../../../src/client/record.ts';
import type { Transport, TransportEvents } from '../../../src/client/transport.ts';
import { batchFault, readDeliveredBatches } from '../../../src/domain/record-batch.ts';
import { FakeClock, settle } from '../../client/fake-clock.ts';
import { joined, type Mutator, mutateJson } from '../mutation.ts';
import {
  type AsyncTarget,
  about,
  bytesOf,
  holds,
  PropertyBroken,
  type SyncTarget,
  sameBytes,
  sameJson,
} from '../target.ts';
import { soundBatches } from './frames.ts';
import { delivery } from './log.ts';

const limits = {
  frameBytes: 65_536,
  inFlightBytes: 65_536,
  inFlightPublishes: 8,
  subscriptions: 4,
  topics: 10,
  keyBytes: 4096,
};
const welcome = { op: 'welcome', id: 'hello', session: 's', protocol: 1, broker: 'fuzz', limits, draining: false };
const deliveries = joined(delivery(0, soundBatches[1] as Uint8Array), delivery(3, soundBatches[2] as Uint8Array));
const records = { op: 'records', subscription: 1, partition: 0, epoch: 1, highWatermark: 6 };

const replies: readonly object[] = [
  welcome,
  {
    op: 'published',
    acks: [
      [2, 0, 1, 0, 1],
      [3, 0, 1, 1, 2, 1],
      [null, 0, 1, 3, 1],
    ],
  },
  { op: 'error', id: 2, code: 'OVERLOADED', retryable: true, retryAfterMs: 5, message: 'm' },
  { op: 'error', subscription: 1, code: 'SHARD_FAILED', retryable: true, message: 'm' },
  { op: 'error', code: 'BAD_REQUEST', retryable: false, message: 'm' },
  { op: 'gap', subscription: 1, partition: 0, reason: 'lost', from: 2, to: 3, epoch: 2, offset: 3 },
  { op: 'goaway', stage: 'drain', reason: 'r', deadlineMs: 100, reconnectAfterMs: 10 },
  {
    op: 'subscribed',
    id: 4,
    topic: 'orders',
    subscription: 1,
    partitions: [{ partition: 0, epoch: 1, offset: 0, highWatermark: 9 }],
  },
  { op: 'committed', id: 5, partition: 0, offset: 3 },
  { op: 'unsubscribed', subscription: 1 },
  {
    op: 'described',
    id: 1,
    topic: 'orders',
    partitions: 2,
    durability: 'sync',
    retention: { ms: null, bytes: null },
    state: [],
  },
  { op: 'producer', id: 1, topic: 'orders', producer: 'p', partitions: [{ partition: 0, sequence: 4 }] },
  { op: 'pong', id: 1 },
]; // prettier-ignore

const words = [
  'op',
  'id',
  'acks',
  'error',
  'code',
  'retryable',
  'retryAfterMs',
  'message',
  'subscription',
  'partition',
  'partitions',
  'epoch',
  'offset',
  'highWatermark',
  'records',
  'gap',
  'reason',
  'lost',
  'retention',
  'from',
  'to',
  'goaway',
  'stage',
  'drain',
  'announce',
  'deadlineMs',
  'reconnectAfterMs',
  'subscribed',
  'published',
  'welcome',
  'limits',
  'frameBytes',
  'inFlightBytes',
  'inFlightPublishes',
  'hello',
  'DRAINING',
  'UNAUTHENTICATED',
  '__proto__',
  'redeliveredBefore',
]; // prettier-ignore

const binary = (reply: object, body: Uint8Array = new Uint8Array()): Uint8Array => joined(encodeHeader(reply), body);

export const clientFrame: SyncTarget = {
  name: 'client-frame',
  seeds: () => [...replies.map((reply) => binary(reply)), binary(records, deliveries)],
  dictionary: [...words, '{', '}', '"', ':', '\ufeff'],
  bytesMax: 2048,
  allocationMax: (bytes) => 8192 + 4 * bytes,
  run: (input) => {
    let frame: ReturnType<typeof decodeFrame>;
    try {
      frame = decodeFrame(input);
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof RangeError) return error.name;
      throw error;
    }
    holds(
      new DataView(input.buffer, input.byteOffset).getUint32(0) + 4 + frame.body.length === input.length,
      'lengths add up',
    );
    const again = decodeFrame(joined(encodeHeader(frame.reply), frame.body));
    holds(
      sameJson(again.reply, frame.reply) && sameBytes(again.body, frame.body),
      'a frame written anew reads the same',
    );
    return `frame ${about(frame.body.length)}`;
  },
};

/** What an application does with a record; nothing of it may throw but as it is documented. */
function look(record: SluiceRecord): void {
  holds(record.bytes().length >= 0 && record.text().length >= 0, 'a value has bytes and text');
  holds(record.key === null || typeof record.key === 'string', 'a key is text or none');
  for (const read of [() => record.value, () => record.headers, () => record.json()]) {
    try {
      read();
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'INVALID_RECORD') throw error;
    }
  }
}

export const clientDelivery: SyncTarget = {
  name: 'client-delivery',
  seeds: () => [deliveries, ...soundBatches.map((batch) => delivery(0, batch))],
  dictionary: ['{"a":"b"}', Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1), Uint8Array.of(0xc3, 0x28)],
  bytesMax: 1024,
  allocationMax: (bytes) => 8192 + 4 * bytes,
  run: (input) => {
    const buffer = new DeliveryBuffer('orders');
    buffer.begin([{ partition: 0, epoch: 1, offset: 1, highWatermark: 0 }]);
    try {
      buffer.push({ op: 'records', subscription: 1, partition: 0, epoch: 1, highWatermark: 9 }, input);
    } catch (error) {
      if (error instanceof RangeError) return `refused ${error.message.replace(/\d+/g, '').slice(0, 40)}`;
      throw error;
    }
    // The broker checks a batch before it stores it, and its CRC before it sends it: the client trusts its structure.
    if ([...readDeliveredBatches(input)].some(({ batch }) => batchFault(batch) !== null)) return 'unsound';
    let count = 0;
    for (let taken = buffer.take(); taken !== null; taken = buffer.take()) {
      holds(taken.kind === 'record', 'a delivery holds records');
      look(new SluiceRecord(taken.place, taken.view, async () => 0));
      count += 1;
    }
    holds(buffer.taken === count, 'every record is counted once');
    return `records ${about(count)}`;
  },
};

/** A broker that lets a client come as far as a publish that waits and a subscription that stands. */
class Conversation implements Transport {
  #events: TransportEvents | null = null;

  open(events: TransportEvents): ReturnType<Transport['open']> {
    this.#events = events;
    queueMicrotask(() => events.opened());
    return {
      send: (frame) => this.#answer(typeof frame === 'string' ? (JSON.parse(frame) as Record<string, unknown>) : null),
      close: (code, reason) => queueMicrotask(() => events.closed(code, reason)),
      abandon: () => {},
    };
  }

  say(frame: string | Uint8Array): void {
    this.#events?.frame(frame);
  }

  #answer(command: Record<string, unknown> | null): void {
    if (command === null) return;
    const { op, id } = command;
    const reply =
      op === 'hello'
        ? welcome
        : op === 'describe' || op === 'producer' || op === 'subscribe'
          ? replies.find(
              (known) =>
                'op' in known &&
                known.op === { describe: 'described', producer: 'producer', subscribe: 'subscribed' }[op],
            )
          : undefined;
    if (reply !== undefined) queueMicrotask(() => this.say(JSON.stringify({ ...reply, id })));
  }
}

/**
 * Frames of the broker, one behind another:
 *
 *   0  u8   0 for text, else binary
 *   1  u16  length
 *   3       frame
 */
export function framed(frame: string | Uint8Array): Uint8Array {
  const bytes = typeof frame === 'string' ? bytesOf(frame) : frame;
  return joined(Uint8Array.of(typeof frame === 'string' ? 0 : 1, bytes.length >> 8, bytes.length & 255), bytes);
}

export function framesOf(input: Uint8Array): (string | Uint8Array)[] {
  const frames: (string | Uint8Array)[] = [];
  for (let at = 0; at + 3 <= input.length; ) {
    const length = ((input[at + 1] as number) << 8) | (input[at + 2] as number);
    const bytes = input.slice(at + 3, at + 3 + length);
    frames.push(input[at] === 0 ? Buffer.from(bytes).toString() : bytes);
    at += 3 + length;
  }
  return frames;
}

/** Changes the JSON of one frame, leaves it out, or says it twice. */
export function framesMutator(known: readonly string[], others: readonly Uint8Array[]): Mutator {
  return (input, { random }) => {
    const frames = framesOf(input);
    const at = Math.floor(random.next() * (frames.length + 1));
    const frame = frames[at];
    const parts = frames.map(framed);
    if (frame === undefined || random.next() < 0.3) {
      parts.splice(at, 0, others[Math.floor(random.next() * others.length)] as Uint8Array);
    } else if (random.next() < 0.1) parts.splice(at, 1);
    else if (typeof frame === 'string') parts[at] = framed(mutateJson(frame, random, known));
    else if (frame.length > 4) {
      const end = 4 + new DataView(frame.buffer, frame.byteOffset).getUint32(0);
      const header = bytesOf(mutateJson(Buffer.from(frame.subarray(4, end)).toString(), random, known));
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, header.length);
      parts[at] = framed(joined(length, header, frame.subarray(end)));
    }
    return joined(...parts);
  };
}

const said = [...replies.map((reply) => framed(JSON.stringify(reply))), framed(binary(records, deliveries))];

export const clientConversation: AsyncTarget = {
  name: 'client-conversation',
  seeds: () => [joined(...said), ...said],
  dictionary: words,
  mutators: [framesMutator(words, said), framesMutator(words, said)],
  bytesMax: 4096,
  open: async () => {
    const unhandled = (error: unknown): never => {
      throw new PropertyBroken(`no rejection is left alone: ${String(error)}`, { cause: error });
    };
    process.on('unhandledRejection', unhandled);
    return async () => void process.off('unhandledRejection', unhandled);
  },
  runAsync: async (input) => {
    const transport = new Conversation();
    const clock = new FakeClock();
    const ends: string[] = [];
    const client = await connect(transport, { clock, random: () => 0.5, producer: 'p' });
    const publishing = [1, 2, 3].map((value) =>
      client.publish('orders', { key: 'k', value }).then(
        ({ offset }) => ends.push(`ack ${typeof offset}`),
        (error: unknown) => ends.push(codeOf(error)),
      ),
    );
    const subscription = client.subscribe('orders', { from: 'earliest', group: 'g' });
    subscription.ready.catch((error: unknown) => ends.push(codeOf(error)));
    await settle();
    for (const frame of framesOf(input)) transport.say(frame);
    await settle();
    let taken = 0;
    for (let more = true; more && taken < 50; ) {
      const next = subscription.next().then(
        ({ value }) => value ?? null,
        (error: unknown) => void ends.push(codeOf(error)),
      );
      const record = await Promise.race([next, settle().then(() => null)]);
      more = record instanceof SluiceRecord;
      if (!(record instanceof SluiceRecord)) continue;
      look(record);
      taken += 1;
    }
    await clock.advance(20);
    const closed = client.close();
    await clock.advance(2000);
    await closed;
    await Promise.all(publishing);
    holds(client instanceof Client && client.state === 'closed', 'a client that was closed is');
    holds(clock.timers === 0, `a closed client leaves no timer; got ${clock.timers}`);
    return `${[...new Set(ends)].sort().join(' ')} taken ${about(taken)}`;
  },
};

function codeOf(error: unknown): string {
  if (error instanceof SluiceError && typeof error.code === 'string') return error.code.slice(0, 24);
  throw new PropertyBroken(`a client rejects with SluiceError: ${String(error)}`, { cause: error });
}
