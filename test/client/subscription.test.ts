import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { GapEvent, SluiceRecord, Subscription } from '../../src/client/index.ts';
import { encodeBatch } from '../../src/domain/record-batch.ts';
import { connected, makeRig, outcome, type Rig, seen } from './rig.ts';

let rig: Rig;
afterEach(() => expect(rig.broker.complaints).toEqual([]));

const text = new TextEncoder();

/** Stores `values` on t/0 as batches of `size`. */
function fill(values: readonly string[], size = 1): void {
  for (let at = 0; at < values.length; at += size) {
    const some = values.slice(at, at + size);
    const batch = encodeBatch(
      some.map((value) => ({ key: null, headers: null, value: text.encode(value), encoding: 'utf8' })),
    );
    rig.broker.topic('t', 1);
    rig.broker.append('t', 0, some, batch);
  }
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index));
}

async function take(subscription: Subscription, count: number): Promise<SluiceRecord[]> {
  const records: SluiceRecord[] = [];
  while (records.length < count) {
    const next = seen(subscription.next());
    await rig.clock.advance(5);
    if ((await outcome(next)) === 'pending') throw new Error(`no record behind ${records.length}`);
    const { value } = await next;
    if (value === undefined) throw new Error('the iterator ended');
    records.push(value);
  }
  return records;
}

const values = (records: readonly SluiceRecord[]): unknown[] => records.map((record) => record.value);

describe('records', () => {
  test('come as they were published: key, headers, value, place and time', async () => {
    rig = makeRig();
    rig.broker.topic('t', 1);
    const client = await connected(rig);
    const subscription = client.subscribe('t', { from: 'earliest' });
    void client.publish('t', { key: 'k', value: { a: 1 }, headers: { trace: 'ü' } });
    void client.publish('t', { value: '\ufeffwith a mark' });
    void client.publish('t', { value: new Uint8Array([1, 255]) });
    void client.publish('t', { key: new Uint8Array([255]) });
    const [json, utf8, bytes, tombstone] = await take(subscription, 4);
    expect(json).toMatchObject({
      topic: 't',
      partition: 0,
      offset: 0,
      epoch: 1,
      time: 1_000,
      key: 'k',
      encoding: 'json',
    });
    expect(json?.value).toEqual({ a: 1 });
    expect(json?.value).toBe(json?.value);
    expect(json?.headers).toEqual({ trace: 'ü' });
    expect(json?.text()).toBe('{"a":1}');
    expect(utf8?.value).toBe('\ufeffwith a mark');
    expect(utf8?.key).toBeNull();
    expect(utf8?.headers).toEqual({});
    expect(bytes?.value).toEqual(new Uint8Array([1, 255]));
    expect(bytes?.bytes()).toEqual(new Uint8Array([1, 255]));
    expect(tombstone).toMatchObject({ tombstone: true, value: null, keyBytes: new Uint8Array([255]), offset: 3 });
  });

  test('a value that is marked as JSON and is none fails only who reads it', async () => {
    rig = makeRig();
    rig.broker.topic('t', 1);
    const batch = encodeBatch([{ key: null, headers: null, value: text.encode('{'), encoding: 'json' }]);
    rig.broker.append('t', 0, ['{'], batch);
    const client = await connected(rig);
    const [record] = await take(client.subscribe('t', { from: 'earliest' }), 1);
    expect(() => record?.value).toThrow(/the value of t\/0@0 is not JSON/);
    expect(record?.text()).toBe('{');
  });

  test('come as arrays too, a batch each, in the same order', async () => {
    rig = makeRig();
    fill(numbers(0, 10), 4);
    const client = await connected(rig);
    const seenBatches: unknown[][] = [];
    const loop = (async () => {
      for await (const batch of client.subscribe('t', { from: { offset: 2 } }).batches()) {
        seenBatches.push(values(batch));
        if (seenBatches.length === 3) break;
      }
    })();
    await rig.clock.advance(50);
    await loop;
    expect(seenBatches).toEqual([
      ['2', '3'],
      ['4', '5', '6', '7'],
      ['8', '9'],
    ]);
    expect(rig.broker.session.subscriptions.size).toBe(0);
  });
});

describe('the start', () => {
  test('ready tells where it begins, and subscribing is a binary frame', async () => {
    rig = makeRig();
    fill(['a', 'b']);
    const client = await connected(rig);
    const subscription = client.subscribe('t', { from: { offset: 1 }, partitions: [0], credit: 10 });
    expect(await outcome(subscription.ready)).toBe('pending');
    await rig.clock.advance(5);
    expect(await subscription.ready).toEqual([{ partition: 0, offset: 1, epoch: 1, highWatermark: 2 }]);
    expect(rig.broker.commands('subscribe')).toMatchObject([
      { topic: 't', from: { offset: 1 }, partitions: [0], credit: 10 },
    ]);
    expect(values(await take(subscription, 1))).toEqual(['b']);
    expect(subscription.positions).toEqual([{ partition: 0, offset: 2, epoch: 1, highWatermark: 2 }]);
  });

  test('records before the offset that was asked for are passed over', async () => {
    rig = makeRig();
    fill(numbers(0, 6), 6);
    const client = await connected(rig);
    expect(values(await take(client.subscribe('t', { from: { offset: 4 } }), 2))).toEqual(['4', '5']);
  });

  test('a refusal for good is thrown by the iterator, and by ready', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const subscription = client.subscribe('none');
    const next = seen(subscription.next());
    await rig.clock.advance(5);
    expect(await outcome(next)).toBe('UNKNOWN_TOPIC');
    expect(await outcome(subscription.ready)).toBe('UNKNOWN_TOPIC');
    expect(await subscription.next()).toEqual({ done: true, value: undefined });
    await rig.clock.advance(60_000);
    expect(rig.broker.commands('subscribe')).toHaveLength(1);
  });

  test('a refusal for now is tried again, after its time, and told as an error', async () => {
    rig = makeRig();
    fill(['a']);
    let refusals = 2;
    rig.broker.refuse = (command) => {
      if (command['op'] !== 'subscribe' || refusals === 0) return null;
      refusals -= 1;
      return { code: 'SHARD_FAILED', retryable: true, retryAfterMs: 2_000 };
    };
    const client = await connected(rig);
    const errors: string[] = [];
    client.on('error', ({ code }) => errors.push(code));
    const subscription = client.subscribe('t', { from: 'earliest' });
    const next = seen(subscription.next());
    await rig.clock.advance(3_900);
    expect(await outcome(next)).toBe('pending');
    await rig.clock.advance(200);
    expect((await next).value?.value).toBe('a');
    expect(errors).toEqual(['SHARD_FAILED', 'SHARD_FAILED']);
  });

  test('begun while there is no connection, it begins with the next', async () => {
    rig = makeRig();
    fill(['a']);
    const client = await connected(rig);
    rig.broker.cut();
    const subscription = client.subscribe('t', { from: 'earliest' });
    const next = seen(subscription.next());
    await rig.clock.advance(1_000);
    expect((await next).value?.value).toBe('a');
    expect(rig.broker.commands('subscribe')).toHaveLength(1);
  });
});

describe('credit', () => {
  test.each([
    [10, 1],
    [10, 4],
    [100, 7],
    [1, 1],
  ])('%i: a loop that stands still has no more than that and one batch of %i', async (credit, size) => {
    rig = makeRig();
    fill(numbers(0, 500), size);
    const client = await connected(rig);
    const subscription = client.subscribe('t', { from: 'earliest', credit });
    await rig.clock.advance(100);
    const sent = (): number => {
      const [only] = [...rig.broker.session.subscriptions.values()];
      return only?.next.get(0) ?? 0;
    };
    let taken = 0;
    for (let round = 0; round < 60; round += 1) {
      expect(sent() - taken).toBeLessThanOrEqual(credit + size - 1);
      expect(sent()).toBeGreaterThan(taken);
      taken += (await take(subscription, 3)).length;
    }
    expect(values(await take(subscription, 1))).toEqual([String(taken)]);
  });

  test('is topped up when half is used, not for every record', async () => {
    rig = makeRig();
    fill(numbers(0, 200));
    const client = await connected(rig);
    await take(client.subscribe('t', { from: 'earliest', credit: 20 }), 100);
    const credits = rig.broker.commands('credit').map((command) => command['records']);
    expect(credits).toEqual(Array(10).fill(10));
  });
});

describe('a lost connection', () => {
  test('resumes at the record that the loop has not seen, with the epoch it stands in', async () => {
    rig = makeRig();
    fill(numbers(0, 30), 3);
    const client = await connected(rig);
    const subscription = client.subscribe('t', { from: 'earliest' });
    const before = await take(subscription, 10);
    rig.broker.cut();
    await rig.clock.advance(1_000);
    const after = await take(subscription, 20);
    expect(values([...before, ...after])).toEqual(numbers(0, 30));
    expect(rig.broker.commands('subscribe')[1]).toMatchObject({ positions: [{ partition: 0, offset: 10, epoch: 1 }] });
  });

  test('what "latest" meant the first time holds, though nothing had come yet', async () => {
    rig = makeRig();
    fill(['old']);
    const client = await connected(rig);
    const subscription = client.subscribe('t');
    await rig.clock.advance(10);
    rig.broker.cut();
    fill(['missed while away']);
    await rig.clock.advance(1_000);
    expect(values(await take(subscription, 1))).toEqual(['missed while away']);
  });

  test('subscribes again before the outbox is flushed', async () => {
    rig = makeRig();
    rig.broker.topic('t', 1);
    rig.broker.withholdAck = () => true;
    const client = await connected(rig);
    client.subscribe('t');
    const ack = client.publish('t', { value: 1 });
    const listed = client.topics();
    await rig.clock.advance(10);
    rig.broker.withholdAck = () => false;
    rig.broker.cut();
    const from = rig.broker.log.length;
    void client.publish('t', { value: 2 });
    const again = client.topics();
    await rig.clock.advance(1_000);
    await Promise.all([ack, listed, again]);
    expect(rig.broker.log.slice(from, from + 4).map((command) => command['op'])).toEqual([
      'hello',
      'subscribe',
      'describe',
      'topics',
    ]);
  });

  test('every record comes once and in order, however often it is lost', async () => {
    rig = makeRig();
    fill(numbers(0, 300), 7);
    const client = await connected(rig);
    const subscription = client.subscribe('t', { from: 'earliest', credit: 25 });
    const got: unknown[] = [];
    for (let round = 0; got.length < 300; round += 1) {
      got.push(...values(await take(subscription, Math.min(1 + ((round * 5) % 23), 300 - got.length))));
      if (round % 3 === 0) {
        rig.broker.cut();
        await rig.clock.advance(20_000);
      }
    }
    expect(got).toEqual(numbers(0, 300));
  });
});

describe('a gap', () => {
  test('is told between the records around it, on the client and on the subscription, and the loop goes on', async () => {
    rig = makeRig();
    fill(numbers(0, 10));
    const client = await connected(rig);
    const story: string[] = [];
    const note =
      (who: string) =>
      ({ topic, partition, from, to, reason }: GapEvent): void => {
        story.push(`${who} ${topic}/${partition} [${from}, ${to}) ${reason}`);
      };
    client.on('gap', note('client'));
    const subscription = client.subscribe('t', { from: 'earliest', credit: 4 });
    subscription.on('gap', note('subscription'));
    client.subscribe('t').on('gap', note('other'));
    for (const record of await take(subscription, 2)) story.push(String(record.value));
    // Retention goes past the loop while it is away.
    const partition = rig.broker.topic('t')[0];
    if (partition !== undefined) partition.start = 6;
    rig.broker.cut();
    await rig.clock.advance(1_000);
    for (const record of await take(subscription, 4)) story.push(String(record.value));
    expect(story.slice(0, 2)).toEqual(['0', '1']);
    expect(story.slice(2, 4).sort()).toEqual(['client t/0 [2, 6) retention', 'subscription t/0 [2, 6) retention']);
    expect(story.slice(4)).toEqual(['6', '7', '8', '9']);
  });

  test('that was delivered and not reached by the loop is told again on the next connection', async () => {
    rig = makeRig();
    fill(numbers(0, 10));
    const client = await connected(rig);
    const gaps: [number, number][] = [];
    client.on('gap', ({ from, to }) => gaps.push([from, to]));
    const subscription = client.subscribe('t', { from: 'earliest', credit: 4 });
    await take(subscription, 2);
    const partition = rig.broker.topic('t')[0];
    if (partition !== undefined) partition.start = 6;
    rig.broker.cut();
    await rig.clock.advance(1_000);
    expect(subscription.positions).toMatchObject([{ offset: 2 }]);
    rig.broker.cut();
    await rig.clock.advance(1_000);
    expect(gaps).toEqual([]);
    expect(values(await take(subscription, 1))).toEqual(['6']);
    expect(gaps).toEqual([[2, 6]]);
  });

  test('of records that the loop has read meanwhile is none', async () => {
    rig = makeRig();
    fill(numbers(0, 6));
    const client = await connected(rig);
    let gaps = 0;
    client.on('gap', () => {
      gaps += 1;
    });
    const subscription = client.subscribe('t', { from: 'earliest' });
    await take(subscription, 4);
    const [id] = [...rig.broker.session.subscriptions.keys()];
    const late = {
      op: 'gap',
      subscription: id,
      partition: 0,
      reason: 'retention',
      from: 1,
      to: 3,
      epoch: 1,
      offset: 3,
    };
    rig.broker.session.socket.deliver(JSON.stringify(late));
    expect(values(await take(subscription, 2))).toEqual(['4', '5']);
    const last = seen(subscription.next());
    await rig.clock.advance(10);
    expect(await outcome(last)).toBe('pending');
    expect(gaps).toBe(0);
    expect(subscription.positions).toMatchObject([{ offset: 6 }]);
  });

  test('of lost records steps back to where the new epoch begins', async () => {
    rig = makeRig();
    fill(numbers(0, 4));
    const client = await connected(rig);
    const subscription = client.subscribe('t', { from: 'earliest' });
    await take(subscription, 4);
    const partition = rig.broker.topic('t')[0];
    if (partition === undefined) throw new Error('no partition');
    const [id] = [...rig.broker.session.subscriptions.keys()];
    partition.records.length = 2;
    partition.batches.length = 2;
    partition.epoch = 2;
    const lost = { op: 'gap', subscription: id, partition: 0, reason: 'lost', from: 2, to: 4, epoch: 2, offset: 2 };
    rig.broker.session.socket.deliver(JSON.stringify(lost));
    rig.broker.session.subscriptions.get(id ?? 0)?.next.set(0, 2);
    await rig.clock.advance(5);
    fill(['new 2', 'new 3']);
    const records = await take(subscription, 2);
    expect(records.map(({ offset, epoch, value }) => [offset, epoch, value])).toEqual([
      [2, 2, 'new 2'],
      [3, 2, 'new 3'],
    ]);
  });
});

describe('the end', () => {
  test('leaving the loop unsubscribes', async () => {
    rig = makeRig();
    fill(['a', 'b']);
    const client = await connected(rig);
    const loop = (async () => {
      for await (const record of client.subscribe('t', { from: 'earliest' })) return record.value;
      return null;
    })();
    await rig.clock.advance(20);
    expect(await loop).toBe('a');
    expect(rig.broker.session.subscriptions.size).toBe(0);
    expect(rig.broker.commands('unsubscribe')).toHaveLength(1);
  });

  test('a signal ends the iterator cleanly, also one that waits, also before it began', async () => {
    rig = makeRig();
    rig.broker.topic('t', 1);
    const client = await connected(rig);
    const controller = new AbortController();
    const subscription = client.subscribe('t', { signal: controller.signal });
    const next = subscription.next();
    await rig.clock.advance(5);
    controller.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    await rig.clock.advance(5);
    expect(rig.broker.session.subscriptions.size).toBe(0);
    const never = client.subscribe('t', { signal: controller.signal });
    expect(await never.next()).toEqual({ done: true, value: undefined });
    await rig.clock.advance(100);
    expect(rig.broker.commands('subscribe')).toHaveLength(1);
  });

  test('one that ends while the broker has not answered is unsubscribed when it does', async () => {
    rig = makeRig();
    rig.broker.topic('t', 1);
    const client = await connected(rig);
    const subscription = client.subscribe('t');
    await subscription.return();
    await rig.clock.advance(10);
    expect(rig.broker.session.subscriptions.size).toBe(0);
  });

  test('one that ended before its answer never ends another on the next connection', async () => {
    rig = makeRig();
    fill(['a', 'b']);
    const client = await connected(rig);
    const ended = client.subscribe('t');
    const kept = client.subscribe('t', { from: 'earliest' });
    await ended.return();
    // Its number there is the other one's on the next connection.
    rig.broker.refuse = ({ op }) => {
      if (op === 'unsubscribe') rig.broker.cut();
      return null;
    };
    await rig.clock.advance(2_000);
    expect(rig.broker.commands('subscribe')).toHaveLength(3);
    expect(rig.broker.commands('unsubscribe')).toHaveLength(1);
    expect(rig.broker.session.subscriptions.size).toBe(1);
    expect(values(await take(kept, 2))).toEqual(['a', 'b']);
  });

  test('closing the client ends iterators cleanly', async () => {
    rig = makeRig();
    rig.broker.topic('t', 1);
    const client = await connected(rig);
    const next = client.subscribe('t').next();
    await rig.clock.advance(5);
    const closing = client.close();
    expect(await next).toEqual({ done: true, value: undefined });
    await rig.clock.advance(5);
    await closing;
  });

  test('an error of the broker about it: for good it is thrown, for now it begins again, of a part it goes on till then', async () => {
    rig = makeRig();
    fill(['a', 'b', 'c']);
    const client = await connected(rig);
    const errors: string[] = [];
    client.on('error', ({ code }) => errors.push(code));
    const subscription = client.subscribe('t', { from: 'earliest' });
    expect(values(await take(subscription, 1))).toEqual(['a']);
    const tell = async (fields: object): Promise<void> => {
      const [id] = [...rig.broker.session.subscriptions.keys()];
      const error = { op: 'error', message: 'm', subscription: id, ...fields };
      rig.broker.session.socket.deliver(JSON.stringify(error));
      await rig.clock.advance(1_900);
    };
    let down = 2;
    rig.broker.refuse = (command) => {
      if (command['op'] !== 'subscribe' || down === 0) return null;
      down -= 1;
      return { code: 'SHARD_FAILED', retryable: true };
    };
    // The partition that failed comes back with a new subscription; until one is had, the others go on with the old.
    await tell({ code: 'LOG_READ_FAILED', retryable: true, partition: 0 });
    expect(values(await take(subscription, 1))).toEqual(['b']);
    expect([...rig.broker.session.subscriptions.keys()]).toEqual([1]);
    await rig.clock.advance(6_000);
    expect([...rig.broker.session.subscriptions.keys()]).toEqual([2]);
    expect(rig.broker.commands('subscribe').at(-1)).toMatchObject({ positions: [{ offset: 2 }] });
    await tell({ code: 'INTERNAL', retryable: true });
    expect(rig.broker.session.subscriptions.size).toBe(0);
    await rig.clock.advance(200);
    expect([...rig.broker.session.subscriptions.keys()]).toEqual([3]);
    expect(values(await take(subscription, 1))).toEqual(['c']);
    await tell({ code: 'UNKNOWN_TOPIC', retryable: false });
    expect(await outcome(subscription.next())).toBe('UNKNOWN_TOPIC');
    expect(errors).toEqual(['LOG_READ_FAILED', 'SHARD_FAILED', 'SHARD_FAILED', 'INTERNAL']);
  });
});

describe('commits', () => {
  test('a record commits the offset behind it, a position itself, and the answer says where it stands', async () => {
    rig = makeRig();
    fill(['a', 'b', 'c']);
    const client = await connected(rig);
    const subscription = client.subscribe('t', { group: 'g' });
    const [first] = await take(subscription, 1);
    const committed = first?.commit();
    await rig.clock.advance(5);
    expect(await committed).toBe(1);
    const position = subscription.commit({ partition: 0, offset: 3 });
    await rig.clock.advance(5);
    expect(await position).toBe(3);
    expect(rig.broker.committed.get('t/0/g')).toBe(3);
  });

  test('those made while one is on its way are one more, the highest', async () => {
    rig = makeRig();
    fill(numbers(0, 50));
    const client = await connected(rig);
    const subscription = client.subscribe('t', { group: 'g' });
    const records = await take(subscription, 50);
    const commits = Promise.all(records.map((record) => record.commit()));
    await rig.clock.advance(10);
    expect(await commits).toEqual([1, ...Array(49).fill(50)]);
    expect(rig.broker.commands('commit')).toHaveLength(2);
  });

  test('one that was lost goes again on the next connection; one that is refused for now, after its time', async () => {
    rig = makeRig();
    fill(numbers(0, 5));
    const client = await connected(rig);
    const subscription = client.subscribe('t', { group: 'g' });
    const records = await take(subscription, 5);
    const first = records[0]?.commit();
    const last = records[4]?.commit();
    rig.broker.cut();
    const drained = client.drain();
    expect(await outcome(drained)).toBe('pending');
    let refusals = 1;
    rig.broker.refuse = (command) => {
      if (command['op'] !== 'commit' || refusals === 0) return null;
      refusals -= 1;
      return { code: 'OVERLOADED', retryable: true, retryAfterMs: 3_000 };
    };
    await rig.clock.advance(2_000);
    expect(await outcome(drained)).toBe('pending');
    await rig.clock.advance(3_000);
    expect(await Promise.all([first, last])).toEqual([5, 5]);
    expect(await outcome(drained)).toBeUndefined();
    expect(rig.broker.committed.get('t/0/g')).toBe(5);
  });

  test('one that waits for its time is not sent under the number of another subscription', async () => {
    rig = makeRig();
    fill(numbers(0, 5));
    const client = await connected(rig);
    const subscription = client.subscribe('t', { group: 'g' });
    const [record] = await take(subscription, 1);
    rig.broker.refuse = (command) =>
      command['op'] === 'commit' ? { code: 'OVERLOADED', retryable: true, retryAfterMs: 100 } : null;
    const committed = record?.commit();
    await rig.clock.advance(50);
    rig.broker.refuse = () => null;
    rig.broker.cut();
    await rig.clock.advance(2_000);
    expect(await committed).toBe(1);
    expect(rig.broker.commands('commit').map((command) => command['subscription'])).toEqual([1, 2]);
  });

  test('leaving the loop sends what was held back, and then unsubscribes', async () => {
    rig = makeRig();
    fill(numbers(0, 3));
    const client = await connected(rig);
    const commits: Promise<number>[] = [];
    const loop = (async () => {
      for await (const record of client.subscribe('t', { group: 'g' })) {
        commits.push(record.commit());
        if (record.offset === 2) break;
      }
    })();
    await rig.clock.advance(20);
    await loop;
    expect(await Promise.all(commits)).toEqual([1, 3, 3]);
    expect(rig.broker.log.slice(-3).map((command) => command['op'])).toEqual(['commit', 'commit', 'unsubscribe']);
  });

  test('without a group, and behind the end, there is nothing to commit to', async () => {
    rig = makeRig();
    fill(['a']);
    const client = await connected(rig);
    const [record] = await take(client.subscribe('t', { from: 'earliest' }), 1);
    const refused = seen(Promise.resolve(record?.commit()));
    await rig.clock.advance(10);
    await expect(refused).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    const subscription = client.subscribe('t', { group: 'g' });
    await subscription.return();
    await expect(subscription.commit({ partition: 0, offset: 1 })).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('a topic with a schema', () => {
  const order = z.object({ id: z.number().int(), at: z.string().transform((value) => new Date(value)) });

  test('checks what is published, sends it as given, and yields what the schema makes of it', async () => {
    rig = makeRig();
    rig.broker.topic('orders', 1);
    const client = await connected(rig);
    const orders = client.topic('orders', { schema: order });
    const subscription = orders.subscribe({ from: 'earliest' });
    const ack = orders.publish({ key: 'k', value: { id: 1, at: '2026-11-01T00:00:00Z' } });
    // @ts-expect-error an id is a number
    const wrong = seen(orders.publish({ value: { id: 'one', at: '' } }));
    await rig.clock.advance(20);
    expect((await ack).offset).toBe(0);
    await expect(wrong).rejects.toMatchObject({ code: 'INVALID_RECORD', message: expect.stringContaining('id ') });
    expect(rig.broker.values('orders', 0)).toEqual(['{"id":1,"at":"2026-11-01T00:00:00Z"}']);
    const { value: record } = await subscription.next();
    const at: Date | undefined = record?.value.at;
    expect(at?.getTime()).toBe(Date.UTC(2026, 10, 1));
    expect(record?.text()).toContain('2026');
  });

  test('keeps the order of calls though a check takes its time', async () => {
    rig = makeRig();
    rig.broker.topic('slow', 1);
    const client = await connected(rig);
    const schema = z.string().refine(async (value) => {
      if (value === 'a') await new Promise((resolve) => setImmediate(resolve));
      return value !== 'bad';
    });
    const slow = client.topic('slow', { schema });
    const acks = ['a', 'b', 'bad', 'c'].map((value) => seen(slow.publish({ value })));
    await rig.clock.advance(50);
    await rig.clock.advance(50);
    expect(await Promise.all(acks.map((ack) => outcome(ack)))).toMatchObject([
      { offset: 0 },
      { offset: 1 },
      'INVALID_RECORD',
      { offset: 2 },
    ]);
    expect(rig.broker.values('slow', 0)).toEqual(['a', 'b', 'c']);
  });

  test('a record that does not fit ends the iterator with its place, or is passed over where that was asked for', async () => {
    rig = makeRig();
    rig.broker.topic('orders', 1);
    const client = await connected(rig);
    void client.publish('orders', { value: 'free text' });
    void client.publish('orders', { value: { id: 2, at: '2026-01-01' } });
    await rig.clock.advance(20);
    const orders = client.topic('orders', { schema: order });
    const strict = orders.subscribe({ from: 'earliest' });
    const next = seen(strict.next());
    await rig.clock.advance(5);
    await expect(next).rejects.toMatchObject({
      code: 'INVALID_RECORD',
      message: expect.stringMatching(/^orders\/0@0 does not fit/),
    });
    expect(await strict.next()).toEqual({ done: true, value: undefined });
    const passed: number[] = [];
    const lenient = orders.subscribe({ from: 'earliest', onInvalid: (record) => passed.push(record.offset) });
    const good = lenient.next();
    await rig.clock.advance(5);
    expect((await good).value?.value.id).toBe(2);
    expect(passed).toEqual([0]);
  });
});
