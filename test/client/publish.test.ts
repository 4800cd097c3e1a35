import { afterEach, describe, expect, test } from 'vitest';
import type { Ack } from '../../src/client/index.ts';
import { murmur2, partitionOfKey } from '../../src/domain/partition.ts';
import { connected, makeRig, outcome, type Rig } from './rig.ts';

let rig: Rig;
afterEach(() => expect(rig.broker.complaints).toEqual([]));

const text = new TextEncoder();

describe('what a record becomes', () => {
  test('a string goes as text, bytes as bytes, all else as JSON', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    const client = await connected(rig);
    const acks = Promise.all([
      client.publish('t', { value: 'text' }),
      client.publish('t', { value: text.encode('bytes') }),
      client.publish('t', { value: { a: [1, null] } }),
      client.publish('t', { value: null }),
      client.publish('t', { key: 'gone' }),
    ]);
    await rig.clock.advance(10);
    expect((await acks).map((ack) => ack.offset)).toEqual([0, 1, 2, 3, 4]);
    expect(rig.broker.values('t', 0)).toEqual(['text', 'bytes', '{"a":[1,null]}', 'null', null]);
  });

  test('bytes are copied: what the caller does to its own afterwards changes nothing', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    const client = await connected(rig);
    const value = text.encode('before');
    const ack = client.publish('t', { value });
    value.fill(0);
    await rig.clock.advance(10);
    await ack;
    expect(rig.broker.values('t', 0)).toEqual(['before']);
  });

  test.each([
    [{}, 'BAD_REQUEST', /needs a key/],
    [{ value: 1n }, 'BAD_REQUEST', /BigInt/],
    [{ value: () => 1 }, 'BAD_REQUEST', /got function/],
    [{ key: 7 as unknown as string, value: 1 }, 'BAD_REQUEST', /a key is text or bytes; got number/],
    [{ value: 1, headers: { a: 1 as unknown as string } }, 'BAD_REQUEST', /a header is a string/],
    [{ value: 1, partition: -1 }, 'BAD_REQUEST', /integer from 0; got -1/],
    [{ key: 'k'.repeat(4097), value: 1 }, 'RECORD_TOO_LARGE', /4096 bytes; got 4097/],
    [{ value: 1, headers: { a: 'h'.repeat(65_535) } }, 'RECORD_TOO_LARGE', /65535 bytes/],
    [{ value: 'v'.repeat(1024 * 1024) }, 'RECORD_TOO_LARGE', /at most 1048064 bytes; got/],
  ])('refuses %# by name, without a word to the broker', async (record, code, message) => {
    rig = makeRig();
    const client = await connected(rig);
    await expect(client.publish('t', record)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(client.outstanding).toBe(0);
    await rig.clock.advance(100);
    expect(rig.broker.commands('describe')).toEqual([]);
  });
});

describe('where a record goes', () => {
  test('a key decides by murmur2, as the broker and Kafka do', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const keys = Array.from({ length: 40 }, (_, index) => `key-${index}`);
    const acks = Promise.all(keys.map((key) => client.publish('t', { key, value: 1 })));
    await rig.clock.advance(20);
    const expected = keys.map((key) => partitionOfKey(text.encode(key), 4));
    expect((await acks).map((ack) => ack.partition)).toEqual(expected);
    expect(murmur2(text.encode('21'))).toBe(-973932308);
    expect(rig.broker.commands('describe')).toHaveLength(1);
  });

  test('a given partition goes before the key', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const ack = client.publish('t', { key: 'key-0', value: 1, partition: 3 });
    await rig.clock.advance(20);
    expect((await ack).partition).toBe(3);
  });

  test('records without a key share a frame, and the next frame goes to the next partition', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const seen: number[][] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const acks = Promise.all([1, 2, 3].map((value) => client.publish('t', { value })));
      await rig.clock.advance(20);
      seen.push((await acks).map((ack) => ack.partition));
    }
    expect(seen).toEqual([2, 3, 0, 1, 2].map((partition) => [partition, partition, partition]));
    expect(rig.broker.commands('publish')).toHaveLength(5);
  });

  test('records without a key leave out a partition that is refused', async () => {
    rig = makeRig();
    rig.broker.refuse = (command) =>
      command['op'] === 'publish' && command['partition'] === 3
        ? { code: 'SHARD_FAILED', retryable: true, retryAfterMs: 60_000 }
        : null;
    const client = await connected(rig);
    const acks: Promise<Ack>[] = [];
    for (let turn = 0; turn < 9; turn += 1) {
      acks.push(client.publish('t', { value: turn }));
      await rig.clock.advance(20);
    }
    const results = await Promise.all(acks.map(outcome));
    expect(results.filter((result) => result === 'pending')).toHaveLength(1);
    const closing = client.close();
    await rig.clock.advance(20);
    await closing;
  });

  test('a topic that is gone is asked for again, after the refusal was told', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const first = client.publish('t', { value: 1, partition: 3 });
    await rig.clock.advance(20);
    await first;
    rig.broker.topics.delete('t');
    rig.broker.partitions = 2;
    const second = client.publish('t', { value: 2, partition: 3 });
    await rig.clock.advance(20);
    expect(await outcome(second)).toBe('UNKNOWN_PARTITION');
    const third = client.publish('t', { key: 'a', value: 3 });
    await rig.clock.advance(20);
    expect((await third).partition).toBeLessThan(2);
    expect(rig.broker.commands('describe')).toHaveLength(2);
  });

  test('a topic that may not be made refuses all that waits for it, and no other', async () => {
    rig = makeRig();
    rig.broker.refuse = (command) =>
      command['op'] === 'describe' && command['topic'] === 'no' ? { code: 'UNKNOWN_TOPIC', retryable: false } : null;
    const client = await connected(rig);
    const refused = [client.publish('no', { value: 1 }), client.publish('no', { value: 2 })];
    const stored = client.publish('yes', { value: 3 });
    await rig.clock.advance(20);
    expect(await Promise.all(refused.map(outcome))).toEqual(['UNKNOWN_TOPIC', 'UNKNOWN_TOPIC']);
    expect(await outcome(stored)).toMatchObject({ topic: 'yes', offset: 0 });
    expect(client.outstanding).toBe(0);
  });
});

describe('how records are grouped', () => {
  test('what is published in one turn leaves in one frame per partition, without a wait', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    const client = await connected(rig);
    const warm = client.publish('t', { value: 0 });
    await rig.clock.advance(10);
    await warm;
    for (let value = 1; value <= 100; value += 1) void client.publish('t', { value });
    await rig.clock.advance(rig.broker.latencyMs);
    expect(rig.broker.commands('publish')).toHaveLength(2);
    expect(rig.broker.values('t', 0)).toHaveLength(101);
    await rig.clock.advance(10);
  });

  test('a partition with 4 frames unanswered gathers what comes, until an answer', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    rig.broker.latencyMs = 50;
    const client = await (async () => {
      const connecting = connected(rig);
      await rig.clock.advance(500);
      return await connecting;
    })();
    const warm = client.publish('t', { value: 'warm' });
    await rig.clock.advance(500);
    await warm;
    const acks: Promise<Ack>[] = [];
    for (let value = 0; value < 20; value += 1) {
      acks.push(client.publish('t', { value }));
      await rig.clock.advance(1);
    }
    await rig.clock.advance(500);
    expect((await Promise.all(acks)).map((ack) => ack.offset)).toEqual(acks.map((_, index) => index + 1));
    expect(rig.broker.commands('publish')).toHaveLength(1 + 4 + 1);
  });

  test('frames stay under 256 KiB of records, and under the limit of the broker', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    const client = await connected(rig);
    const acks = Promise.all(Array.from({ length: 40 }, () => client.publish('t', { value: new Uint8Array(20_000) })));
    await rig.clock.advance(50);
    expect(await acks).toHaveLength(40);
    expect(rig.broker.topic('t')[0]?.batches.map((batch) => batch.count)).toEqual([13, 13, 13, 1]);
  });

  test('no more frames are unanswered than the broker allows', async () => {
    rig = makeRig();
    rig.broker.limits = { ...rig.broker.limits, inFlightPublishes: 3 };
    rig.broker.withholdAck = () => true;
    const client = await connected(rig);
    const acks = Array.from({ length: 16 }, (_, index) => client.publish('t', { value: 1, partition: index % 4 }));
    acks.push(...Array.from({ length: 4 }, (_, index) => client.publish('u', { value: 1, partition: index })));
    await rig.clock.advance(100);
    expect(rig.broker.commands('publish')).toHaveLength(3);
    rig.broker.withholdAck = () => false;
    rig.broker.cut();
    await rig.clock.advance(1_000);
    expect((await Promise.all(acks)).filter((ack) => ack.duplicate)).toHaveLength(12);
  });
});

describe('sequences', () => {
  test('a random producer begins at 0 and never asks', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    const client = await connected(rig);
    const acks = [1, 2, 3].map((value) => client.publish('t', { value }));
    await rig.clock.advance(10);
    await Promise.all(acks);
    expect(client.producer).toMatch(/^[\w-]{22}$/);
    expect(rig.broker.topic('t')[0]?.records.map((record) => record.sequence)).toEqual([0, 1, 2]);
    expect(rig.broker.commands('producer')).toEqual([]);
  });

  test('a given producer goes on where its sequences stand', async () => {
    rig = makeRig({ producer: 'p-1' });
    rig.broker.partitions = 1;
    const first = await connected(rig);
    const acks = [1, 2, 3].map((value) => first.publish('t', { value }));
    await rig.clock.advance(10);
    await Promise.all(acks);
    const closing = first.close();
    await rig.clock.advance(10);
    await closing;
    const second = await connected(rig);
    expect(await outcome(second.producerState('t'))).toBe('pending');
    const ack = second.publish('t', { value: 4 });
    await rig.clock.advance(20);
    expect(await ack).toMatchObject({ offset: 3, duplicate: false });
    expect(rig.broker.topic('t')[0]?.records.map((record) => record.sequence)).toEqual([0, 1, 2, 3]);
  });

  test('a record that the broker takes for another one is refused, never lost in silence', async () => {
    rig = makeRig({ producer: 'p-1' });
    rig.broker.partitions = 1;
    const client = await connected(rig);
    const first = client.publish('t', { value: 'mine' });
    await rig.clock.advance(20);
    await first;
    // Somebody with the same name stored the next sequence behind the client's back.
    const window = rig.broker.topic('t')[0]?.windows.get('p-1');
    window?.first.set(1, 77);
    if (window !== undefined) window.last = 1;
    const second = client.publish('t', { value: 'lost?' });
    await rig.clock.advance(20);
    expect(await outcome(second)).toBe('SEQUENCE_OUT_OF_ORDER');
    const third = client.publish('t', { value: 'kept' });
    await rig.clock.advance(20);
    expect(await outcome(third)).toMatchObject({ offset: 1, duplicate: false });
  });
});

describe('giving up', () => {
  test('a deadline before anything was sent: TIMEOUT, and nothing is stored', async () => {
    rig = makeRig();
    const client = await connected(rig);
    rig.broker.reachable = false;
    rig.broker.cut();
    await rig.clock.advance(1);
    const ack = client.publish('t', { value: 1 }, { deadlineMs: 100 });
    await rig.clock.advance(99);
    expect(await outcome(ack)).toBe('pending');
    await rig.clock.advance(1);
    expect(await outcome(ack)).toBe('TIMEOUT');
    expect(client.outstanding).toBe(0);
    rig.broker.reachable = true;
    await rig.clock.advance(60_000);
    expect(rig.broker.commands('publish')).toEqual([]);
  });

  test('a signal before anything was sent: ABORTED, and the others go', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    const client = await connected(rig);
    const controller = new AbortController();
    const dropped = client.publish('t', { value: 'dropped' }, { signal: controller.signal });
    const kept = client.publish('t', { value: 'kept' });
    controller.abort();
    expect(await outcome(dropped)).toBe('ABORTED');
    await rig.clock.advance(20);
    await kept;
    expect(rig.broker.values('t', 0)).toEqual(['kept']);
    expect(await outcome(client.publish('t', { value: 1 }, { signal: controller.signal }))).toBe('ABORTED');
  });

  test('on the wire: OUTCOME_UNKNOWN, and the frame still goes again for the others', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    const client = await connected(rig);
    const warm = client.publish('t', { value: 'warm' });
    await rig.clock.advance(20);
    await warm;
    let lose = true;
    rig.broker.refuse = () => (lose ? { code: 'OVERLOADED', retryable: true, retryAfterMs: 500 } : null);
    const given = client.publish('t', { value: 'a' }, { deadlineMs: 100 });
    const kept = client.publish('t', { value: 'b' });
    await rig.clock.advance(100);
    expect(await outcome(given)).toBe('OUTCOME_UNKNOWN');
    lose = false;
    await rig.clock.advance(1_000);
    expect(await kept).toMatchObject({ offset: 2 });
    expect(rig.broker.values('t', 0)).toEqual(['warm', 'a', 'b']);
    expect(client.outstanding).toBe(0);
  });

  test('a settled publish leaves no timer and no listener behind', async () => {
    rig = makeRig();
    const client = await connected(rig);
    const controller = new AbortController();
    const { timers } = rig.clock;
    const ack = client.publish('t', { value: 1 }, { deadlineMs: 1_000_000, signal: controller.signal });
    await rig.clock.advance(20);
    await ack;
    expect(rig.clock.timers).toBe(timers);
    controller.abort();
    await client.publish('t', { value: 2 }, { signal: controller.signal }).catch(() => {});
  });
});
